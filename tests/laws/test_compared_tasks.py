"""Every task can be compared: with itself it differs in nothing, with another by what both are measured."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from task_cases import CASES, Case, built

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.data.dataset import Dataset
from hone.evaluate.answering import answered
from hone.evaluate.comparing import COMPARE, CompareSettings
from hone.evaluate.varied import variety_measures
from hone.metrics import retrieval
from hone.predict.predictor import open_bundle
from hone.predict.write import write_model
from hone.report.report import Report
from hone.tasks.pairs import over

LABELED = 1  # place of the rows of a text and a label among those of sentence-embedding
every_task = pytest.mark.parametrize("case", [case for case in CASES if not case.changed and not case.number], ids=str)


def bundle(case: Case, base: Path, folder: Path, *, moved: float = 0.0) -> Bundle:
    """The case's model, its weights moved at random by so many of their standard deviations."""
    task, shared = built(case, base)
    model = copy.deepcopy(shared)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            spread = weight.std() if weight.numel() > 1 else torch.ones(())
            weight += moved * spread * torch.randn(weight.shape, generator=generator)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=0, hone="")
    return write_model(folder, model, task, lineage=lineage)


def compared(case: Case, first: Bundle, second: Bundle, folder: Path) -> tuple[Report, dict[str, float | None]]:
    """What ``compare`` finds, and the measures of the second alone."""
    kind, run = case.task(first.path), Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new",
                                           cache=folder / "cache")  # fmt: skip
    data = Dataset.from_columns("test", {name: list(values) for name, values in case.columns().items()})
    inputs = Inputs(TaskChoice(case.name, kind.settings), base=None, data={"test": data}, bundle=second,
                    others={"against": (first,)})  # fmt: skip
    report = COMPARE.run(CompareSettings(against=str(first.path), resamples=100), inputs, run).report
    predictor = open_bundle(second, device="cpu")
    alone = answered(predictor, over(predictor.task, data.columns), data, run=run)
    varied = {one.name: one.value for one in variety_measures(alone, resamples=1)}
    return report, {**alone.task.measures(alone.tally), **varied}


@pytest.mark.parametrize("name", ["text-classification", "question-answering", "text-regression", "summarization"])
def test_the_same_bundle_differs_in_nothing(name: str, tiny_base: Path, tmp_path: Path) -> None:
    case = Case(name)
    one = bundle(case, tiny_base, tmp_path / "one")
    found, _ = compared(case, one, one, tmp_path)
    for _, first, second, difference, chance, verdict in found.tables["compared"].rows:
        assert first == second
        assert difference in (0, None)
        assert chance in (1.0, None)
        assert verdict == "not told apart"
    assert (tmp_path / "run" / "differences.jsonl").read_text() == ""
    assert found.tables["rows_lost"].rows == found.tables["rows_gained"].rows == []


@every_task
def test_the_second_has_the_measures_that_it_has_alone(case: Case, tiny_base: Path, tmp_path: Path) -> None:
    one, other = (bundle(case, tiny_base, tmp_path / name, moved=moved) for name, moved in (("one", 0), ("other", 1)))
    found, measured = compared(case, one, other, tmp_path)
    rows = found.tables["compared"].rows
    assert {row[0]: row[2] for row in rows} == measured
    assert all(row[3] == pytest.approx(row[2] - row[1]) for row in rows if row[3] is not None)  # type: ignore[operator]
    lines = [json.loads(line) for line in (tmp_path / "run" / "differences.jsonl").read_text().splitlines()]
    otherwise = dict(found.tables["changed"].rows)["answered_otherwise"]
    assert len(lines) == otherwise
    assert all(line["first"] != line["second"] for line in lines)


def test_embeddings_of_single_texts_of_other_sizes_are_compared_by_what_they_find(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, plain = list[int](), retrieval.label_ranks
    monkeypatch.setattr(retrieval, "label_ranks", lambda *given: looks.append(len(given[0])) or plain(*given))
    whole, short = (Case("sentence-embedding", changed, LABELED) for changed in ({}, {"dimensions": 3}))
    assert [field.name for field in whole.shape.fields] == ["text", "label"]
    one, other = bundle(whole, tiny_base, tmp_path / "one"), bundle(short, tiny_base, tmp_path / "other", moved=1)
    found, measured = compared(whole, one, other, tmp_path)
    assert {row[0]: row[2] for row in found.tables["compared"].rows} == measured
    assert "equal_answers" not in {measure.name for measure in found.measures}
    assert "answered_otherwise" not in dict(found.tables["changed"].rows)
    lines = (tmp_path / "run" / "differences.jsonl").read_text().splitlines()
    shown = found.tables["rows_lost"].rows + found.tables["rows_gained"].rows
    assert len(lines) == len(shown) > 0
    assert len(looks) == 3  # once each, and once alone: ranking is what such a tally costs
