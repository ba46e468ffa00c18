"""Drawing a token by its probability, from scores bent as transformers' warpers bend them, by numbers that a row has
for itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hone.tasks.decoding import DecodingSettings


def numbers_of(prompt: Sequence[int], *, seed: int, draw: int) -> np.random.Generator:
    """Random numbers of the ``draw``-th text for a prompt: the same ones wherever the prompt stands."""
    said = json.dumps([seed, draw, *prompt]).encode()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(said).digest()[:16], "little")))


def drawn(scores: Tensor, numbers: Tensor, settings: DecodingSettings) -> Tensor:
    """A token of each row, int64 [rows].

    Args:
        scores: float32 [rows, vocabulary].
        numbers: Between 0 and 1, float64 [rows]: each picks the token at whose probability the sum over the tokens
            passes it.
    """
    kept, tokens = warped(scores, settings)
    sums = kept.double().softmax(dim=-1).cumsum(dim=-1)
    at = torch.searchsorted(sums, (numbers * sums[:, -1])[:, None], right=True)
    at = torch.minimum(at, (kept > float("-inf")).long().mul(torch.arange(kept.shape[1])).amax(dim=1, keepdim=True))
    return (at if tokens is None else tokens.gather(1, at))[:, 0]


def warped(scores: Tensor, settings: DecodingSettings) -> tuple[Tensor, Tensor | None]:
    """Scores to draw by, float32 [rows, n], -inf where nothing is drawn, and the tokens they are of, int64 [rows, n];
    None where they are of the whole vocabulary in its order.

    Temperature comes first, then ``top_k``, ``top_p`` and ``min_p``. Of tokens that tie at the last of the ``top_k``
    places some are left out.
    """
    tokens: Tensor | None = None
    if settings.temperature != 1.0:
        scores = scores / settings.temperature
    if settings.top_k is not None or settings.top_p < 1.0:
        scores, tokens = scores.topk(min(settings.top_k or scores.shape[1], scores.shape[1]), dim=-1)
    if settings.top_p < 1.0:
        rest = scores.flip(-1).softmax(dim=-1).cumsum(dim=-1).flip(-1)  # of a token and all that are less likely
        rest[:, 0] = 2.0  # the likeliest one stays
        scores = scores.masked_fill(rest <= 1 - settings.top_p, float("-inf"))
    if settings.min_p > 0:
        chances = scores.softmax(dim=-1)
        scores = scores.masked_fill(chances < settings.min_p * chances.amax(dim=-1, keepdim=True), float("-inf"))
    return scores, tokens
