"""How a transformer made from nothing begins: half of its heads look at what stands beside each token.

A masked token says nothing of itself, so that all a model can tell of it comes through attention. Heads that begin at
random look everywhere alike, and of so faint a picture it takes long to learn where to look: the loss stays near that
of word frequencies. What heads of trained encoders do most is look at the tokens next to each (Clark et al. 2019), and
translators whose heads are fixed there lose nothing (Raganato et al. 2020). Here they begin there, and learn on.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from hone.models.architectures import BertSettings

SCORE = 4.5  # of the token a head looks at, above those of others: half of its attention among 90, but for noise
OF_POSITIONS = 1 / 3  # what the embeddings of tokens, positions and types each have of their sum's variance


def begin(model: Any, settings: BertSettings) -> None:
    """Let a new model begin as its settings say."""
    if settings.heads_begin == "beside":
        look_beside(model)


def look_beside(model: Any) -> None:
    """Let half of the heads of each layer of a BERT begin so: the first at the token before, the next at that behind,
    then two before, two behind and so on. Embeddings of positions become sines and cosines, of which a step to the side
    is a rotation (Vaswani et al. 2017), as large as they were. Everything learns as before.

    Args:
        model: transformers' ``BertModel``; torch's global generator draws the frequencies.
    """
    config, table = model.config, model.embeddings.position_embeddings.weight
    width, heads = config.hidden_size, config.num_attention_heads
    # One frequency from each of as many equal parts of 0 to pi: were they evenly spaced, far positions would be alike.
    frequencies = math.pi * (torch.arange(width // 2) + torch.rand(width // 2)) / (width // 2)
    with torch.no_grad():
        table.copy_(config.initializer_range * math.sqrt(2) * waves(len(table), frequencies, width=width))
        for layer in model.encoder.layer:
            part = layer.attention.self
            own = width // heads
            for head in range(heads // 2):
                rows = slice(head * own, (head + 1) * own)
                step = (head // 2 + 1) * (1 if head % 2 else -1)
                query, key = looking(step, frequencies, width=width, own=own)
                part.query.weight[rows], part.key.weight[rows] = query, key


def waves(count: int, frequencies: Tensor, *, width: int) -> Tensor:
    """Sine and cosine of each position times each frequency, side by side: float32 [count, width]."""
    found = torch.zeros(count, width)
    angles = torch.arange(count)[:, None] * frequencies
    found[:, 0 : 2 * len(frequencies) : 2], found[:, 1 : 2 * len(frequencies) : 2] = angles.sin(), angles.cos()
    return found


def looking(step: int, frequencies: Tensor, *, width: int, own: int) -> tuple[Tensor, Tensor]:
    """Weights of a head's queries and keys, each [own, width], under which a position scores highest with the one
    ``step`` further on: keys are turned back by so much. Each head has frequencies of its own, drawn from all."""
    query, key = torch.zeros(own, width), torch.zeros(own, width)
    chosen = torch.randperm(len(frequencies))[: own // 2]
    first = torch.arange(len(chosen)) * 2
    sine, cosine = (step * frequencies[chosen]).sin(), (step * frequencies[chosen]).cos()
    query[first, 2 * chosen] = query[first + 1, 2 * chosen + 1] = 1
    key[first, 2 * chosen], key[first, 2 * chosen + 1] = cosine, -sine
    key[first + 1, 2 * chosen], key[first + 1, 2 * chosen + 1] = sine, cosine
    gain = math.sqrt(SCORE / (OF_POSITIONS * math.sqrt(own)))
    return gain * query, gain * key
