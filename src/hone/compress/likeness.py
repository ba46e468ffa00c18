"""How far a student's inner states are from its teacher's: token states of matched layers (TinyBERT, Jiao et al. 2020)
and what the last layer's tokens see of one another (MiniLM, Wang et al. 2020 and 2021).

Of one text both distances are means over its tokens, so that padding and the length of its neighbors never count.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hone.models.attention import HIDDEN, KEPT_BYTES, PART_BYTES
from hone.models.model import Model
from hone.tasks.rows import Batch

SHORT = 1e-6  # no state is taken for shorter than this, squared


class Likeness:
    """Both distances for the batch that the student just ran; the teacher runs it here, without derivatives.

    Where the student is narrower, its states go through one linear map, which learns with it (it is a module of the
    student) until `leave`.

    Args:
        student, teacher: On one device; both encoders are told to collect their states.
        layers: Of the teacher, from 0: whose states the student's layers learn, one each. The embeddings' states are
            matched too.
        hidden, attention: Weights of the two distances; 0: not computed.
        start: What the map begins with: weight [teacher's width, student's width] and bias; None where the widths are
            equal, and there is no map.
    """

    def __init__(
        self,
        student: Model,
        teacher: Model,
        *,
        layers: Sequence[int],
        hidden: float,
        attention: float,
        start: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self._student, self._teacher = student, teacher
        self._layers, self._hidden, self._attention = layers, hidden, attention
        for model in (student, teacher):
            assert model.encoder is not None
            model.encoder.collect()
        self._map: nn.Linear | None = None
        if hidden and start is not None:
            self._map = nn.Linear(start[0].shape[1], start[0].shape[0])
            self._map.load_state_dict({"weight": start[0], "bias": start[1]})
            student.add_module("map", self._map)

    def leave(self) -> None:
        """Let the student be as it was: without map, collecting nothing."""
        if self._map is not None:
            del self._student.map
        assert self._student.encoder is not None
        self._student.encoder.collected = None

    def of(self, batch: Batch) -> Tensor:
        """The weighted sum of both distances, float32 [rows]."""
        mask = batch["attention_mask"].bool()
        total = torch.zeros(len(mask), device=mask.device)
        with torch.no_grad():
            self._teacher(batch)
            theirs = _states(self._teacher)
            wanted = last_projections(self._teacher, theirs[-2]) if self._attention else None
        ours = _states(self._student)
        if self._hidden:
            total = total + self._hidden * self._between_states(ours, theirs, mask.sum(1))
        if wanted is not None:
            said = last_projections(self._student, ours[-2])
            heads = relation_heads(self._teacher, said[0].shape[1], wanted[0].shape[1])
            total = total + self._attention * relation_distance(said, wanted, mask, heads=heads)
        return total

    def _between_states(self, ours: list[Tensor], theirs: list[Tensor], lengths: Tensor) -> Tensor:
        """Mean over the matched states of the mean over a row's tokens, [rows]."""
        wanted = [theirs[0], *(theirs[i + 1] for i in self._layers)]
        mapped = ours if self._map is None else [self._map(states) for states in ours]
        parts = [by_row(state_distance(one, other), lengths) for one, other in zip(mapped, wanted, strict=True)]
        return torch.stack(parts).mean(0)


def _states(model: Model) -> list[Tensor]:
    assert model.encoder is not None
    assert model.encoder.collected is not None
    return model.encoder.collected


def state_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Squared error of each token's state [n, width] as a share of the wanted state's square, [n]: whatever the scale
    of a model's states, a state of zeros is 1 away."""
    return (ours - theirs).square().sum(1) / theirs.square().sum(1).clamp(min=SHORT)


def by_row(values: Tensor, lengths: Tensor) -> Tensor:
    """Means over each row's tokens of values [n], row after row, or of one value a row; lengths int64 [rows]."""
    if len(values) == len(lengths):
        return values
    row = torch.repeat_interleave(torch.arange(len(lengths), device=values.device), lengths)
    return values.new_zeros(len(lengths)).index_add(0, row, values) / lengths


def last_projections(model: Model, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the last layer, each flat [n, width], from the states before it [n, width]."""
    assert model.encoder is not None
    own: Any = model.encoder.layer[-1].attention.self  # type: ignore[union-attr]
    return own.query(states), own.key(states), own.value(states)


def relation_heads(teacher: Model, *widths: int) -> int:
    """Into how many heads queries, keys and values are split to be compared: as many as the teacher's last layer has,
    or the most below that which divide both widths."""
    assert teacher.encoder is not None
    own: Any = teacher.encoder.layer[-1].attention.self  # type: ignore[union-attr]
    had = own.query.out_features // own.attention_head_size
    return next(heads for heads in range(had, 0, -1) if all(width % heads == 0 for width in widths))


def relation_distance(ours: Sequence[Tensor], theirs: Sequence[Tensor], mask: Tensor, *, heads: int) -> Tensor:
    """``KL(theirs, ours)`` of each token's relations to the tokens of its row, by queries and keys and by values and
    values, the sum of the two: mean over heads and tokens, [rows].

    Args:
        ours, theirs: Queries, keys and values, each flat [n, width]; the widths of the two may differ.
        mask: bool [rows, tokens].
        heads: Divides both widths.
    """
    rows, tokens = mask.shape
    parts = [_padded(part, mask, heads=heads) for part in (*ours, *theirs)]
    each = heads * tokens**2 * 4
    if rows * each <= KEPT_BYTES:
        return _relations(mask, *parts)
    step = max(1, PART_BYTES // each)  # of long texts the relations are made again on the way back, not kept
    again = partial(checkpoint, _relations, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([again(mask[at : at + step], *(p[at : at + step] for p in parts)) for at in range(0, rows, step)])


def _padded(flat: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """[n, width] to [rows, heads, tokens, width / heads], zeros where padded."""
    out = flat.new_zeros(*mask.shape, flat.shape[1]).masked_scatter(mask[..., None], flat)
    return out.view(*mask.shape, heads, -1).transpose(1, 2)


def _relations(mask: Tensor, q: Tensor, k: Tensor, v: Tensor, q2: Tensor, k2: Tensor, v2: Tensor) -> Tensor:
    bias = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, HIDDEN)[:, None, None]
    total = torch.zeros(len(mask), device=mask.device)
    for (a, b), (c, d) in (((q, k), (q2, k2)), ((v, v), (v2, v2))):
        said, wanted = (
            functional.log_softmax(x @ y.transpose(2, 3) * x.shape[3] ** -0.5 + bias, dim=3)
            for x, y in ((a, b), (c, d))
        )
        each = functional.kl_div(said, wanted, log_target=True, reduction="none").sum(3).mean(1)  # [rows, tokens]
        total = total + (each * mask).sum(1) / mask.sum(1)
    return total
