"""Which device is meant, and whether the machine has it."""

from __future__ import annotations

import torch

from hone.core.errors import DeviceError


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
