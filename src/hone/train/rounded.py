"""What another model says of texts, rounded as a training rounds: two that are alike then say the very same."""

from __future__ import annotations

import torch

from hone.models.model import Model
from hone.predict.device import HALVES
from hone.predict.engine import TorchEngine


class InTraining(TorchEngine):
    """A model that computes in the precision of a training, so that what is compared with what it says there is rounded
    alike; without dropout.

    Args:
        precision: As ``mixed_precision``; the device has it.

    Attributes:
        named: The kind of device, the precision, and the bits of a base that is held in few: others round otherwise.
    """

    def __init__(self, model: Model, device: torch.device, precision: str) -> None:
        super().__init__(model, device)
        self._dtype = HALVES.get(precision, torch.float32)
        held = [] if model.bits is None else [f"{model.bits} bits"]
        self.named = " ".join([device.type, *([] if precision == "no" else [precision]), *held])
