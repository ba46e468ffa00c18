"""`OnnxEngine`: ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hone.core.errors import BundleError, MissingExtra
from hone.models.heads import Outputs
from hone.models.onnx import SCORES, OnnxModel
from hone.predict.formats import TOKENS_AT_ONCE_RUNTIME
from hone.tasks.rows import Batch

ERRORS_ONLY = 3  # of ONNX Runtime's own log, which it writes to stderr


class OnnxEngine:
    """An ONNX graph in ONNX Runtime; as many threads as torch has when it is made.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        BundleError: It cannot open the graph.
    """

    device = torch.device("cpu")
    computes_padding = True
    tokens_at_once = TOKENS_AT_ONCE_RUNTIME
    workers = 1

    def __init__(self, model: OnnxModel) -> None:
        self._session = open_session(model.graph)
        self._inputs = tuple(entry.name for entry in self._session.get_inputs())
        self._constants = dict(model.constants)
        self.weights_bytes = len(model.graph)

    def forward(self, batch: Batch) -> Outputs:
        (scores,) = self._session.run([SCORES], {name: batch[name].numpy() for name in self._inputs})
        return {"logits": torch.from_numpy(scores)}

    @property
    def constants(self) -> Mapping[str, Tensor]:
        return self._constants


def open_session(graph: bytes) -> Any:
    """An ``InferenceSession`` over a serialized ``ModelProto``, on the CPU.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        BundleError: It cannot open the graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", extra="onnx", needed_for="a model in ONNX") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no class but this
        raise BundleError(
            f"ONNX Runtime {onnxruntime.__version__} cannot open the graph: {error}",
            expected="a graph of ONNX's own operators",
            fix="Upgrade onnxruntime, or take the bundle again from where it was made.",
            code="bundle.onnx",
        ) from error
