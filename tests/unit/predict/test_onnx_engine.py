"""`OnnxEngine`: an ONNX bundle opened, from several threads, without its package, damaged, on another device."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from hone.bundle.bundle import Bundle
from hone.core.errors import BundleError, DeviceError, MissingExtra
from hone.models.onnx import CONSTANTS_FILE, ONNX_FILE
from hone.predict import engine
from hone.predict.onnx import OnnxEngine, open_session
from hone.predict.predictor import load, open_bundle, open_model

TEXTS = ["my card is lost", "please reset the password now", "the screen is broken", "i want my money back please", ""]


def test_it_answers_as_torch_does(onnx_bundle: Path, text_bundle: Path) -> None:
    ours, theirs = load(onnx_bundle), load(text_bundle, device="cpu")
    assert isinstance(ours.engine, OnnxEngine)
    assert ours.engine.computes_padding
    assert ours.engine.weights_bytes == (onnx_bundle / ONNX_FILE).stat().st_size
    for one, other in zip(ours.predict(TEXTS), theirs.predict(TEXTS), strict=True):
        assert one["label"] == other["label"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
    assert ours.predict([]) == []


def test_many_threads_get_their_own_answers(onnx_bundle: Path) -> None:
    predictor = load(onnx_bundle)
    asked = [f"{TEXTS[i % 4]} {'please ' * (i % 7)}" for i in range(60)]
    alone = [predictor.predict(text) for text in asked]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, asked)) == alone


def test_it_runs_with_as_many_threads_as_torch(onnx_bundle: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        session = open_session((onnx_bundle / ONNX_FILE).read_bytes())
    finally:
        torch.set_num_threads(before)
    assert session.get_session_options().intra_op_num_threads == 2
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_without_onnx_runtime_it_says_what_to_install(onnx_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"onnxruntime.*\n.*hone\[onnx\]"):
        load(onnx_bundle)


def test_it_is_for_the_cpu(onnx_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(onnx_bundle)
    monkeypatch.setattr(engine, "pick_device", lambda name: torch.device("cpu" if name == "cpu" else "cuda"))
    predictor = open_bundle(bundle, device="auto")
    assert predictor.predict(TEXTS[:1])
    assert predictor.engine.device == torch.device("cpu")
    with pytest.raises(DeviceError, match="ONNX weights on cuda"):
        open_bundle(bundle, device="cuda")


def test_it_is_no_model_of_torch(onnx_bundle: Path) -> None:
    with pytest.raises(BundleError, match="an ONNX graph, which answers and is not changed"):
        open_model(Bundle.open(onnx_bundle))


def test_a_damaged_graph_is_told(onnx_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(onnx_bundle, copy)
    opened = Bundle.open(copy)
    (copy / ONNX_FILE).write_bytes(b"no graph at all")
    with pytest.raises(BundleError, match=ONNX_FILE):
        load(copy)
    with pytest.raises(BundleError, match="cannot open the graph"):
        open_bundle(opened)
    (copy / CONSTANTS_FILE).write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(opened)
