"""The method onnx: a bundle that answers through ONNX Runtime as its parent does, and what cannot be done with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hone.bundle.bundle import Bundle
from hone.cli.main import main
from hone.predict.predictor import load


def compressed(bundle: Path, train: Path, out: Path, *more: str, code: int = 0) -> Path:
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(bundle), str(train), "--method", "onnx", "--out", str(out), *more])
    assert ended.value.code == code
    return out


TEXTS = ["my card is lost", "please reset the password now", "the screen is broken", "i want my money back please"]


@pytest.mark.parametrize("more", [[], ["method.precision=int8"], ["method.precision=int8", "method.activations=static"]])
def test_x(text_bundle: Path, texts: dict[str, Path], tmp_path: Path, more, capsys) -> None:
    out = compressed(text_bundle, texts["train"], tmp_path / "o", *more, "--json")
    print(capsys.readouterr())
    a, b = load(out), load(text_bundle, device="cpu")
    print([x["score"] for x in a.predict(TEXTS)], [x["score"] for x in b.predict(TEXTS)])
    print(Bundle.open(out).manifest.parts)
    import onnx; from collections import Counter
    print(Counter(n.op_type for n in onnx.load(out/"model.onnx").graph.node))
