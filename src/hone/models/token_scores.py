"""A model of token embeddings alone, read by their mean: what each token adds to the scores, worked out once.

Without layers and without position a token's state is the same in every text, and a linear layer over the mean of
states gives the mean of the linear layer over each. So a table [tokens, labels] answers, and no state is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.heads import Head, MeanPooled

TOKENS_AT_ONCE = 4096


def token_scores(embeddings: Any, head: Head) -> Tensor | None:
    """The table, float32 [tokens, labels], of embeddings (words, positions, token types, their norm) that a head reads
    without layers between them. None where positions count, the head reads no mean, or the table would be larger than
    that of the embeddings.

    It has what tokens of type 0 add; a batch with token types goes through the embeddings (see `Model.forward`)."""
    words, positions = embeddings.word_embeddings.weight, embeddings.position_embeddings.weight
    if not isinstance(head, MeanPooled) or bool(positions.any()) or head.linear.out_features > words.shape[1]:
        return None
    parts = []
    with torch.no_grad():
        for at in range(0, len(words), TOKENS_AT_ONCE):
            ids = torch.arange(at, min(at + TOKENS_AT_ONCE, len(words)), device=words.device)
            parts.append(functional.linear(embeddings(input_ids=ids[:, None]).squeeze(1), head.linear.weight))
    return torch.cat(parts)


def mean_scores(table: Tensor, head: Head, batch: Mapping[str, Tensor]) -> Tensor:
    """The head's scores of ``input_ids`` under ``attention_mask``, float32 [rows, labels]."""
    assert isinstance(head, MeanPooled)
    mask = batch["attention_mask"].bool()
    lengths = mask.sum(1)
    ids = batch["input_ids"][mask]
    return functional.embedding_bag(ids, table, lengths.cumsum(0) - lengths, mode="mean") + head.linear.bias
