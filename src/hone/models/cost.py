"""What training costs on this machine: an estimate from the model's size, the tokens and a timed matrix product."""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from hone.models.model import HEAD_FILE

# Float32 weight and gradient; two moments beside them, or factors of one that take next to nothing.
BYTES_A_WEIGHT = {"adamw": 16, "adafactor": 8}
BYTES_OF_BEST = 4  # the copy of the best weights so far
REACHED = 0.55  # share of the matrix-product rate that a training step reached where this was measured (two cores)
UPDATE_BYTES_A_WEIGHT = 36  # moved a step by gradient fill, clipping and AdamW
SECONDS_A_LAYER = 1.5e-3  # of a step's calls and small operations, whatever its size
PROBE_SIZE = 768
PROBE_SECONDS = 0.15


@dataclass(frozen=True)
class Size:
    """Sizes of a backbone, read from its files without loading it."""

    parameters: int
    embedding: int
    layers: int
    width: int
    heads: int
    inner: int


def size_of(folder: Path) -> Size:
    """Read a model folder's sizes from ``config.json`` and the headers of its safetensors files."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    total = embedding = 0
    for file in sorted(folder.glob("*.safetensors")):
        if file.name == HEAD_FILE:
            continue
        with file.open("rb") as handle:
            header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                count = math.prod(entry["shape"])
                total += count
                embedding += count if "embedding" in name or "embed_tokens" in name else 0
    width = int(config.get("hidden_size") or config.get("dim") or config.get("d_model") or 768)
    return Size(
        parameters=total,
        embedding=embedding,
        layers=int(config.get("num_hidden_layers") or config.get("n_layers") or 12),
        width=width,
        heads=int(config.get("num_attention_heads") or config.get("n_heads") or 12),
        inner=int(config.get("intermediate_size") or config.get("hidden_dim") or 4 * width),
    )


def training_flops(size: Size, *, tokens: int, length: float) -> float:
    """Floating-point operations of training on ``tokens`` tokens in rows of mean ``length`` (Kaplan et al. 2020):
    six a weight a token, and attention's twelve a width a position a layer."""
    return tokens * (6.0 * (size.parameters - size.embedding) + 12.0 * size.layers * size.width * length)


def activation_bytes(size: Size, *, tokens: int, length: int) -> int:
    """Bytes of float32 activations kept for the backward pass of a batch of ``tokens`` padded tokens."""
    a_token = size.layers * (17 * size.width + 3 * size.inner + 3 * size.heads * length)
    return 4 * tokens * a_token


def matrix_rate() -> tuple[float, float]:
    """Floating-point operations a second of a float32 matrix product here, and bytes a second of a plain copy."""
    left, right = torch.ones(PROBE_SIZE, PROBE_SIZE), torch.ones(PROBE_SIZE, PROBE_SIZE)
    products = _timed(lambda: torch.mm(left, right))
    block, target = torch.ones(1 << 24), torch.zeros(1 << 24)
    copies = _timed(lambda: target.copy_(block))
    return 2.0 * PROBE_SIZE**3 / products, 2.0 * block.numel() * 4 / copies


def held_bytes() -> int:
    """Most resident memory this process has held so far: the interpreter, torch, the rows read."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _timed(work: object) -> float:
    """Best seconds of one call within a short while."""
    assert callable(work)
    work()
    best, until = math.inf, time.perf_counter() + PROBE_SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def training_seconds(size: Size, *, tokens: int, length: float, steps: int) -> float:
    """Estimated seconds of training on this CPU."""
    rate, bandwidth = matrix_rate()
    moved = steps * size.parameters * UPDATE_BYTES_A_WEIGHT
    called = steps * size.layers * SECONDS_A_LAYER
    return training_flops(size, tokens=tokens, length=length) / (rate * REACHED) + moved / bandwidth + called
