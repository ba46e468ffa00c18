"""`OnnxModel`: a model as an ONNX graph of standard operators, and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hone.core.errors import BundleError

ONNX_FILE = "model.onnx"
CONSTANTS_FILE = "constants.safetensors"
SCORES = "logits"  # the graph's one output


@dataclass(frozen=True)
class OnnxModel:
    """A backbone and its head as one graph; nothing of it can be changed.

    Attributes:
        graph: The serialized ``ModelProto``. Its inputs bear the names of a batch's entries, its output is `SCORES`,
            float32 [batch, labels] or [batch, words, labels].
        constants: What decoding needs besides the scores, on the CPU.
        config: The backbone's ``config.json``, as text.
        settings: How its numbers are kept: ``precision`` and, for int8, ``activations``.
    """

    graph: bytes
    constants: Mapping[str, Tensor]
    config: str
    settings: Mapping[str, str] = field(default_factory=dict)


def save_onnx(model: OnnxModel, folder: Path) -> list[str]:
    """Write the model into ``folder``; returns the names of the files written."""
    (folder / ONNX_FILE).write_bytes(model.graph)
    (folder / "config.json").write_text(model.config, encoding="utf-8")
    if model.constants:
        save_file({name: value.contiguous() for name, value in model.constants.items()}, folder / CONSTANTS_FILE)
    return sorted(path.name for path in folder.iterdir())


def load_onnx(folder: Path) -> OnnxModel:
    """The model that `save_onnx` wrote into ``folder``; its settings stand in the bundle's manifest.

    Raises:
        BundleError: A file cannot be read.
    """
    constants = folder / CONSTANTS_FILE
    try:
        return OnnxModel(
            (folder / ONNX_FILE).read_bytes(),
            load_file(constants) if constants.is_file() else {},
            (folder / "config.json").read_text(encoding="utf-8"),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(f"the ONNX model in {folder} cannot be read: {error}", code="bundle.onnx") from error
