"""Pairs, scores and sets of labels through every stage: inspect, finetune, evaluate, compress, predict, serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import hone
from hone.bundle.bundle import Bundle
from hone.cli.main import main
from hone.predict.predictor import load
from hone.report.catalog import CATALOGS
from hone.serve.app import make_app
from hone.tasks.protocol import LABELED

TEXTS = {
    "refund": ["i want my money back", "please refund my order", "refund not here yet", "need the refund for the card"],
    "password": ["forgot my password", "reset the password please", "password does not work", "new password email"],
    "broken": ["the screen is broken", "my laptop is broken", "printer broken again", "broken phone screen"],
}
ENDINGS = ["", " please", " thanks", " now", " today", " again", " help me", " asap"]
THINGS = {"money", "order", "card", "screen", "laptop", "printer", "phone", "email"}
NAMES = {"refund": 1.0, "password": 2.0, "broken": 4.0}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_for(task: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    texts = [(text + ending, label) for label, some in TEXTS.items() for text in some for ending in ENDINGS]
    for i, (text, label) in enumerate(texts):
        pair = {"text_a": " ".join(text.split()[:2]), "text_b": " ".join(text.split()[2:])}
        first, second = text.split()[:2]
        spans = {
            "head": {"start": 0, "end": len(first)},
            "tail": {"start": len(first) + 1, "end": len(first) + 1 + len(second)},
        }
        answers = [] if label == "broken" else [{"text": first, "start": 0}]
        score = {"score": NAMES[label] + 0.01 * (i % 5)}
        labels = {"labels": [label] if i % 7 else [label, "odd"]}
        slots = {"tags": ["B-thing" if word in THINGS else "O" for word in text.split()]}
        rows.append(
            {
                "text-pair-classification": {**pair, "label": label},
                "relation-extraction": {"text": text, **spans, "label": label},
                "question-answering": {"context": text, "question": f"what of {label}", "answers": answers},
                "text-regression": {"text": text, **score},
                "text-pair-regression": {**pair, **score},
                "multi-label-classification": {"text": text, **labels},
                "multiple-choice": {"question": text, "choices": sorted(TEXTS)[i % 2 :], "label": label}
                if i % 2 == 0 or label != "broken"
                else {"question": text, "choices": ["broken", "odd"], "label": 0},
                "span-classification": {"text": text, "entities": nested(text)},
                "intent-and-slots": {"tokens": text.split(), **slots, "label": label},
                "fill-mask": {"text": text},
            }[task]
        )
    return rows


def nested(text: str) -> list[dict[str, Any]]:
    """The first two words, and the second one where it names a thing."""
    first, second = text.split()[:2]
    entities = [{"start": 0, "end": len(first) + 1 + len(second), "label": "begin"}]
    if second in THINGS:
        entities.append({"start": len(first) + 1, "end": len(first) + 1 + len(second), "label": "thing"})
    return entities


GOOD = {
    "text-pair-classification": ("accuracy", 0.9),
    "relation-extraction": ("relation_f1", 0.4),
    "question-answering": ("f1", 0.5),
    "text-regression": ("spearman", 0.6),
    "text-pair-regression": ("spearman", 0.4),
    "multi-label-classification": ("micro_f1", 0.65),
    "intent-and-slots": ("frame_accuracy", 0.8),
    "span-classification": ("entity_f1", 0.8),
    "multiple-choice": ("accuracy", 0.45),
    "fill-mask": ("top_5_accuracy", 0.2),
}
COMPRESSED = {"name": "int8"}


@pytest.mark.parametrize("task", GOOD)
def test_a_task_goes_through_all_stages(
    task: str, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_for(task)
    train = write_jsonl(tmp_path / "train.jsonl", [row for i, row in enumerate(rows) if i % 4])
    test = write_jsonl(tmp_path / "test.jsonl", rows[::4])
    values = {
        "version": 1,
        "task": task,
        "base": str(tiny_base),
        "data": {"train": str(train), "test": str(test)},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 12, "learning_rate": 5e-3, "save_steps": None, "dropout": 0.0},
            {"kind": "compress", "method": COMPRESSED},
            "evaluate",
        ],
    }
    result = hone.run(values, out=tmp_path / "run")
    assert result.bundle is not None
    measure, least = GOOD[task]
    found = {one.name: one for one in result.reports["evaluate"].measures}
    assert (found[measure].value or 0) >= least, found[measure]
    for report in result.reports.values():
        words = {*report.facts, *report.tables, *(one.name for one in report.measures)}
        words |= {column for grid in report.tables.values() for column in grid.columns if grid.show != "matrix"}
        for language, catalog in CATALOGS.items():
            assert words <= set(catalog), (language, report.stage)
    _predicts_and_serves(result.bundle, rows, test, tmp_path, capsys)


def close(one: Any, other: Any) -> bool:
    """Equal, numbers to rounding: an int8 answer may differ in the last digits by what is beside it in a batch."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == (pytest.approx(other, abs=1e-5) if isinstance(one, float) else other)


def _predicts_and_serves(
    bundle: Bundle, rows: list[dict[str, Any]], test: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line, the Python call and the service give the same answers."""
    predictor = load(bundle.path)
    names = [field.name for field in predictor.task.inputs]
    inputs = [{name: row[name] for name in names} for row in rows[:3]]
    answers = predictor.predict(inputs)
    if len(names) == 1:
        assert predictor.predict([row[names[0]] for row in inputs]) == answers
    with TestClient(make_app(predictor)) as client:
        sent = inputs if len(names) > 1 else [row[names[0]] for row in inputs]
        assert client.post("/predict", json={"inputs": sent}).json()["predictions"] == answers
        first = [sent[0]] if isinstance(sent[0], list) else sent[0]  # words alone would be so many texts
        [alone] = client.post("/predict", json={"inputs": first}).json()["predictions"]
        assert close(alone, answers[0])
        refused = client.post("/predict", json={"inputs": {"text_c": "x"}})
        assert refused.status_code == 422
        assert names[0] in refused.json()["message"] or len(names) == 1
        page = client.get("/docs").text
        assert any(all(field.name in page for field in fields) for fields in predictor.input_choices)
        assert ("labels: " in page) == (predictor.task.says in LABELED)
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(bundle.path), str(test), "--out", str(folder / "answers.jsonl")])
    assert ended.value.code == 0
    capsys.readouterr()
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert close(lines[0], answers[0])
    assert len(lines) == len(rows[::4])


def test_tuned_thresholds_are_in_the_bundle_and_bound_to_its_weights(tiny_base: Path, tmp_path: Path) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", rows_for("multi-label-classification"))
    stage = {"kind": "finetune", "num_train_epochs": 4, "learning_rate": 5e-3, "save_steps": None}
    values: dict[str, Any] = {
        "version": 1, "task": "multi-label-classification", "base": str(tiny_base), "stages": [stage],
        "data": {"train": str(train)},
    }  # fmt: skip
    bundle = hone.run(values, out=tmp_path / "tuned").bundle
    assert bundle is not None
    [part] = [part for part in bundle.manifest.parts if part.role == "decision"]
    assert part.fitted_on == bundle.manifest.weights_digest()
    assert set(part.settings["thresholds"]) == {"broken", "odd", "password", "refund"}
    assert load(bundle.path).task.decision == part.settings  # type: ignore[attr-defined]
    values["data"]["validation"] = "none"
    values["stages"] = [{**stage, "eval_strategy": "no", "keep": "last"}]
    untuned = hone.run(values, out=tmp_path / "untuned").bundle
    assert untuned is not None
    assert not [part for part in untuned.manifest.parts if part.role == "decision"]
