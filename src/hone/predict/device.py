"""Which device is meant, and whether the machine has it."""

from __future__ import annotations

from typing import get_args

import torch

from hone.core.errors import DeviceError
from hone.predict.formats import Precision

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """``auto`` takes CUDA, then MPS, then the CPU; any other name must be there.

    Raises:
        DeviceError: The machine has no such device.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if there[device]))
    if not there.get(name, False):
        had = ", ".join(device for device, has in there.items() if has)
        raise DeviceError(
            f"the device {name!r} is not on this machine",
            expected=f"one of: {had}",
            fix="Set device to auto, or run where that device is.",
            code="device.missing",
        )
    return torch.device(name)


def pick_precision(name: Precision, device: torch.device) -> torch.dtype:
    """The type that a model on ``device`` computes its products in.

    Raises:
        DeviceError: There is no such precision, or the device has no hardware for it: float16 and bfloat16 are to be
            had on CUDA GPUs alone.
    """
    if name == "float32":
        return torch.float32
    if name not in HALVES:
        raise DeviceError(
            f"the precision {name!r} is not known",
            expected=f"one of: {', '.join(get_args(Precision))}",
            code="device.precision",
        )
    on_gpu = device.type == "cuda"
    if not on_gpu or (name == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False)):
        raise DeviceError(
            f"the precision {name!r} on the device {torch.cuda.get_device_name(device) if on_gpu else device.type!r}",
            expected="a CUDA GPU that computes in it",
            fix="Set precision to float32, or run where such a GPU is.",
            code="device.precision",
        )
    return HALVES[name]
