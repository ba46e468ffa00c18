"""What a device can compute at most, and what share of it a training uses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

import torch

from hone.models.gpus import peak_of

Precision = Literal["no", "bf16", "fp16"]

TYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PROBE_SIZE = {"cpu": 768}
LARGE = 8192  # rows of a matrix elsewhere: a smaller one is over before a GPU is at its speed
PROBE_SECONDS = 0.15


def peak_rate(device: torch.device, precision: Precision) -> float:
    """Floating-point operations a second that ``device`` can do in ``precision``: what the maker of a GPU says of
    half precision, where that is known; else what a large matrix product does there."""
    known = peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" and precision != "no" else None
    return known or product_rate(device, precision)


def product_rate(device: torch.device, precision: Precision) -> float:
    """Floating-point operations a second of a large matrix product on ``device``."""
    size = PROBE_SIZE.get(device.type, LARGE)
    left, right = (torch.ones(size, size, dtype=TYPES[precision], device=device) for _ in range(2))

    def product() -> None:
        torch.mm(left, right)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return 2.0 * size**3 / best_seconds(product)


def best_seconds(work: Callable[[], object]) -> float:
    """Best seconds of one call within a short while."""
    work()
    best, until = math.inf, time.perf_counter() + PROBE_SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best
