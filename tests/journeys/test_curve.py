"""`hone curve`: ever larger parts of the data, measured on the same, and what more would bring."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hone.core.errors import RecipeError
from hone.core.measures import Measure
from hone.data.dataset import Dataset
from hone.data.splits import nested_part
from hone.pipeline.curve import Point, _measured, curve_report, learning_curve
from hone.pipeline.recipe import load_recipe
from hone.report.report import Report

Command = Callable[..., tuple[object, str, str]]


def recipe(folder: Path, base: Path, texts: dict[str, Path]) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(
        f"version: 1\ntask: text-classification\nbase: {base}\ndevice: cpu\n"
        f"data: {{train: {texts['train']}, test: {texts['test']}}}\n"
        "stages:\n  - {kind: finetune, num_train_epochs: 1, learning_rate: 0.005, save_steps: null}\n  - evaluate\n"
    )
    return file


def test_parts_are_measured_once_and_what_more_would_bring_is_told(
    tiny_base: Path, texts: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    file, out = recipe(tmp_path, tiny_base, texts), tmp_path / "out"
    code, said, words = command("curve", file, "--points", "3", "--out", out, "--json")
    assert code == 0, words
    report = json.loads(said)
    rows = report["tables"]["curve_points"]["rows"]
    assert [row[1] for row in rows] == [0.25, 0.5, 1.0]
    assert rows[0][0] < rows[1][0] < rows[2][0]
    assert [one["slice"] for one in report["measures"]] == ["all_data", "times_2", "times_4"]
    _, again, words = command("curve", file, "--points", "3", "--out", out, "--json")
    assert json.loads(again) == report
    assert "finetune ..." not in words
    next(out.glob("share-0.25-*/point.json")).unlink()  # as of a run that was killed while it evaluated
    code, again, words = command("curve", file, "--points", "3", "--out", out, "--json")
    assert code == 0, words
    assert json.loads(again)["tables"]["curve_points"] == report["tables"]["curve_points"]
    assert words.count("finetune ...") == 1
    with pytest.raises(RecipeError, match="no stage has a value") as caught:
        learning_curve(file, out=tmp_path / "other", points=1, measure="bleu")
    assert caught.value.code == "curve.no-measure"


def point(size: int, value: float, *, name: str = "held_perplexity") -> Point:
    better, unit = ("lower", "") if "perplexity" in name else ("higher", "share" if name == "accuracy" else "")
    measure = Measure(name=name, value=value, low=value * 0.99, high=value * 1.01, n=100, unit=unit, better=better)
    return Point(size / 16000, size, measure)


def test_a_perplexity_falls_by_its_logarithm() -> None:
    sizes = [1000, 2000, 4000, 8000, 16000]
    found = curve_report([point(size, float(np.exp(2 + 30 * size**-0.4))) for size in sizes])
    twice = found.measures[1]
    assert twice.value == pytest.approx(np.exp(2 + 30 * 32000**-0.4), rel=2e-3)
    assert twice.low is not None
    assert twice.high is not None
    assert twice.low < twice.value < twice.high
    assert found.tables["learning_curve"].rows[-1][1] is None


def test_a_share_never_passes_one() -> None:
    found = curve_report([point(size, 1 - 0.2 * 1000 / size, name="accuracy") for size in (1000, 2000, 4000)])
    assert all(one.high is not None and one.high <= 1 for one in found.measures[1:])


def test_what_has_no_bound_has_no_law() -> None:
    found = curve_report([point(size, size / 100, name="vae_active_units") for size in (1000, 2000, 4000)])
    assert [one.slice for one in found.measures] == ["all_data"]
    assert found.warnings
    assert "learning_curve" not in found.tables
    assert len(found.tables["curve_points"].rows) == 3


def test_a_probe_is_named_as_its_recipe_names_it(tiny_base: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    measures = [Measure(name="accuracy", value=value, slice=name) for name, value in (("one", 0.5), ("other", 0.7))]
    reports = {"pretrain": Report(stage="pretrain", measures=measures)}
    whole = load_recipe(recipe(tmp_path, tiny_base, texts))
    assert _measured(reports, whole, "other.accuracy").value == 0.7
    assert _measured(reports, whole, "accuracy").value == 0.5


def test_of_two_parts_there_is_no_law() -> None:
    found = curve_report([point(1000, 9.0), point(2000, 8.0)])
    assert found.warnings
    assert "learning_curve" not in found.tables


def test_smaller_parts_are_within_larger_ones_and_have_every_label() -> None:
    labels = ["a"] * 40 + ["b"] * 8 + ["c"]
    rows = Dataset.from_columns("train", {"text": [str(i) for i in range(49)], "label": labels})
    parts = [nested_part(rows, share=share, seed=1, target="label") for share in (0.25, 0.5, 1.0)]
    texts = [set(part.column("text")) for part in parts]
    assert texts[0] < texts[1] < texts[2]
    assert [parts[0].column("label").count(label) for label in "abc"] == [10, 2, 1]
    assert len(parts[2]) == 49
