"""A model as an ONNX graph of standard operators, for batches of any size and texts of any length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hone.core.errors import MissingExtra, RecipeError
from hone.models.heads import WordLstm
from hone.models.int8 import is_int8, round_tables
from hone.models.model import Model
from hone.models.onnx import SCORES, OnnxModel
from hone.text.shapes import SHAPE_SIZES

OPSET = 20  # the first with GELU as one operator
MOST_BYTES = 2**31 - 2**24  # of one protobuf message, with room for the graph itself
STANDARD = ("", "ai.onnx")
SIZES = {"batch": 2, "tokens": 5, "words": 3}  # of the batch that is traced; they leave no trace
ENTRIES: Mapping[str, tuple[tuple[str | int, ...], torch.dtype]] = {
    "input_ids": (("batch", "tokens"), torch.int64),
    "attention_mask": (("batch", "tokens"), torch.int64),
    "token_type_ids": (("batch", "tokens"), torch.int64),
    "second_text": (("batch", "tokens"), torch.int64),
    "marker_positions": (("batch", 2), torch.int64),
    "word_positions": (("batch", "words"), torch.int64),
    "answer_positions": (("batch", "words"), torch.int64),
    "shapes": (("batch", "words", len(SHAPE_SIZES)), torch.int64),
    "word_mask": (("batch", "words"), torch.bool),
}  # what a batch may hold: axes and type


def export_onnx(model: Model, *, tables: Literal["float32", "int8"] = "float32", types: bool = False) -> OnnxModel:
    """Export a model's scores, with torch's exporter; takes seconds.

    Args:
        model: With float32 weights; it stays as it is.
        tables: How the backbone's embedding tables are kept: ``int8`` has a scale a row (see `hone.models.int8`).
        types: Whether batches have ``token_type_ids``; the graph then takes them, if the backbone tells types apart.

    Raises:
        MissingExtra: The exporter's packages are not installed.
        RecipeError: The model cannot be exported.
    """
    _require_packages()
    if is_int8(model.backbone):
        raise _refused("its weights are int8, which ONNX has no such operators for")
    copied = model.traceable()
    size = sum(value.nbytes for value in copied.state_dict().values())
    if size > MOST_BYTES:
        raise _refused(f"its weights take {size / 1e9:.1f} GB, and one file of ONNX holds 2 GB at most")
    if tables == "int8":
        round_tables(copied.backbone)
    _replace_lstms(copied)
    typed = ("token_type_ids",) if types and copied.types else ()
    names = ("input_ids", "attention_mask", *typed, *copied.head.entries())
    with torch.no_grad():
        graph = _traced(_Scores(copied, names).eval(), names, scored=copied.head.axes)
        constants = {name: value.clone() for name, value in model.head.constants().items()}
    require_standard(graph)
    backbone: Any = model.backbone
    return OnnxModel(
        graph.SerializeToString(deterministic=True),
        constants,
        backbone.config.to_json_string(),
        {"precision": "float32"},
    )


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra(str(error.name), extra="onnx", needed_for="export to ONNX") from error


def require_standard(graph: Any) -> None:
    """Raise where a ``ModelProto`` has operators outside of ONNX's own.

    Raises:
        RecipeError: It has.
    """
    odd = sorted({f"{node.domain}:{node.op_type}" for node in graph.graph.node if node.domain not in STANDARD})
    if odd or graph.functions:
        raise _refused(f"its graph has operators that are not ONNX's own: {', '.join(odd) or 'functions'}")


def _refused(why: str) -> RecipeError:
    return RecipeError(
        f"the model cannot be exported to ONNX: {why}",
        expected="a model whose scores standard operators of ONNX compute",
        fix="Compress this bundle by another method.",
        code="onnx.export",
    )


class _Scores(nn.Module):
    """A model called by position, for its scores alone."""

    def __init__(self, model: Model, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self._names = model, tuple(names)

    def forward(self, *values: Tensor) -> Tensor:
        scores: Tensor = self.model(dict(zip(self._names, values, strict=True)))["logits"]
        return scores


class OnnxLstm(nn.Module):
    """`WordLstm` as ONNX's own operator, which takes each row's length; torch packs rows by what the lengths are, which
    no trace can follow. It runs in a graph alone."""

    weights: Tensor
    recurrence: Tensor
    bias: Tensor

    def __init__(self, lstm: WordLstm) -> None:
        super().__init__()
        self._width = lstm.hidden_size
        ends = ("l0", "l0_reverse")
        parts = {name: [_gates(getattr(lstm, f"{name}_{end}").detach()) for end in ends]
                 for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}  # fmt: skip
        self.register_buffer("weights", torch.stack(parts["weight_ih"]))  # [2, 4 * width, inputs]
        self.register_buffer("recurrence", torch.stack(parts["weight_hh"]))  # [2, 4 * width, width]
        biases = [torch.stack(parts[name]) for name in ("bias_ih", "bias_hh")]
        self.register_buffer("bias", torch.cat(biases, dim=1))  # [2, 8 * width]

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        rows, count, _ = words.shape
        states = torch.onnx.ops.symbolic(
            "LSTM",
            (words.transpose(0, 1), self.weights, self.recurrence, self.bias, lengths.to(torch.int32)),
            {"direction": "bidirectional", "hidden_size": self._width},
            dtype=torch.float32,
            shape=(count, 2, rows, self._width),
        )
        return states.permute(2, 0, 1, 3).flatten(2)  # [batch, words, 2 * width]


def _replace_lstms(module: nn.Module) -> None:
    """Put an `OnnxLstm` in place of every `WordLstm` in ``module``."""
    for name, child in list(module.named_children()):
        if isinstance(child, WordLstm):
            setattr(module, name, OnnxLstm(child))
        else:
            _replace_lstms(child)


def _gates(parameter: Tensor) -> Tensor:
    """Rows of torch's gates (input, forget, cell, output) in ONNX's order (input, output, forget, cell)."""
    taken, forgotten, cell, given = parameter.chunk(4)
    return torch.cat([taken, given, forgotten, cell])


def _traced(scores: nn.Module, names: Sequence[str], *, scored: Sequence[str]) -> Any:
    """The ``ModelProto`` of a module over the entries ``names`` of a batch; ``scored`` are its scores' first axes."""
    from torch.onnx.errors import OnnxExporterError

    entries = [ENTRIES[name] for name in names]
    sizes = [[SIZES.get(str(axis), axis) for axis in axes] for axes, _ in entries]
    values = tuple(torch.ones(size, dtype=kind) for size, (_, kind) in zip(sizes, entries, strict=True))  # type: ignore[arg-type]
    free = tuple({i: torch.export.Dim.DYNAMIC for i, axis in enumerate(axes) if axis in SIZES} for axes, _ in entries)
    try:
        with _quiet_exporter():
            made = torch.onnx.export(
                scores, values, dynamo=True, opset_version=OPSET, input_names=list(names), output_names=[SCORES],
                dynamic_shapes=(free,), verbose=False, external_data=False,
            )  # fmt: skip
    except OnnxExporterError as error:
        raise _refused(str(error).strip().splitlines()[0]) from error
    assert made is not None
    return _tidied(made.model_proto, scored=scored)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Within it torch's exporter logs errors alone, and not that other packages are missing."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # The exporter copies a structure of torch's own whose class torch has deprecated since.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _tidied(made: Any, *, scored: Sequence[str]) -> Any:
    """The graph without what tells of this machine (paths of source lines), its nodes and axes named for a reader."""
    graph = made.graph
    for node in graph.node:
        notes = {note.key: note.value for note in node.metadata_props}
        scopes = notes.get("pkg.torch.onnx.name_scopes", "").strip("[]").replace("'", "").split(", ")
        place = scopes[-2].removeprefix("model.") if len(scopes) > 1 else ""
        node.name = f"{place}/{node.name}" if place else node.name
    for part in (made, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    axes = {value.name: ENTRIES[value.name][0] for value in graph.input}
    axes[SCORES] = tuple(scored)
    for value in (*graph.input, *graph.output):
        for size, axis in zip(value.type.tensor_type.shape.dim, axes[value.name], strict=False):
            if isinstance(axis, str):
                size.dim_param = axis
    return made
