"""`greatest`: the few greatest of many scores, sooner than by looking at each of them in order."""

from __future__ import annotations

import torch
from torch import Tensor

COLUMNS = 512


def greatest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As ``scores.topk(count, dim=-1)`` of scores [rows, n], in which of equal ones others may be taken.

    Each row is laid out in columns. The greatest score of a column takes one pass of many numbers at a time, and only
    ``count`` columns can hold what is looked for.
    """
    rows, n = scores.shape
    deep = n // COLUMNS
    if deep <= count or count > COLUMNS:
        return scores.topk(count, dim=-1)
    whole = deep * COLUMNS
    columns = scores[:, :whole].view(rows, deep, COLUMNS).amax(dim=1).topk(count, dim=-1, sorted=False).indices
    places = (columns[:, :, None] + torch.arange(0, whole, COLUMNS, device=scores.device)).flatten(1)
    if whole < n:  # what fills no column
        rest = torch.arange(whole, n, device=scores.device)
        places = torch.cat([places, rest.expand(rows, -1)], dim=1)
    best, at = scores.gather(1, places).topk(count, dim=-1)
    return best, places.gather(1, at)
