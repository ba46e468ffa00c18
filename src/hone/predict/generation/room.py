"""How many tokens are written on together: on a GPU as many as its free memory holds, for there a pass over many rows
costs what one over few does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from hone.predict.generation.generate import TOKENS_AT_ONCE

SHARE = 0.5  # of the free memory; the rest is for what a pass needs beside what is counted here
FLOAT = 4  # bytes
COPIES = 2  # of keys and values: they are taken anew where rows end, or beams change places
SCORES = 4  # times those of a row are there at once: logits, their softmax, what is chosen from
_lock, _writing = threading.Lock(), [0]  # how many share the memory that is free


@contextmanager
def tokens_at_once(device: torch.device, config: Any, *, tokens_a_row: int) -> Iterator[int]:
    """Room of `generate` for a model of this configuration while it writes: its default, and on a GPU as much more as
    the free memory holds, shared with those that write at the same time.

    Args:
        tokens_a_row: That each row has at least.
    """
    if device.type != "cuda":
        yield TOKENS_AT_ONCE
        return
    with _lock:
        _writing[0] += 1
        free, _ = torch.cuda.mem_get_info(device)
        part = SHARE * free / _writing[0]
    try:
        yield max(TOKENS_AT_ONCE, int(part / bytes_of_token(config, tokens_a_row=tokens_a_row)))
    finally:
        with _lock:
            _writing[0] -= 1


def bytes_of_token(config: Any, *, tokens_a_row: int) -> float:
    """Bytes that a token of a row takes, of whatever kind: its keys and values in every layer, its states in one while
    it is read, and its part of the row's scores."""
    layers = int(getattr(config, "num_hidden_layers", 0)) * (2 if config.is_encoder_decoder else 1)  # of sources too
    width, inner = int(config.hidden_size), int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
    known = 2 * layers * width * COPIES
    return float(FLOAT * (known + 8 * width + inner + SCORES * config.vocab_size / max(1, tokens_a_row)))
