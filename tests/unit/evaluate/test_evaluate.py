"""An evaluation measures what was asked on the split that was asked, and keeps every answer."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run, TaskChoice
from hone.core.errors import DataError, RecipeError
from hone.core.measures import Measure
from hone.core.settings import Settings, check_settings
from hone.data.read import read
from hone.data.source import Source
from hone.evaluate import evaluate as module
from hone.evaluate.settings import EVALUATE, EvaluateSettings
from hone.predict.predictor import load
from hone.report.catalog import Language
from hone.tasks import label_tables
from hone.tasks.protocol import Scored
from hone.tasks.table import TASKS

# Texts that the bundle was taught; the last three carry a label that is wrong on purpose.
ROWS = [
    ("please refund my order", "refund"),
    ("forgot my password", "password"),
    ("the screen is broken", "broken"),
    ("broken phone screen", "broken"),
    ("i want my money back", "refund"),
    ("reset the password please", "refund"),
    ("my laptop is broken", "password"),
    ("refund not here yet", "broken"),
]


class Judge:
    """Evaluates a bundle on rows that a test makes up."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.bundle = folder, Bundle.open(bundle)

    def __call__(
        self, splits: dict[str, list[tuple[Any, str | list[str]]]], *, language: Language = "en", **settings: Any
    ) -> Outcome:
        assert self.bundle.manifest.task is not None
        kind = TASKS[self.bundle.manifest.task.name]
        fields = (*kind.inputs, *kind.targets)
        data = {}
        for name, rows in splits.items():
            lines = [json.dumps({kind.inputs[0].name: x, kind.targets[0].name: y}) + "\n" for x, y in rows]
            (self.folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
            source = Source(path=f"{name}.jsonl")
            data[name] = read(source, fields, name=name, base=self.folder, cache=self.folder / "cache")
        inputs = Inputs(TaskChoice(kind.name, Settings()), base=None, data=data, bundle=self.bundle)
        return EVALUATE.run(EvaluateSettings(**settings), inputs, self.run(language))

    def run(self, language: Language = "en") -> Run:
        return Run(seed=1, device="cpu", folder=self.folder / "run", target=self.folder / "new",
                   cache=self.folder / "cache", language=language)  # fmt: skip

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "run" / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def judge(tmp_path: Path, text_bundle: Path) -> Judge:
    return Judge(tmp_path, text_bundle)


@pytest.fixture
def tag_judge(tmp_path: Path, tag_bundle: Path) -> Judge:
    return Judge(tmp_path, tag_bundle)


def named(outcome: Outcome) -> dict[str, Measure]:
    return {m.name: m for m in outcome.report.measures}


def test_every_measure_has_its_n_and_an_interval_around_it(judge: Judge) -> None:
    measures = named(judge({"test": ROWS}))
    assert list(measures) == ["accuracy", "macro_f1", "micro_f1", "weighted_f1", "ece"]
    assert measures["accuracy"].value == 5 / 8
    for m in measures.values():
        assert m.n == 8
        assert m.value is not None
        assert m.low is not None
        assert m.high is not None
        assert m.low <= m.value <= m.high
    assert measures["ece"].better == "lower"


def test_the_report_says_what_was_measured(judge: Judge) -> None:
    outcome = judge({"test": ROWS})
    assert outcome.bundle is None
    assert outcome.report.bundle == judge.bundle.digest
    assert outcome.report.facts == {
        "task": "text-classification", "data": "test", "rows": 8, "wrong": 3, "truncated": 0, "labels": 3
    }  # fmt: skip
    assert outcome.report.warnings == []


def test_every_row_is_kept_with_its_prediction_in_order(judge: Judge) -> None:
    judge({"test": ROWS})
    lines = judge.lines("predictions.jsonl")
    assert [(line["text"], line["label"]) for line in lines] == ROWS
    expected = load(judge.bundle.path, device="cpu").predict([text for text, _ in ROWS])
    for line, answer in zip(lines, expected, strict=True):
        assert line["prediction"]["label"] == answer["label"]
        assert line["prediction"]["score"] == pytest.approx(answer["score"], abs=1e-5)


def test_the_wrong_rows_are_kept_worst_first(judge: Judge) -> None:
    judge({"test": ROWS})
    bad = judge.lines("bad_cases.jsonl")
    assert sorted(line["text"] for line in bad) == sorted(text for text, _ in ROWS[5:])
    gaps = [line["prediction"]["score"] - line["prediction"]["scores"][line["label"]] for line in bad]
    assert gaps == sorted(gaps, reverse=True)
    assert all(gap > 0 for gap in gaps)


@pytest.mark.parametrize(("worst", "shown"), [(0, 0), (2, 2), (25, 3)])
def test_as_many_mistakes_are_shown_as_asked(judge: Judge, worst: int, shown: int) -> None:
    table = judge({"test": ROWS}, worst=worst).report.tables["worst_mistakes"]
    assert [row[0] for row in table.rows] == [line["text"] for line in judge.lines("bad_cases.jsonl")][:shown]
    assert len(judge.lines("bad_cases.jsonl")) == 3


def test_a_long_mistake_is_shown_by_its_beginning_and_kept_whole(judge: Judge) -> None:
    text = "my laptop is broken " * 40
    table = judge({"test": [(text, "refund")]}).report.tables["worst_mistakes"]
    [[shown, *_]] = table.rows
    assert isinstance(shown, str)
    assert text.startswith(shown.removesuffix(" […]"))
    assert len(shown) < 320
    assert judge.lines("bad_cases.jsonl")[0]["text"] == text


def test_slices_by_length_hold_every_row_once(judge: Judge) -> None:
    short, long = ("refund", "refund"), ("please refund my order " * 4, "refund")
    table = judge({"test": [short, *ROWS, long]}, length_edges=[1, 4, 18]).report.tables["by_length"]
    assert table.columns == ["tokens", "accuracy", "low", "high", "count"]
    assert [(row[0], row[4]) for row in table.rows] == [("1-3", 1), ("4-17", 8), ("18-18", 1)]
    assert table.rows[1][1] == 5 / 8


def test_rows_shorter_than_the_first_edge_are_in_the_first_slice(judge: Judge) -> None:
    table = judge({"test": [("refund", "refund"), *ROWS]}, length_edges=[5, 900]).report.tables["by_length"]
    assert [(row[0], row[4]) for row in table.rows] == [(table.rows[0][0], 1 + len(ROWS))]


@pytest.mark.parametrize("edges", [[9, 1], [1, 1], [], [-1, 4]])
def test_edges_that_do_not_rise_are_refused(edges: list[int]) -> None:
    settings, faults = check_settings(EvaluateSettings, {"length_edges": edges})
    assert settings is None
    assert len(faults) == 1


def test_a_matrix_of_too_many_labels_is_left_out_and_that_is_said(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judge({"test": ROWS}).report.warnings == []
    monkeypatch.setattr(label_tables, "MATRIX_LABELS", 2)
    report = judge({"test": ROWS}).report
    assert "confusion" not in report.tables
    assert report.tables["most_confused"].rows
    assert "no confusion matrix of 3 labels" in report.warnings[0]


def test_intervals_by_length_are_of_as_many_resamples_as_all_others(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    measured = module.with_intervals

    def counting(*given: Any, resamples: int, **more: Any) -> list[Measure]:
        asked.append(resamples)
        return measured(*given, resamples=resamples, **more)

    monkeypatch.setattr(module, "with_intervals", counting)
    judge({"test": ROWS}, bootstrap_resamples=120)
    assert len(asked) > 1
    assert {*asked} == {120}


def test_another_split_is_measured_when_asked(judge: Judge) -> None:
    outcome = judge({"test": ROWS, "validation": ROWS[:5]}, on="validation")
    assert outcome.report.facts["data"] == "validation"
    assert named(outcome)["accuracy"].n == 5
    assert named(outcome)["accuracy"].value == 1.0


def test_a_split_that_is_not_there_is_told_with_the_nearest(judge: Judge) -> None:
    with pytest.raises(RecipeError) as caught:
        judge({"test": ROWS}, on="tset")
    assert caught.value.code == "recipe.no-split"
    assert "Did you mean 'test'?" in str(caught.value)


def test_without_a_bundle_there_is_nothing_to_measure(judge: Judge) -> None:
    inputs = Inputs(TaskChoice("text-classification", Settings()), base=None, data={})
    with pytest.raises(RecipeError) as caught:
        EVALUATE.run(EvaluateSettings(), inputs, judge.run())
    assert caught.value.code == "recipe.no-bundle"


def test_a_label_that_the_bundle_does_not_know_is_refused_with_its_line(judge: Judge) -> None:
    with pytest.raises(DataError) as caught:
        judge({"test": [*ROWS, ("where is it", "parcel")]})
    assert caught.value.code == "data.label-unseen"
    assert [(Path(fault.file).name, fault.line) for fault in caught.value.faults] == [("test.jsonl", 9)]
    assert "'parcel'" in str(caught.value)
    assert not (judge.folder / "run" / "predictions.jsonl").exists()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_cut_texts_are_warned_of_in_the_readers_language(judge: Judge, language: Language) -> None:
    outcome = judge({"test": [*ROWS, ("long " * 300, "refund")]}, language=language)
    assert outcome.report.facts["truncated"] == 1
    [warning] = outcome.report.warnings
    assert "1" in warning
    assert "9" in warning
    assert any("\u4e00" <= c <= "\u9fff" for c in warning) is (language == "zh")


def test_tables_count_the_rows(judge: Judge) -> None:
    tables = judge({"test": ROWS}).report.tables
    assert [list(row) for row in tables["confusion"].rows] == [
        ["broken", 2, 0, 1],
        ["password", 1, 1, 0],
        ["refund", 0, 1, 2],
    ]
    assert [(row[0], row[4]) for row in tables["per_class"].rows] == [("broken", 3), ("password", 2), ("refund", 3)]


def test_a_tagging_bundle_is_measured_by_entities(tag_judge: Judge) -> None:
    rows: list[tuple[Any, str | list[str]]] = [
        (["Ada", "is", "in", "paris", "."], ["B-PER", "O", "O", "B-LOC", "O"]),
        (["Bob", "is", "in", "rome", "."], ["B-PER", "O", "O", "O", "O"]),
    ]
    outcome = tag_judge({"test": rows})
    measures = named(outcome)
    assert measures["entity_precision"].value == 3 / 4
    assert measures["entity_recall"].value == 1.0
    assert all(m.n == 2 for m in measures.values())
    assert outcome.report.facts["wrong"] == 1
    [bad] = tag_judge.lines("bad_cases.jsonl")
    assert bad["tokens"] == ["Bob", "is", "in", "rome", "."]
    assert bad["prediction"]["tags"] == ["B-PER", "O", "O", "B-LOC", "O"]
    assert [row[0] for row in outcome.report.tables["worst_mistakes"].rows] == ["Bob is in rome ."]


def test_a_split_without_entities_has_measures_that_say_why_there_is_none(tag_judge: Judge) -> None:
    outcome = tag_judge({"test": [(["is", "in", "."], ["O", "O", "O"])]})
    for m in outcome.report.measures:
        assert m.value is not None or m.reason
    assert named(outcome)["token_accuracy"].value == 1.0


def test_answers_are_written_line_by_line(tmp_path: Path) -> None:
    text, count = "x" * 20_000, 500  # one text in memory, and 10 MB of it in each file
    columns = {"text": [text] * count, "label": ["a"] * count}
    bad = np.arange(count, dtype=np.float64)
    scored = Scored({}, bad, columns["text"], columns["label"], columns["label"])
    tracemalloc.start()
    try:
        module._write_predictions(tmp_path, columns, [{"label": "b"}] * count, scored)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1 << 20
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"text": text, "label": "a", "prediction": {"label": "b"}}
    assert len(lines) == len((tmp_path / "bad_cases.jsonl").read_text().splitlines()) + 1 == count
