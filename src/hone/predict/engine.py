"""`Engine`: forwards a batch; hides what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from hone.models.heads import Outputs
from hone.models.model import Model
from hone.tasks.rows import Batch


class Engine(Protocol):
    """Runs a model; safe to call from several threads."""

    def forward(self, batch: Batch) -> Outputs:
        """Scores of a batch, on any device."""
        ...

    @property
    def computes_padding(self) -> bool:
        """Whether a batch's padding goes through the layers like tokens."""
        ...

    @property
    def constants(self) -> Mapping[str, Tensor]:
        """What decoding needs besides the scores, on the CPU."""
        ...


class TorchEngine:
    """A torch model in evaluation mode on one device, float32."""

    def __init__(self, model: Model, device: torch.device) -> None:
        self.model = model.to(device).eval()
        self.device = device

    def forward(self, batch: Batch) -> Outputs:
        with torch.inference_mode():
            outputs: Outputs = self.model({name: value.to(self.device) for name, value in batch.items()})
        return outputs

    @property
    def computes_padding(self) -> bool:
        return self.model.encoder is None or self.device.type != "cpu"

    @property
    def constants(self) -> Mapping[str, Tensor]:
        with torch.inference_mode():
            return {name: value.cpu() for name, value in self.model.head.constants().items()}
