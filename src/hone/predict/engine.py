"""`Engine`: forwards a batch; hides what runs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from hone.core.errors import DeviceError
from hone.models.capabilities import processor
from hone.models.files import INT8_FILE, SHAPED_FILE, own_name
from hone.models.heads import Outputs
from hone.models.held import held_tensors
from hone.models.int8 import is_int8
from hone.models.model import Model
from hone.models.onnx import OnnxModel
from hone.models.writers.cast import cast_writer
from hone.models.writers.make import writer_of
from hone.models.writers.prefix import PrefixWriter
from hone.models.writers.writer import Continuing, Writer
from hone.predict.device import pick_device, pick_precision
from hone.predict.formats import (
    INT8,
    ONNX,
    SAFETENSORS,
    SHAPED,
    TOKENS_AT_ONCE,
    TOKENS_AT_ONCE_HELD,
    TOKENS_AT_ONCE_MOST,
    Precision,
)
from hone.predict.generation import room
from hone.predict.generation.together import Together
from hone.predict.onnx import OnnxEngine
from hone.tasks.rows import Batch

OWN = {INT8_FILE: INT8, SHAPED_FILE: SHAPED}  # what transformers alone cannot read

CACHES = 3  # times a core's second cache: bytes of the widest states of a batch, on processors of 0.5 and of 2 MB
SECOND_CACHE_BYTES = 1 << 19  # where the processor does not say


class Engine(Protocol):
    """Runs a model; safe to call from several threads."""

    def forward(self, batch: Batch) -> Outputs:
        """Scores of a batch, on any device."""
        ...

    @property
    def device(self) -> torch.device:
        """What it runs on."""
        ...

    @property
    def computes_padding(self) -> bool:
        """Whether a batch's padding goes through the layers like tokens."""
        ...

    @property
    def tokens_at_once(self) -> int:
        """Padded tokens that a batch should have at most."""
        ...

    @property
    def workers(self) -> int:
        """How many batches it takes at a time, each from a thread of its own; the same as long as it is open."""
        ...

    @property
    def constants(self) -> Mapping[str, Tensor]:
        """What decoding needs besides the scores, on the CPU."""
        ...

    @property
    def weights_bytes(self) -> int:
        """Bytes that the weights take in memory."""
        ...


@runtime_checkable
class WritingEngine(Protocol):
    """An engine that runs models which write."""

    @property
    def writer(self) -> Writer:
        """What writes by the model."""
        ...

    @property
    def together(self) -> Together:
        """What writes by it for several threads at a time."""
        ...

    def room_to_write(self, tokens_a_row: int) -> AbstractContextManager[int]:
        """Within it: most tokens of the rows that are written together, each with its prompt and all that it may come
        to have, which is so much at least."""
        ...


class TorchEngine:
    """A torch model in evaluation mode on one device.

    Args:
        precision: Of products; weights and scores are float32 whatever it is.

    Raises:
        DeviceError: The device does not have the precision.
    """

    def __init__(self, model: Model, device: torch.device, *, precision: Precision = "float32") -> None:
        self._dtype = pick_precision(precision, device)
        self.model = model.to(device).eval()
        self.device = device
        self._threads = torch.get_num_threads()
        self._opened_in = os.getpid(), threading.get_ident()
        self.together = Together(lambda: self.writer, threads=lambda: self.workers, room=self.room_to_write)

    def forward(self, batch: Batch) -> Outputs:
        with torch.inference_mode(), self._cast():
            outputs: Outputs = self.model({name: value.to(self.device) for name, value in batch.items()})
        return {name: value.float() for name, value in outputs.items()}

    def _cast(self) -> AbstractContextManager[object]:
        return nullcontext() if self._dtype == torch.float32 else torch.autocast(self.device.type, dtype=self._dtype)

    @property
    def computes_padding(self) -> bool:
        encoder = self.model.encoder
        with self._cast():
            return encoder is None or not encoder.takes(self.model.embeddings.LayerNorm.weight)

    @property
    def tokens_at_once(self) -> int:
        """On a CPU as many as leave a layer's widest states near a core."""
        if self.device.type != "cpu" or self.model.token_scores is not None:
            return TOKENS_AT_ONCE_MOST
        if self.model.bits is not None:
            return TOKENS_AT_ONCE_HELD
        config: Any = self.model.backbone.config
        inner = getattr(config, "intermediate_size", None) or getattr(config, "hidden_dim", None) or 1536
        return max(TOKENS_AT_ONCE, min(TOKENS_AT_ONCE_MOST, CACHES * _second_cache_bytes() // (4 * inner)))

    @property
    def workers(self) -> int:
        """torch's threads, as the thread has them that opened this: to another one that comes while workers begin torch
        says 1. In a process of its own every thread may be believed."""
        process, thread = self._opened_in
        if os.getpid() != process or threading.get_ident() == thread:
            self._threads = torch.get_num_threads()
        table = self.model.token_scores is not None
        return self._threads if self.device.type == "cpu" and not table else 1

    @cached_property
    def writer(self) -> Writer:
        writer = writer_of(self.model.backbone, self.model.before, lean=self.model.lean)
        if self._dtype != torch.float32:
            writer = cast_writer(writer, self._cast)
        if isinstance(writer, Continuing) and writer.start is None and writer.pads:
            return PrefixWriter(writer)
        return writer

    def room_to_write(self, tokens_a_row: int) -> AbstractContextManager[int]:
        return room.tokens_at_once(self.device, self.model.backbone.config, tokens_a_row=tokens_a_row)

    @property
    def constants(self) -> Mapping[str, Tensor]:
        with torch.inference_mode():
            return {name: value.cpu() for name, value in self.model.head.constants().items()}

    @property
    def weights_bytes(self) -> int:
        weights = [*self.model.state_dict().values(), *held_tensors(self.model)]
        return sum({value.data_ptr(): value.nbytes for value in weights}.values())  # those that are shared once


@cache
def _second_cache_bytes() -> int:
    """Of a core, as the processor tells torch."""
    return int(processor().get("l2_cache_size") or SECOND_CACHE_BYTES)


def format_of(model: Model | OnnxModel) -> str:
    """The format, of `hone.predict.formats`, that a model's weights are written in."""
    if isinstance(model, OnnxModel):
        return ONNX
    own = own_name(model.backbone)
    return SAFETENSORS if own is None else OWN[own]


def engine_of(model: Model | OnnxModel, *, device: str = "auto", precision: Precision = "float32") -> Engine:
    """What runs ``model``.

    Args:
        device: ``auto`` (the CPU for what runs there alone), ``cpu``, ``cuda`` or ``mps``.
        precision: ``float32``, or on a GPU ``bf16`` or ``fp16``.

    Raises:
        DeviceError: The machine has no such device, the device has no such precision, or the model does not run on it.
        MissingExtra: What runs it is not installed.
    """
    bound = "ONNX" if isinstance(model, OnnxModel) else "int8" if is_int8(model.backbone) else ""
    chosen = pick_device("cpu" if device == "auto" and bound else device)
    if chosen.type != "cpu" and bound:
        raise DeviceError(
            f"{bound} weights on {chosen.type}",
            expected="the CPU, which their kernels are for",
            fix="Set device to cpu, or take the bundle they were made from.",
            code=f"device.{bound.lower()}",
        )
    if isinstance(model, OnnxModel):
        pick_precision(precision, chosen)
        return OnnxEngine(model)
    return TorchEngine(model, chosen, precision=precision)
