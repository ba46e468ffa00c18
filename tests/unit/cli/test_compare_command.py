"""Two bundles on the same rows: which is better, and what keeps them from being compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from ended import Hone

import hone
from hone.bundle.bundle import Bundle
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import load
from hone.predict.write import write_model
from hone.report.report import Report
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS


@pytest.fixture(scope="module")
def spoiled(text_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text bundle, of whose head nothing is left."""
    predictor = load(text_bundle, device="cpu")
    model = predictor.engine.model  # type: ignore[attr-defined]
    assert isinstance(model, Model)
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.zero_()
    lineage = predictor.bundle.manifest.lineage
    assert lineage is not None
    return write_model(tmp_path_factory.mktemp("spoiled") / "bundle", model, predictor.task, lineage=lineage).path


def untrained(folder: Path, base: Path, task: str, labels: tuple[str, ...], like: Path, **settings: object) -> Path:
    made = make_task(task, SETTINGS[task].model_validate(settings), labels=labels, folder=base)
    lineage = Bundle.open(like).manifest.lineage
    assert lineage is not None
    return write_model(folder, build_model(base, made.head), made, lineage=lineage).path


def test_what_lost_its_head_is_worse(
    run: Hone, text_bundle: Path, spoiled: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    ended = run("compare", text_bundle, spoiled, texts["test"], "--out", tmp_path / "out")
    assert ended.code == 0
    assert "The second is worse: Accuracy " in ended.out
    report = Report.read(tmp_path / "out" / "reports" / "00-compare.json")
    assert report.bundle == Bundle.open(spoiled).digest
    assert report.facts["first_bundle"] == Bundle.open(text_bundle).digest
    values = {(measure.name, measure.slice): measure for measure in report.measures}
    difference = values["accuracy", "difference"]
    _, first, second, *_ = report.tables["compared"].rows[0]
    assert isinstance(first, float)
    assert isinstance(second, float)
    assert difference.value == pytest.approx(second - first)
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low <= difference.value <= difference.high < 0
    chance = {row[0]: row[4] for row in report.tables["compared"].rows}["accuracy"]
    assert isinstance(chance, float)
    assert chance < 0.01
    counts = dict(report.tables["changed"].rows)
    lines = (tmp_path / "out" / "stages" / "00-compare" / "differences.jsonl").read_text().splitlines()
    assert len(lines) == counts["answered_otherwise"]
    lost = sum(json.loads(line)["first"]["label"] == json.loads(line)["label"] for line in lines)
    assert lost == counts["only_first_right"] > 0


def test_a_recipe_compares_what_it_made_in_its_language(
    text_bundle: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    stages = [{"kind": "finetune", "max_steps": 1}, {"kind": "compare", "against": str(text_bundle)}]
    values = {"version": 1, "task": "text-classification", "base": str(tiny_base), "language": "zh", "stages": stages,
              "data": {name: str(path) for name, path in texts.items()}}  # fmt: skip
    report = hone.run(values, out=tmp_path / "run").reports["compare"]
    assert report.conclusion.startswith("第二个更差：准确率 ")
    assert report.tables["compared"].rows[0][-1] == "更差"


def test_other_labels_have_intervals_and_no_test(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    known = Bundle.open(text_bundle).manifest.task
    assert known is not None
    other = untrained(tmp_path / "other", tiny_base, "text-classification", (*known.labels, "zebra"), text_bundle)
    found = run("compare", text_bundle, other, texts["test"], "--json").object()
    assert all(row[4] is None for row in found["tables"]["compared"]["rows"])
    assert found["measures"][0]["high"] < 0
    assert "The second alone: zebra." in found["warnings"][0]


def test_a_label_for_none_of_them_that_one_has_is_a_label_too(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    known = Bundle.open(text_bundle).manifest.task
    assert known is not None
    more = untrained(tmp_path / "more", tiny_base, "text-classification", known.labels, text_bundle, unknown_label="?")
    found = run("compare", text_bundle, more, texts["test"], "--json").object()
    assert all(row[4] is None for row in found["tables"]["compared"]["rows"])
    assert "The second alone: ?." in found["warnings"][0]
    found = run("compare", more, more, texts["test"], "--json").object()
    count = len(texts["test"].read_text().splitlines())
    counts = {one["name"]: one["n"] for one in found["measures"] if one["slice"] == "difference"}
    assert (counts["accuracy"], counts["in_scope_accuracy"], counts["out_of_scope_recall"]) == (count, count, 0)


def test_labels_in_another_order_are_told(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    known = Bundle.open(text_bundle).manifest.task
    assert known is not None
    other = untrained(tmp_path / "other", tiny_base, "text-classification", known.labels[::-1], text_bundle)
    found = run("compare", text_bundle, other, texts["test"], "--json").object()
    assert "another order" in found["warnings"][0]


def test_measures_of_tokens_are_left_out_where_tokens_differ(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(tiny_base, tmp_path / "changed"))
    tokenizer = json.loads((changed / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = not tokenizer["normalizer"]["lowercase"]
    (changed / "tokenizer.json").write_text(json.dumps(tokenizer))
    one, other = (untrained(tmp_path / base.name / "bundle", base, "fill-mask", (), text_bundle)
                  for base in (tiny_base, changed))  # fmt: skip
    ended = run("compare", one, other, texts["test"])
    assert ended.code == 2
    assert "tokens" in ended.err


def test_texts_that_are_measured_in_other_units_are_not_compared(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "base", kind="bart")
    rows = tmp_path / "test.jsonl"
    rows.write_text(json.dumps({"source": "a long text", "target": "a text"}) + "\n", encoding="utf-8")
    one, other = (untrained(tmp_path / units, base, "summarization", (), text_bundle, units=units)
                  for units in ("words", "characters"))  # fmt: skip
    ended = run("compare", one, other, rows)
    assert ended.code == 2
    assert "units is words in the first bundle and characters in the second" in ended.err


def test_words_that_the_first_bundle_cannot_write_are_told_before_either_writes(
    run: Hone, text_bundle: Path, tmp_path: Path
) -> None:
    base = write_tiny_writer(tmp_path / "base", kind="bart")
    small = Path(shutil.copytree(base, tmp_path / "small"))
    tokenizer = json.loads((small / "tokenizer.json").read_text())
    (small / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": {"type": "Lowercase"}}))
    rows = tmp_path / "test.jsonl"
    rows.write_text(json.dumps({"source": "a text", "target": "a text"}) + "\n", encoding="utf-8")
    one, other = (untrained(tmp_path / f"{folder.name}-bundle", folder, "summarization", (), text_bundle)
                  for folder in (small, base))  # fmt: skip
    asked = ["--decoding", "required_words=[Refund]", "--decoding", "num_beams=2"]
    ended = run("compare", one, other, rows, *asked)
    assert ended.code == 2
    assert "cannot write: 'Refund', by the first bundle" in " ".join(ended.err.split())
    ended = run("compare", other, one, rows, *asked)
    assert ended.code == 2
    assert "cannot write: 'Refund'" in " ".join(ended.err.split())
    assert "by the first bundle" not in ended.err


def test_bundles_that_cannot_be_compared_are_named(
    run: Hone, text_bundle: Path, tag_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    for first, said in ((tag_bundle, "token-classification"), (tmp_path / "none", str(tmp_path / "none"))):
        ended = run("compare", first, text_bundle, texts["test"])
        assert ended.code == 2
        assert said in ended.err
        assert "stages" not in ended.err
    for asked in (["--decoding", "num_beams=2"], ["decoding.num_beams=2"]):
        ended = run("compare", text_bundle, text_bundle, texts["test"], *asked)
        assert ended.code == 2
        assert "settings of decoding for text-classification" in ended.err
    ended = run("compare", text_bundle, text_bundle, texts["test"], f"against={tag_bundle}")
    assert ended.code == 2
    assert f"against={tag_bundle}" in ended.err
