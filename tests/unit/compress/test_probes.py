"""Examples of random words: whole ones of every task, so that a merge without data has something to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.compress.merge import merge
from hone.compress.merging import MergeSettings
from hone.compress.probes import PROBES, probes
from hone.models.base import resolve_base
from hone.models.model import build_model
from hone.models.tiny import write_tiny_base, write_tiny_writer
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.train.finetune import tune
from hone.train.settings import FinetuneSettings

TONES = {"tone": ["glad", "sad"]}


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("writer") / "base", kind="gpt2", layers=1)


def test_rows_have_attributes_that_were_learned_and_keywords(writer: Path) -> None:
    settings = SETTINGS["text-generation"].model_validate({"attributes": TONES, "keywords": "about"})
    task = make_task("text-generation", settings, labels=(), folder=writer)
    found = probes(task, seed=1)
    assert set(found["tone"]) == {"glad", "sad"}
    assert all(len(words) == 1 for words in found["about"])
    assert len(task.encode(found, purpose="learn")) == PROBES


def test_choices_are_several_texts(tmp_path: Path) -> None:
    settings = SETTINGS["multiple-choice"]()
    task = make_task("multiple-choice", settings, labels=(), folder=write_tiny_base(tmp_path, layers=1))
    assert {type(choices) for choices in probes(task, seed=1)["choices"]} == {list}
    assert len(Rows(task.encode(probes(task, seed=1), purpose="predict"))) == PROBES


@pytest.mark.parametrize(
    ("name", "settings"),
    [("dialogue", {}), ("dialogue", {"attributes": TONES}), ("text-generation", {"attributes": TONES})],
)
def test_an_adapter_of_a_writer_is_merged_without_any_data(
    name: str, settings: dict[str, Any], writer: Path, tmp_path: Path
) -> None:
    chosen = SETTINGS[name].model_validate({"decoding": {"max_new_tokens": 4}, **settings})
    task = make_task(name, chosen, labels=(), folder=writer)
    model = build_model(writer, task.head, dropout=0.0)
    torch.manual_seed(3)
    tune(model, FinetuneSettings(method="lora"))  # type: ignore[arg-type]
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    bundle = write_model(tmp_path / "bundle", model, task, lineage=lineage, base=resolve_base(str(writer)))
    bundle.base = str(writer)
    run = Run(seed=1, device="cpu", folder=tmp_path / "run", target=tmp_path / "new", cache=tmp_path / "cache")
    outcome = merge(MergeSettings(), Inputs(task=TaskChoice(name, chosen), base=None, data={}, bundle=bundle), run)
    assert outcome.report.facts["data"] == "probes"
    assert outcome.report.facts["rows"] == PROBES
