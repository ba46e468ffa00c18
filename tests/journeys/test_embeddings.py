"""Pairs of texts through every stage: inspect, finetune with each loss, compress, evaluate, predict, serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import hone
from hone.cli.main import main
from hone.predict.predictor import load
from hone.report.catalog import CATALOGS
from hone.serve.app import make_app

WORDS = {
    "refund": ["money", "refund", "order", "card"],
    "password": ["password", "email", "new", "reset"],
    "broken": ["screen", "laptop", "printer", "phone"],
}
ENDINGS = ["", "please", "thanks", "now", "today", "again", "help", "asap"]


def pairs(*more: str) -> list[dict[str, Any]]:
    """48 pairs that share a word, with the fields ``more``: of a score every second pair shares none."""
    rows = []
    every = [word for some in WORDS.values() for word in some]
    for i, (word, ending) in enumerate((word, ending) for word in every for ending in ENDINGS[:4]):
        other = every[(i + 5) % len(every)]
        row = {"text_a": f"{word} {ending}".strip(), "text_b": f"the {word} is {ENDINGS[i % 8]}".strip()}
        if "score" in more and i % 2:
            row["text_b"] = f"the {other} is not"
        full = {**row, "negative": f"the {other} is here", "score": float(1 + 4 * (i % 2 == 0))}
        rows.append({name: full[name] for name in ("text_a", "text_b", *more)})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(folder: Path, base: Path, rows: list[dict[str, Any]], task: dict[str, Any], **more: Any) -> hone.run:  # type: ignore[valid-type]
    train = write(folder / "train.jsonl", rows)
    tuned = {"kind": "finetune", "num_train_epochs": 6, "learning_rate": 3e-3, "save_steps": None, "dropout": 0.0}
    values = {
        "version": 1,
        "task": {"name": "sentence-embedding", **task},
        "base": str(base),
        "data": {"train": str(train), "test": str(write(folder / "test.jsonl", rows))},
        "stages": [{**tuned, **more}, "evaluate"],
    }
    return hone.run(values, out=folder / "run")


CASES: dict[str, tuple[tuple[str, ...], dict[str, Any], dict[str, Any], str, float]] = {
    "pairs": ((), {"loss": "contrastive"}, {}, "mrr", 0.3),
    "accumulated": ((), {"loss": "contrastive"},
                    {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}, "mrr", 0.3),
    "mined": ((), {"negatives": "mined", "matryoshka": [8], "dimensions": 8}, {}, "mrr", 0.3),
    "scores": (("score",), {"loss": "cosine"}, {}, "spearman", 0.5),
    "order": (("score",), {"loss": "cosent"}, {}, "spearman", 0.5),
    "triplets": (("negative",), {"loss": "triplet", "pooling": "cls"}, {}, "triplet_accuracy", 0.8),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_loss_learns_what_its_rows_teach(case: str, tiny_base: Path, tmp_path: Path) -> None:
    fields, task, more, measure, least = CASES[case]
    result = run(tmp_path, tiny_base, pairs(*fields), task, **more)
    found = {one.name: one for one in result.reports["evaluate"].measures}
    assert (found[measure].value or 0) >= least, found[measure]
    for report in result.reports.values():
        words = {*report.facts, *report.tables, *(one.name for one in report.measures)}
        words |= {column for grid in report.tables.values() for column in grid.columns}
        for language, catalog in CATALOGS.items():
            assert words <= set(catalog), (language, report.stage)


def labels() -> list[dict[str, Any]]:
    return [
        {"text": f"the {one} {ending}".strip(), "label": label}
        for label, words in WORDS.items()
        for one in words
        for ending in ENDINGS[:4]
    ]


@pytest.fixture(scope="module")
def untaught(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one step at no rate to speak of makes of the base."""
    result = run(tmp_path_factory.mktemp("untaught"), tiny_base, pairs(), {}, max_steps=1, learning_rate=1e-9)
    return result.bundle.path


def told_apart(bundle: Path) -> float:
    """How much nearer texts of one label are than those of different ones, in cosines."""
    vectors = np.array([answer["embedding"] for answer in load(bundle).predict([row["text"] for row in labels()])])
    near = vectors @ vectors.T
    same = np.array([[one["label"] == other["label"] for other in labels()] for one in labels()])
    return float(near[same].mean() - near[~same].mean())


@pytest.mark.parametrize("more", [{}, {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}])
def test_labeled_texts_teach_which_belong_together(
    more: dict[str, Any], untaught: Path, tiny_base: Path, tmp_path: Path
) -> None:
    rows = [*labels(), {"text": "hello", "label": "greeting"}]
    result = run(tmp_path, tiny_base, rows, {}, **more)
    found = {one.name: one.value for one in result.reports["evaluate"].measures}
    assert (found["recall_at_1"] or 0) >= 0.9
    assert found["spearman"] is None
    assert any("1 training texts" in warning for warning in result.reports["finetune"].warnings)
    assert result.bundle is not None
    assert told_apart(result.bundle.path) > 0.1 > 2 * told_apart(untaught)


def test_labeled_texts_are_inspected(tiny_base: Path, tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [*labels(), labels()[0], {"text": "hello", "label": "greeting"}])
    test = write(tmp_path / "test.jsonl", pairs())
    values = {"version": 1, "task": "sentence-embedding", "base": str(tiny_base), "stages": ["inspect"],
              "data": {"train": str(train), "test": str(test), "validation": "none"}}  # fmt: skip
    report = hone.run(values, out=tmp_path / "run").reports["inspect"]
    assert any("1 training texts are the only ones" in warning for warning in report.warnings)
    assert report.tables["duplicates"].rows[0][1] == 1
    assert {row[0] for row in report.tables["label_histogram"].rows} == {*WORDS, "greeting"}


def test_a_bundle_of_pairs_is_measured_on_labeled_texts(bundle: Path, tmp_path: Path) -> None:
    test = write(tmp_path / "test.jsonl", labels())
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(bundle), str(test), "--out", str(tmp_path / "found")])
    assert ended.value.code == 0
    report = json.loads((tmp_path / "found" / "reports" / "00-evaluate.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["value"] for one in report["measures"]}["mrr"] > 0.3


@pytest.mark.parametrize(
    ("task", "field"),
    [({"loss": "cosent"}, "score"), ({"loss": "triplet"}, "negative"), ({"negatives": "mined"}, "text_b")],
)
def test_labeled_texts_do_not_serve_other_losses(
    task: dict[str, Any], field: str, tiny_base: Path, tmp_path: Path
) -> None:
    with pytest.raises(hone.RecipeError) as caught:
        run(tmp_path, tiny_base, labels(), task)
    assert [fault.field for fault in caught.value.faults] == [f"stages.0.{field}"]


def test_texts_of_one_label_teach_nothing(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(hone.DataError) as caught:
        run(tmp_path, tiny_base, labels()[:10], {})
    assert caught.value.code == "data.one-class"


def test_a_row_of_neither_pairs_nor_labels_is_told_what_it_nearly_is(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": row["text"], "labell": row["label"]} for row in labels()]
    with pytest.raises(hone.DataError) as caught:
        run(tmp_path, tiny_base, rows, {})
    assert {fault.field for fault in caught.value.faults} == {"label"}
    assert "Did you mean 'labell'?" in str(caught.value)


@pytest.fixture(scope="module")
def bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = run(tmp_path_factory.mktemp("embedding"), tiny_base, pairs(), {}, num_train_epochs=2)
    return result.bundle.path


def test_a_text_is_answered_by_a_vector_of_length_one(bundle: Path) -> None:
    one, other = load(bundle).predict(["the screen is broken", ""])
    assert one.keys() == other.keys() == {"embedding", "truncated"}
    assert np.linalg.norm(one["embedding"]) == pytest.approx(1.0, abs=1e-6)


def test_a_pair_is_answered_by_the_cosine_of_its_texts(bundle: Path) -> None:
    predictor = load(bundle)
    [answer] = predictor.predict({"text_a": "new password", "text_b": "the printer"})
    one, other = (np.array(alone["embedding"]) for alone in predictor.predict(["new password", "the printer"]))
    assert answer["similarity"] == pytest.approx(float(one @ other), abs=1e-6)
    assert np.allclose(answer["embeddings"], [one, other], atol=1e-6)


def test_service_and_command_answer_alike(bundle: Path, tmp_path: Path) -> None:
    expected = load(bundle).predict(["the screen", "my card"])
    with TestClient(make_app(load(bundle))) as client:
        got = client.post("/predict", json={"inputs": ["the screen", "my card"]}).json()["predictions"]
        assert "labels:" not in client.get("/docs").text
    assert got == expected
    (tmp_path / "texts.txt").write_text("the screen\nmy card\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(bundle), str(tmp_path / "texts.txt"), "--out", str(tmp_path / "out.jsonl")])
    assert ended.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert np.allclose([line["embedding"] for line in lines], [one["embedding"] for one in expected], atol=1e-6)


@pytest.mark.parametrize("rows", [pairs, labels])
@pytest.mark.parametrize(
    "method", [{"name": "int8"}, {"name": "distill", "layers": 1, "num_train_epochs": 1.0}, {"name": "vocabulary"}],
    ids=lambda method: method["name"],
)  # fmt: skip
def test_compression_keeps_what_is_alike_alike(rows: Any, bundle: Path, method: dict[str, Any], tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows())
    arguments = [f"method.{key}={value}" for key, value in method.items() if key != "name"]
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "compress",
                str(bundle),
                str(train),
                "--out",
                str(tmp_path / "small"),
                "--method",
                method["name"],
                *arguments,
            ]
        )
    assert ended.value.code == 0
    report = json.loads((tmp_path / "small" / "attachments" / "compress.json").read_text(encoding="utf-8"))
    assert next(one["value"] for one in report["measures"] if one["name"] == "agreement") > 0.5


def test_a_narrower_student_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path / "train.jsonl", pairs())
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(bundle), str(train), "--out", str(tmp_path / "small"), "--method", "distill",
              "method.layers=1", "method.width=16"])  # fmt: skip
    assert ended.value.code == 2
    assert "as wide as it is" in capsys.readouterr().err


@pytest.mark.parametrize(("loss", "field"), [("cosine", "score"), ("triplet", "negative")])
def test_a_loss_whose_column_is_missing_is_refused(loss: str, field: str, tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(hone.RecipeError) as caught:
        run(tmp_path, tiny_base, pairs(), {"loss": loss})
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [
        ("data.column-missing", f"stages.0.{field}")
    ]


def test_a_column_that_some_rows_lack_is_named_with_its_line(tiny_base: Path, tmp_path: Path) -> None:
    rows = pairs("score")
    del rows[3]["score"]
    with pytest.raises(hone.DataError) as caught:
        run(tmp_path, tiny_base, rows, {"loss": "cosine"})
    assert {(fault.field, fault.line) for fault in caught.value.faults} == {("score", 4)}


def test_more_dimensions_than_the_base_has_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(hone.RecipeError) as caught:
        run(tmp_path, tiny_base, pairs(), {"dimensions": 10_000})
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [
        ("recipe.dimensions", "stages.0.dimensions")
    ]
