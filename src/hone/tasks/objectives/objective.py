"""What an entry of the table of objectives is: batches drawn from pieces of documents, and their loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.models.heads import HeadSpec, Outputs
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.timed import Timed
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch, IntArray, Rows

SURPRISE = MeasureSpec(better="lower")
MOST = 700.0  # of a logarithm: its exponential is still a number
TALLY = 3  # numbers of a row: how surprised the model was in all, by how many things, and how many it told right


class DocumentObjective(Timed):
    """One objective. An entry has a `head`, draws batches and states their loss.

    Args:
        settings: Its settings.
        documents: How rows are read.

    Attributes:
        perplexity, accuracy: What its measures are called; empty where it has none of that kind.
        reads: How many times as many tokens it reads as a batch's rows have.
        pairs: Whether it compares a text with what says the same, where a corpus gives that.
        hides: Whether all that it learns of is tokens that it hides, special and unknown ones never.
    """

    name: ClassVar[str]
    head: HeadSpec
    perplexity: ClassVar[str] = ""
    accuracy: ClassVar[str] = ""
    reads: ClassVar[int] = 1
    pairs: ClassVar[bool] = False
    hides: ClassVar[bool] = False

    def __init__(self, settings: Any, documents: Documents) -> None:
        self.settings, self.documents, self.tokenizer = settings, documents, documents.tokenizer

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """One batch to learn from: the same of the same state of ``rng``."""
        raise TypeError(f"{type(self).__name__} draws nothing")

    def held_out(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """One batch to be measured by."""
        return self.draw(rows, index, rng=rng)

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        """The loss, summed over what is told."""
        raise TypeError(f"{type(self).__name__} has no loss")

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        """What is told of each held-out row of a batch, float64 [rows, k]; unless `settled` says another, `TALLY`."""
        raise TypeError(f"{type(self).__name__} is not measured")

    @property
    def columns(self) -> int:
        """How many numbers of a row its measures are made of."""
        return TALLY

    def settled(self, tally: FloatArray) -> FloatArray:
        """What the measures are made of, float64 [rows, `columns`], of what is told of all held-out rows in their
        order: where rows are compared with one another, it does not matter which stood in a batch."""
        return tally

    @classmethod
    def specs(cls) -> Mapping[str, MeasureSpec]:
        """Its measures, that by which a state is chosen first."""
        named = {cls.perplexity: SURPRISE, cls.accuracy: MeasureSpec()}
        return {name: spec for name, spec in named.items() if name}

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        """Those of any rows of a tally."""
        surprise, count, right = tally.sum(axis=0)
        found = (math.exp(min(surprise / count, MOST)), float(right / count)) if count else (None, None)
        return {name: value for name, value in zip((self.perplexity, self.accuracy), found, strict=True) if name}


class TokensTold(DocumentObjective):
    """One whose scores are ``logits``, [n, vocabulary], of the tokens ``gold``, int64 [n]: ``counts``, int64 [rows], of
    each row in turn."""

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        gold = batch["gold"]
        total = functional.cross_entropy(outputs["logits"].float(), gold, reduction="sum")
        return Loss(total, float(len(gold)) or 1.0)  # nothing to tell counts as one token

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        logits, gold, counts = (value.cpu() for value in (outputs["logits"], batch["gold"], batch["counts"]))
        lost = functional.cross_entropy(logits.float(), gold, reduction="none")
        return by_row(lost, (logits.argmax(1) == gold), counts)


def by_row(lost: Tensor, right: Tensor, counts: Tensor) -> FloatArray:
    """A tally of things told, each float or bool [n], of which each row in turn has as many as ``counts`` say."""
    each = torch.stack([lost.double(), torch.ones_like(lost).double(), right.double()], dim=1)
    row = torch.repeat_interleave(torch.arange(len(counts)), counts)
    found = torch.zeros(len(counts), TALLY, dtype=torch.float64).index_add_(0, row, each)
    out: FloatArray = found.numpy()
    return out
