"""The method onnx: a graph that answers as its parent does, also in integers, and what cannot be done with it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.stage import Run
from hone.cli.main import main
from hone.compress import onnx as method
from hone.compress.calibration import calibration_rows
from hone.compress.onnx import _batches, _rounded
from hone.compress.settings import OnnxSettings
from hone.compress.start import Made, Start
from hone.core.errors import GateNotMet, HoneError, MissingExtra, RecipeError
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.models.export import export_onnx
from hone.models.onnx import CONSTANTS_FILE, ONNX_FILE, OnnxModel, load_onnx
from hone.predict.batching import score_rows
from hone.predict.engine import engine_of
from hone.predict.predictor import load, open_model
from hone.report.catalog import CATALOGS
from hone.tasks.rows import Rows

TEXTS = ["my card is lost", "please reset the password now", "the screen is broken", "i want my money back please"]


def start(bundle: Path, folder: Path, **data: Dataset) -> Start:
    opened = Bundle.open(bundle)
    model, task = open_model(opened)
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    return Start(opened, model.eval(), task, data, run)


@pytest.fixture(scope="module")
def tables(text_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Start, OnnxModel]:
    """A bundle opened, and exported with int8 tables."""
    given = start(text_bundle, tmp_path_factory.mktemp("given"), train=Dataset.from_columns("train", {"text": TEXTS}))
    return given, export_onnx(given.model, tables="int8")


def scores(given: Start, model: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = Rows(given.task.encode({"text": [*TEXTS, "refund"]}, purpose="predict"))
    return np.array(score_rows(given.task, engine_of(model, device="cpu"), rows))


@pytest.mark.parametrize("activations", ["dynamic", "static"])
def test_integers_say_nearly_what_float_says(tables: tuple[Start, OnnxModel], activations: str) -> None:
    given, exported = tables
    batches = _batches(given, calibration_rows(given, most=3)) if activations == "static" else []
    rounded = _rounded(exported, activations=activations, batches=batches)
    expected = scores(given, given.model)
    assert scores(given, rounded) == pytest.approx(expected, abs=0.1 * float(expected.std()))
    assert rounded.settings == {"precision": "int8", "activations": activations}
    assert len(rounded.graph) < 0.8 * len(exported.graph)
    graph = onnx.load_from_string(rounded.graph)
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    arrays = {value.name: onnx.numpy_helper.to_array(value) for value in graph.graph.initializer}
    matrices = [array for name, array in arrays.items() if array.dtype == np.int8 and name.endswith("_quantized")]
    assert len(matrices) == 12  # six of each layer; what is not of the backbone stays
    assert max(int(np.abs(matrix.astype(int)).max()) for matrix in matrices) <= 64
    assert [array.dtype for name, array in arrays.items() if name.startswith("model.head.")] == [np.float32] * 2


def test_what_logs_is_left_as_it_was(tables: tuple[Start, OnnxModel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    _rounded(tables[1], activations="dynamic", batches=[])
    assert logging.getLogger().handlers == []


def test_calibration_rows_are_spread_over_all_texts(text_bundle: Path, tmp_path: Path) -> None:
    sets = {name: Dataset.from_columns(name, {"text": [f"{word} " * (i + 1) for i in range(50)]})
            for name, word in {"train": "card", "unlabeled": "phone", "validation": "bank"}.items()}  # fmt: skip
    given = start(text_bundle, tmp_path, **sets)
    rows = calibration_rows(given, most=30)
    assert len(rows) == 30
    seen = {int(rows.row("input_ids", i)[1]) for i in range(30)}
    assert seen == {given.task.tokenizer.encode([word])[0][0] for word in ("card", "phone", "bank")}
    with pytest.raises(RecipeError, match="no texts to calibrate on"):
        calibration_rows(start(text_bundle, tmp_path), most=30)


def test_the_bundle_is_complete_and_has_no_other_weights(onnx_bundle: Path, text_bundle: Path) -> None:
    bundle = Bundle.open(onnx_bundle)
    (weights,) = (part for part in bundle.manifest.parts if part.role == "weights")
    assert (weights.format, weights.settings) == ("onnx", {"precision": "float32"})
    assert bundle.manifest.plain.gives == "nothing"
    assert bundle.manifest.lineage.parents == (Bundle.open(text_bundle).digest,)
    assert ONNX_FILE in bundle.manifest.files
    assert not any(name.endswith((".safetensors", ".bin", ".pt")) for name in bundle.manifest.files)


def test_a_tagger_keeps_its_chain_and_is_rounded_on_calibration_rows(
    tag_bundle: Path, tagged: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["method.precision=int8", "method.activations=static", "method.calibration_rows=8", "--json"]
    out = tmp_path / "new"
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(tag_bundle), str(tagged["train"]), "--method", "onnx", "--out", str(out), *arguments])
    assert ended.value.code == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["facts"]["activations"] == "static"
    assert set(report["facts"]) <= set(CATALOGS["en"])
    assert "exporting the model to ONNX" in said.err
    sizes = {row[0]: row[3] for row in report["tables"]["beside_parent"]["rows"]}
    assert sizes["weights_mb"] < 1
    assert CONSTANTS_FILE in Bundle.open(out).manifest.files
    tokens = [["Ada", "is", "in", "rome", "."], ["is", "Bob", "Fox", "not", "here"]]
    ours, theirs = (load(path, device="cpu").predict(tokens) for path in (out, tag_bundle))
    for one, other in zip(ours, theirs, strict=True):
        assert one["tags"] == other["tags"]
        assert [entity["score"] for entity in one["entities"]] == pytest.approx(
            [entity["score"] for entity in other["entities"]], abs=0.05
        )


def test_a_graph_that_lost_too_much_is_refused_and_not_written(
    text_bundle: Path, onnx_bundle: Path, texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    graph = onnx.load_from_string(load_onnx(onnx_bundle).graph)
    (head,) = (value for value in graph.graph.initializer if value.name == "model.head.linear.weight")
    head.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(head), head.name))
    spoiled = OnnxModel(graph.SerializeToString(), {}, "{}")
    monkeypatch.setattr(method, "to_onnx", lambda settings, start: Made(spoiled, start.task, {}))
    out = tmp_path / "new"
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(text_bundle), str(texts["train"]), "--method", "onnx", "--out", str(out), "max_drop=0.1"])
    assert ended.value.code == GateNotMet.exit_code
    assert "onnx brought accuracy" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"precision": "int4"}, "'float32' or 'int8'"),
        ({"activations": "static"}, "together with precision: int8"),
        ({"precision": "int8", "calibration_rows": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_are_told(settings: dict[str, Any], words: str) -> None:
    chosen, faults = check_settings(OnnxSettings, settings)
    assert chosen is None
    assert words in str(faults[0])


def test_a_package_that_is_missing_is_told_before_anything_runs(
    texts: dict[str, Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    values = {"version": 1, "task": "text-classification", "base": str(tiny_base),
              "data": {"train": str(texts["train"])},
              "stages": ["finetune", {"kind": "compress", "method": "onnx"}]}  # fmt: skip
    with pytest.raises(MissingExtra, match=r"compress by onnx needs the package onnxruntime"):
        hone.run(values, out=tmp_path / "run")
    assert not (tmp_path / "run" / "stages").exists()


def test_a_graph_is_not_compressed_again_nor_trained(
    onnx_bundle: Path, texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("int8", "onnx", "vocabulary"):
        with pytest.raises(SystemExit) as ended:
            main(
                ["compress", str(onnx_bundle), str(texts["train"]), "--method", name, "--out", str(tmp_path / "again")]
            )
        assert ended.value.code == 2
        assert "an ONNX graph, which answers and is not changed" in capsys.readouterr().err
        assert not (tmp_path / "again").exists()
    recipe = {"version": 1, "task": "text-classification", "base": str(onnx_bundle),
              "data": {"train": str(texts["train"])}, "stages": ["finetune"]}  # fmt: skip
    with pytest.raises(HoneError, match=r"weights written as onnx|config.json and weights"):
        hone.run(recipe, out=tmp_path / "run")


def test_it_is_evaluated_and_predicts_like_any_bundle(
    onnx_bundle: Path, text_bundle: Path, texts: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    measures, answers = [], []
    for bundle in (onnx_bundle, text_bundle):
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", str(bundle), str(texts["test"]), "--json"])
        assert ended.value.code == 0
        measures.append(json.loads(capsys.readouterr().out)["measures"][0])
        with pytest.raises(SystemExit) as ended:
            main(["predict", str(bundle), str(texts["test"])])
        assert ended.value.code == 0
        answers.append([json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()])
    assert measures[0] == measures[1]
    assert answers[0] == answers[1]
