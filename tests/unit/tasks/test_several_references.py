"""Rows with several references: all of them measure, the first is learned."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

import hone
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.data.read import read
from hone.data.source import Source
from hone.models.tiny import write_tiny_writer
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import run_stages
from hone.tasks.fields import shape_of
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.summarization import Summarization
from hone.tasks.translation import Translation
from hone.tasks.writing_settings import SummarizationSettings, TranslationSettings
from hone.tasks.written_scores import given, to_learn

FIRST = ["The cat is on the mat .", "A dog runs in the park .", "It is late"]
OTHERS = [
    ["There is a cat on the mat .", FIRST[0]],
    ["A dog is running in a park ."],
    ["It is late", "It got late now"],
]
SAID = ["There is a cat on a mat .", "A dog runs in a park .", "It is late now"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("references") / "bart", kind="bart")


def task_of(kind: type[Translation] | type[Summarization], base: Path) -> Task:
    settings: Any = TranslationSettings() if kind is Translation else SummarizationSettings()
    return make_task(kind.name, settings, labels=(), folder=base)


def written(texts: list[str]) -> list[dict[str, Any]]:
    return [{"text": text, "ended": "stop"} for text in texts]


def test_the_target_and_the_others_are_each_given_once() -> None:
    assert given({"target": FIRST, "targets": OTHERS})[0] == [FIRST[0], "There is a cat on the mat ."]
    assert given({"targets": OTHERS}) == OTHERS
    assert given({"target": FIRST}) == [[text] for text in FIRST]


def test_a_translation_is_measured_against_all_of_them_as_sacrebleu_does(base: Path) -> None:
    task, columns = task_of(Translation, base), {"source": FIRST, "target": FIRST, "targets": OTHERS}
    measured = task.measures(task.tally(written(SAID), columns))
    streams = [FIRST, ["There is a cat on the mat .", "A dog is running in a park .", "It got late now"]]
    assert measured["bleu"] == sacrebleu.corpus_bleu(SAID, streams).score
    assert measured["chrf"] == sacrebleu.corpus_chrf(SAID, streams).score
    rows = task.scored(written(SAID), columns).tables["signatures"].rows
    assert all(str(row[1]).startswith("nrefs:2|") for row in rows)


def test_a_summary_is_measured_against_the_nearest_of_them_as_rouge_score_does(base: Path) -> None:
    task, columns = task_of(Summarization, base), {"source": FIRST, "targets": OTHERS}
    measured = task.measures(task.tally(written(SAID), columns))
    theirs = [RougeScorer(["rougeL"]).score_multi(gold, said) for gold, said in zip(OTHERS, SAID, strict=True)]
    assert measured["rougeL"] == pytest.approx(np.mean([score["rougeL"].fmeasure for score in theirs]))


def test_of_references_alone_the_first_is_learned(base: Path) -> None:
    task = task_of(Translation, base)
    assert to_learn({"source": FIRST, "targets": OTHERS}) == [texts[0] for texts in OTHERS]
    one, other = (
        task.encode(columns, purpose="learn").column("target_ids").to_pylist()
        for columns in ({"source": FIRST, "targets": OTHERS}, {"source": FIRST, "target": [t[0] for t in OTHERS]})
    )
    assert one == other
    settled = Translation.settled(TranslationSettings(), Dataset.from_columns("train", {"targets": [["我爱你", "a"]]}))
    assert settled.bleu_tokenizer == "zh"


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"source": "a", "target": "b"}, ["source", "target"]),
        ({"source": "a", "targets": ["b", "c"]}, ["source", "targets"]),
        ({"source": "a", "target": "b", "targets": ["b", "c"]}, ["source", "target", "targets"]),
    ],
)
def test_rows_have_either_or_both(row: dict[str, Any], kept: list[str], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    shapes = Translation.shapes()
    rows = read(
        Source(path="rows.jsonl"), *(s.fields for s in shapes), name="test", base=tmp_path, cache=tmp_path / "cache"
    )
    assert list(rows.columns) == kept
    assert [field.name for field in shape_of(Translation, rows.columns).fields][: len(kept)] == kept


@pytest.mark.skipif("HONE_DATA" not in os.environ, reason="HONE_DATA names no folder with public data sets")
def test_a_published_set_with_several_references_is_read_as_it_is(tmp_path: Path) -> None:
    file = Path(os.environ["HONE_DATA"]) / "summarisation" / "scitldr_a" / "test.jsonl"
    fields = [shape.fields for shape in Summarization.shapes()]
    rows = read(Source(path=str(file)), *fields, name="test", base=tmp_path, cache=tmp_path)
    columns = rows.slice(0, len(rows))
    assert len(rows) == 618
    assert sorted({len(texts) for texts in given(columns)}) == [2, 3, 4]


def test_validation_rows_are_taken_though_every_text_to_write_is_another(tmp_path: Path) -> None:
    rows = [{"source": f"text {i}", "targets": [f"Text {i}", f"T. {i}"]} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = {"version": 1, "task": "translation", "base": "minilm", "data": {"train": str(tmp_path / "rows.jsonl")},
              "stages": ["inspect"]}  # fmt: skip
    report = hone.run(recipe, out=tmp_path / "run").reports["inspect"]
    assert [row[:2] for row in report.tables["splits"].rows] == [["train", 18], ["validation", 2]]
    assert "label_histogram" not in report.tables


def test_the_memory_of_training_has_the_scores_over_the_vocabulary(base: Path, tmp_path: Path) -> None:
    rows = [{"source": f"my card {i}", "target": "the card is broken " * (1 + i % 3)} for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = str(tmp_path / "rows.jsonl")
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    told = task_of(Translation, base).encode(columns, purpose="learn").column("target_ids").to_pylist()
    longest = sorted(map(len, told))[-16:]
    recipe = {"version": 1, "task": "translation", "base": str(base), "data": {"train": data, "validation": data},
              "stages": ["inspect", {"kind": "finetune", "per_device_train_batch_size": 16}]}  # fmt: skip
    decided = make_recipe(recipe, folder=tmp_path)
    report = run_stages(decided, out=tmp_path / "run", progress=Silent(), until="inspect").reports["inspect"]
    found = next(row[1] for row in report.tables["cost"].rows if row[0] == "scores_mb")
    tokens = json.loads((base / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    assert found == round(16 * sum(longest) * tokens / 1e6) > 1
