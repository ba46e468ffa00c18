"""Timing: real systems on tiny bundles; what is counted, what the report holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import transformers

import hone
from hone.bench.bench import bench
from hone.bench.systems import Hone, Pipeline
from hone.core.errors import DataError
from hone.predict.predictor import Predictor, load
from hone.report.report import Report

TEXTS = ["my card is lost", "please reset the password", "it is good", "where is my order , it is late again"] * 6


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
