"""Timing: real systems on tiny bundles; what is counted, what the report holds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import transformers

import hone
from hone.bench.bench import bench
from hone.bench.systems import Hone, OnnxRuntime, Pipeline, systems_for, told_apart
from hone.core.errors import DataError
from hone.core.progress import Silent
from hone.models.onnx import load_onnx
from hone.predict.predictor import Predictor, load
from hone.report.report import Report
from hone.tasks.rows import SECOND

TEXTS = ["my card is lost", "please reset the password", "it is good", "where is my order , it is late again"] * 6


class Said(Silent):
    """What was said to the user."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


def timed(bundle: Path, texts: Sequence[str] = TEXTS) -> tuple[Predictor, Report]:
    predictor = load(bundle, device="cpu")
    return predictor, bench(predictor, (Hone(predictor), Pipeline(predictor)), texts, repeats=2)


def test_the_report_speaks_of_both_systems_at_every_batch_size(text_bundle: Path) -> None:
    predictor, report = timed(text_bundle)
    assert report.bundle == predictor.bundle.digest
    assert [row[0] for row in report.tables["speed"].rows] == ["hone", "transformers"]
    assert [row[0] for row in report.tables["throughput_by_batch"].rows] == [1, 8, 32, 128]
    lengths = [row[0] for row in report.tables["cost_by_length"].rows]
    assert lengths == sorted(lengths)  # type: ignore[type-var]
    assert all(cell > 0 for name in ("throughput_by_batch", "cost_by_length")
               for row in report.tables[name].rows for cell in row)  # type: ignore[operator]  # fmt: skip


def test_figures_are_medians_within_their_bounds(text_bundle: Path) -> None:
    _, report = timed(text_bundle)
    speed = [dict(zip(report.tables["speed"].columns, row, strict=True)) for row in report.tables["speed"].rows]
    for row in speed:
        assert row["low"] <= row["texts_per_s"] <= row["high"]  # type: ignore[operator]
        assert row["p50_ms"] <= row["p99_ms"]  # type: ignore[operator]
    rate, ratio = report.measures
    assert (rate.name, rate.value, rate.n, rate.level) == ("texts_per_s", speed[0]["texts_per_s"], 2, 0.5)
    assert (ratio.name, ratio.slice) == ("times_as_fast", "transformers")
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= speed[0]["texts_per_s"] / speed[1]["texts_per_s"] <= ratio.high  # type: ignore[operator]


def test_padding_is_counted_where_it_is_computed(text_bundle: Path) -> None:
    predictor = load(text_bundle, device="cpu")
    lengths = np.array([3, 9, 4, 4])
    assert Pipeline(predictor).computed(lengths, batch=2) == 2 * 9 + 2 * 4
    assert Hone(predictor).computed(lengths, batch=2) == 3 + 9 + 4 + 4


def test_systems_on_other_devices_are_named_with_them(onnx_bundle: Path) -> None:
    predictor = load(onnx_bundle)
    ours, runtime = Hone(predictor), OnnxRuntime(predictor, load_onnx(onnx_bundle))
    assert [system.name for system in told_apart((ours, runtime))] == ["hone", "ONNX Runtime"]
    ours.device = "cuda"
    assert [system.name for system in told_apart((ours, runtime))] == ["hone (cuda)", "ONNX Runtime (cpu)"]


def test_the_pipeline_runs_where_hone_does(text_bundle: Path) -> None:
    predictor = load(text_bundle)
    pipeline = Pipeline(predictor)
    assert pipeline.device == pipeline._call.device.type == predictor.engine.device.type


def test_a_tagger_is_timed_too(tag_bundle: Path) -> None:
    _, report = timed(tag_bundle)
    assert len(report.tables["speed"].rows) == 2


def test_the_pipeline_over_a_plain_bundle_answers_as_hone_does(
    texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    """Both systems do the same work."""
    recipe = {
        "version": 1, "task": {"name": "text-classification", "pooling": "cls"}, "base": str(tiny_base),
        "data": {"train": str(texts["train"])}, "stages": [{"kind": "finetune", "max_steps": 5, "save_steps": None}],
    }  # fmt: skip
    bundle = hone.run(recipe, out=tmp_path / "run").bundle
    assert bundle is not None
    predictor = load(bundle.path, device="cpu")
    pipe = Pipeline(predictor)._call
    ours, theirs = predictor.predict(TEXTS[:4]), pipe(TEXTS[:4])
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    assert [answer["score"] for answer in ours] == pytest.approx([answer["score"] for answer in theirs], abs=1e-5)
    assert isinstance(pipe.model, transformers.BertForSequenceClassification)


def test_no_texts_are_refused(text_bundle: Path) -> None:
    with pytest.raises(DataError, match="no texts"):
        timed(text_bundle, [])


def test_onnx_runtime_answers_what_the_predictor_answers(onnx_bundle: Path, text_bundle: Path) -> None:
    predictor = load(onnx_bundle)
    labels, chances = OnnxRuntime(predictor, load_onnx(onnx_bundle)).scores(TEXTS[:4])
    theirs = load(text_bundle, device="cpu").predict(TEXTS[:4])
    assert [predictor.task.labels[i] for i in labels] == [answer["label"] for answer in theirs]
    assert list(chances) == pytest.approx([answer["score"] for answer in theirs], abs=1e-5)


def test_a_graph_is_timed_as_it_is_beside_hone(onnx_bundle: Path) -> None:
    predictor, said = load(onnx_bundle), Said()
    systems = systems_for(predictor, progress=said)
    assert [system.name for system in systems] == ["hone", "ONNX Runtime"]
    assert said.words == []
    report = bench(predictor, systems, TEXTS, repeats=2)
    assert [(measure.name, measure.slice) for measure in report.measures] == [
        ("texts_per_s", ""),
        ("times_as_fast", "ONNX Runtime"),
    ]
    lengths = np.array([3, 9, 4, 4])
    assert [system.computed(lengths, batch=2) for system in systems] == [2 * 9 + 2 * 4] * 2


def test_a_graph_of_a_task_over_pairs_takes_token_types(text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load(text_bundle, device="cpu")
    schema = {**predictor.task.row_schema, SECOND: pa.int64()}
    monkeypatch.setattr(type(predictor.task), "row_schema", schema)
    runtime = systems_for(predictor, progress=Silent())[-1]
    assert isinstance(runtime, OnnxRuntime)
    assert runtime._inputs == {"input_ids", "attention_mask", "token_type_ids"}


def test_a_tagger_stands_on_a_head_of_transformers_in_onnx_runtime(tag_bundle: Path) -> None:
    predictor, said = load(tag_bundle, device="cpu"), Said()
    systems = systems_for(predictor, progress=said)
    assert [system.name for system in systems] == ["hone", "transformers", "ONNX Runtime"]
    assert said.words == ["exporting the model for ONNX Runtime, which takes a while"]
    runtime = systems[2]
    assert isinstance(runtime, OnnxRuntime)
    labels, _ = runtime.scores(["Ada is in rome", "Bob"])
    assert labels.shape[0] == 2
    assert labels.max() < len(predictor.task.labels)


def test_without_onnx_runtime_the_others_are_timed_and_that_is_said(
    text_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = Said()
    systems = systems_for(load(text_bundle, device="cpu"), progress=said)
    assert [system.name for system in systems] == ["hone", "transformers"]
    assert "pip install 'hone[onnx]'" in said.words[0]
