"""Rows that keep to a constraint: a matcher each, and near the end of their room a way to end that is known to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hone.predict.generation.guide import Guide
from hone.predict.generation.written import Vocabulary
from hone.text.constraints import Constraint

NEVER = float("-inf")
NEAR = 16  # tokens left, beyond those of the shortest text, from which on a row's end is planned


@dataclass
class Row:
    """What is known of a text.

    Attributes:
        matcher: llguidance's, after its tokens; None of a row that nothing is made of (beam search has such).
        left: Tokens that it may still have.
        plan: Tokens that make it a whole text; None where none is known.
        plans: Of each token that may come next where the end is planned, the plan from there.
    """

    matcher: Any
    left: int
    plan: list[int] | None = None
    plans: dict[int, list[int]] = field(default_factory=dict)


class Guided:
    """Leaves each row only the tokens that lead to a text that the constraint allows.

    While a text nears ``max_new_tokens``, only tokens stay after which there is a known way to end it in time: of the
    likeliest ``tries`` those, and the first of the way that is known now. So a text is whole wherever such a way was
    found when it came near.

    Args:
        size: Number of tokens that there are scores for.
        first: A token that every text begins with and that says nothing.

    Raises:
        RecipeError, BundleError, MissingExtra: As `Guide`.
    """

    def __init__(
        self, constraint: Constraint, vocabulary: Vocabulary, *, size: int, tries: int, first: int | None
    ) -> None:
        self._guide = Guide(constraint, vocabulary, size=size)
        self._tries, self._skips = tries, first is not None
        self._near = NEAR + len(self._guide.shortest or ())
        self._rows: list[Row] = []

    def add(self, limits: Sequence[int]) -> None:
        """New rows after those there are, each with the most tokens that it may have."""
        self._rows += [Row(self._guide.begin(), limit) for limit in limits]

    def move(self, index: Tensor | None, tokens: Tensor, *, written: Tensor) -> None:
        """Go on with the rows at ``index``, each of which now has one token more, and ``written`` of them in all."""
        if index is not None:  # several may go on from one
            chosen = [self._rows[at] for at in index.tolist()]
            copies = [None if row.matcher is None else row.matcher.deep_copy() for row in chosen]
            self._rows = [replace(row, matcher=copy) for row, copy in zip(chosen, copies, strict=True)]
        for row, token, count in zip(self._rows, tokens.tolist(), written.tolist(), strict=True):
            row.left -= 1
            if self._skips and count == 1:
                continue
            row.plan, row.plans = row.plans.get(token), {}
            if row.matcher is not None and not row.matcher.consume_token(token):
                row.matcher = None

    def apply(self, scores: Tensor) -> None:
        """Take what may not come next from scores, float32 [rows, vocabulary], in place."""
        alive = [at for at, row in enumerate(self._rows) if row.matcher is not None]
        if not alive:
            return
        masks = torch.from_numpy(self._guide.masks([self._rows[at].matcher for at in alive]))
        for at, mask in zip(alive, masks, strict=True):
            row = self._rows[at]
            if row.left <= self._near:
                self._plan(row, mask, scores[at])
        scores[alive] = scores[alive].masked_fill(~masks, NEVER)

    def _plan(self, row: Row, mask: Tensor, scores: Tensor) -> None:
        """Leave of a row's ``mask`` what is known to end in time, where anything is."""
        guide = self._guide
        if row.plan is None:
            row.plan = guide.closing(row.matcher, most=row.left)
        tokens = mask.nonzero()[:, 0]
        best = tokens[scores[tokens].topk(min(self._tries, len(tokens))).indices].tolist()
        plans = {token: plan for token in best if (plan := self._after(row, token)) is not None}
        if row.plan:
            plans.setdefault(row.plan[0], row.plan[1:])
        elif row.plan is not None:  # it is whole
            plans |= {end: [] for end in guide.ends if mask[end] and end not in plans}
        if plans:
            mask.zero_()
            mask[list(plans)] = True
            row.plans = plans

    def _after(self, row: Row, token: int) -> list[int] | None:
        """A way to end in time once a token has come; None where none is known."""
        if token in self._guide.ends:
            return []
        if row.plan and token == row.plan[0]:
            return row.plan[1:]
        ahead = row.matcher.deep_copy()
        if not ahead.consume_token(token):
            return None
        return self._guide.closing(ahead, most=row.left - 1, before=row.plan or ())
