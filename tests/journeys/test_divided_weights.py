"""Two processes that divide the weights do what one does that has them all."""

from __future__ import annotations

from pathlib import Path

import pytest
from several_processes import FINETUNE, PRETRAIN, Killed, log_of, recipes, together

import hone
from hone.core.progress import Silent
from hone.report.report import Report

CLOCKED = {"seconds", "tokens_per_s", "mfu"}


def test_divided_weights_have_the_losses_of_whole_ones_and_leave_an_ordinary_bundle(tmp_path: Path) -> None:
    """Among those that read other batches, and then among those that compute each layer together; an average of the
    weights, layers that are computed again and a process that is killed and takes up its checkpoint included."""
    recipe = recipes(tmp_path)
    learned = {**PRETRAIN, "dropout": 0.0, "techniques": ["gradient-checkpointing", "ema"], "max_steps": 6,
               "eval_steps": 3, "save_steps": 3}  # fmt: skip
    tuned = {**FINETUNE, "dropout": 0.0, "max_steps": 8, "eval_steps": 4}
    whole = recipe(learned, tuned, "evaluate")
    divided = recipe({**learned, "parallel": {"shard": "full"}}, {**tuned, "parallel": {"tensor": 2}}, "evaluate")
    for values in (whole, divided):
        values["data"]["test"] = values["data"]["validation"]
    expected = hone.run(whole, out=tmp_path / "one").reports["evaluate"].measures
    first, second = together(divided, tmp_path / "two", Silent(), Killed(5))
    assert (first or "").startswith("train.process-lost another process of this training has ended")
    assert second is None
    assert together(divided, tmp_path / "two", Silent(), Silent()) == ["", ""]
    for stage, lines in (("pretrain", 6 + 2), ("finetune", 8 + 2)):
        one, two = (log_of(tmp_path / out, stage) for out in ("one", "two"))
        assert len(one) == len(two) == lines
        for record, found in zip(one, two, strict=True):
            figures = record.keys() - CLOCKED
            assert {"loss", "gradient_norm"} <= figures or any(name.startswith("validation_") for name in figures)
            assert {name: found[name] for name in figures} == pytest.approx(
                {name: record[name] for name in figures}, abs=1e-4
            )
    reports = {name: Report.read(next((tmp_path / "two" / "reports").glob(f"*-{name}.json"))) for name in
               ("pretrain", "evaluate")}  # fmt: skip
    assert reports["pretrain"].facts["resumed_at_step"] == 3
    assert [m.value for m in reports["evaluate"].measures[:1]] == pytest.approx([m.value for m in expected[:1]])
