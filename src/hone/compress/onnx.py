"""``onnx``: backbone and head as one graph of standard ONNX operators, in float32 or with int8 products.

In int8 the constant matrices of the backbone are kept as integers with a scale a column (symmetric; Jacob et al. 2018)
and embedding tables with a scale a row; the head, attention's own products and norms stay in float32. Weights have
seven bits: a processor without VNNI sums two products of a weight and an eight-bit activation in sixteen bits, which
255 * 127 * 2 overflows and 255 * 64 * 2 does not. They have seven on every machine, so that a bundle answers alike
wherever it was made and wherever it runs.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hone.compress.calibration import calibration_rows
from hone.compress.int8 import require_float
from hone.compress.settings import OnnxSettings
from hone.compress.start import Made, Start
from hone.models.export import export_onnx, require_standard
from hone.models.onnx import OnnxModel
from hone.predict.batching import budgeted
from hone.tasks.rows import Batch, Rows, has_types


def to_onnx(settings: OnnxSettings, start: Start) -> Made:
    """Export the model, and bring its weights to integers where asked for.

    Raises:
        RecipeError: The weights are int8 already, the model cannot be exported, or there are no texts to calibrate on.
        MissingExtra: The exporter's packages are not installed.
    """
    require_float(start)
    rows = calibration_rows(start, most=settings.calibration_rows) if settings.activations == "static" else None
    start.run.progress.say("exporting the model to ONNX, which takes a while")
    exported = export_onnx(start.model, tables=settings.precision, types=has_types(start.task.row_schema))
    facts: dict[str, int | float | str] = {"numbers": settings.precision}
    if settings.precision == "int8":
        batches = [] if rows is None else _batches(start, rows)
        exported = _rounded(exported, activations=settings.activations, batches=batches)
        facts["activations"] = settings.activations
    same = settings.precision == "float32"
    return Made(exported, start.task, facts, decides=same, exact=same)


def _batches(start: Start, rows: Rows) -> list[Batch]:
    return [start.task.collate(rows, index) for index in budgeted(rows.lengths)]


def _rounded(model: OnnxModel, *, activations: str, batches: Sequence[Batch]) -> OnnxModel:
    """``model`` with the constant matrices of its backbone in seven bits."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    graph = onnx.load_from_string(model.graph)
    options: dict[str, Any] = {
        "op_types_to_quantize": ["MatMul"],
        "nodes_to_quantize": _products(graph),
        "per_channel": True,
        "reduce_range": True,
        "weight_type": QuantType.QInt8,
    }
    graph.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")  # torch's exporter did it
    with tempfile.TemporaryDirectory() as name, _own_logging():
        target = Path(name) / "rounded.onnx"
        if activations == "static":
            reader = _Reader(batches, names=[entry.name for entry in graph.graph.input])
            quantize_static(
                graph, target, reader, quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                extra_options={"MatMulConstBOnly": True}, **options,
            )  # fmt: skip
        else:
            quantize_dynamic(graph, target, **options)
        made = onnx.load(target)
    del made.metadata_props[:]
    del made.graph.value_info[:]
    made.producer_version = graph.producer_version
    require_standard(made)
    settings = {"precision": "int8", "activations": activations}
    return replace(model, graph=made.SerializeToString(deterministic=True), settings=settings)


def _products(graph: Any) -> list[str]:
    """Names of the backbone's products with a constant matrix."""
    constants = {value.name for value in graph.graph.initializer}
    return [
        node.name
        for node in graph.graph.node
        if node.op_type == "MatMul" and node.name.startswith("backbone.") and node.input[1] in constants
    ]


class _Reader:
    """Batches as ONNX Runtime's calibration asks for them, a ``CalibrationDataReader``."""

    def __init__(self, batches: Sequence[Batch], *, names: Sequence[str]) -> None:
        self._left = iter(batches)
        self._names = tuple(names)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._left, None)
        return None if batch is None else {name: batch[name].numpy() for name in self._names}


@contextmanager
def _own_logging() -> Iterator[None]:
    """Within it the root logger has a handler: ONNX Runtime's tools call ``logging.warning``, which would otherwise
    configure logging for the whole process."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
