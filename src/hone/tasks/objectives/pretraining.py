"""What a pretraining learns: one objective, or several whose weighted mean losses are added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.core.choice import opened
from hone.core.errors import DataError
from hone.core.measures import MeasureSpec
from hone.core.progress import Progress
from hone.data.dataset import Dataset
from hone.models.addressed import addressed, by_head
from hone.models.heads import HEADS, HeadSpec, Outputs
from hone.models.noise import Noise
from hone.tasks.encoded import encoded
from hone.tasks.objectives.documents import PAIR, Documents
from hone.tasks.objectives.objective import DocumentObjective
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.objectives.timed import Timed
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Purpose
from hone.tasks.rows import Batch, IntArray, Rows

MEASURED = 0x4E1D  # sets the seeds of what is held out apart from others'


class Pretraining(Timed):
    """An `hone.tasks.protocol.Objective` over documents, drawn anew in every step.

    Each objective has a batch of its own of the same rows, and a head of its own: the first one's stand as they are,
    the others' under their names (see `hone.models.addressed`).

    Args:
        chosen: Decided entries of `OBJECTIVES`.
        documents: How rows are read.
    """

    name = "pretraining"
    labels: tuple[str, ...] = ()

    def __init__(self, chosen: Sequence[Mapping[str, Any]], documents: Documents) -> None:
        each = [opened(value, OBJECTIVES) for value in chosen]
        parts: list[DocumentObjective] = [entry.kind(settings, documents) for entry, settings in each]
        own = sorted(parts, key=lambda part: HEADS[part.head.kind].gives != "logits")  # a class of transformers' first
        self.parts: dict[str, DocumentObjective] = {part.name if i else "": part for i, part in enumerate(own)}
        self.settings, self.documents, self.tokenizer = documents.settings, documents, documents.tokenizer
        self.head: HeadSpec = own[0].head
        self.others = {name: part.head for name, part in self.parts.items() if name}
        specs = (part.specs() for part in parts)  # as they were named: the first one's measure is watched
        self.measure_specs: dict[str, MeasureSpec] = {name: spec for own in specs for name, spec in own.items()}
        self.main_measure = next(iter(self.measure_specs))

    @property
    def max_tokens(self) -> int:
        return self.documents.max_tokens

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return self.documents.row_schema

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Objective.encode`."""
        return self.documents.encode(columns, purpose=purpose, start=start)

    def drawing(self, rows: Rows) -> int:
        """See `Drawing.drawing`."""
        return sum(part.reads for part in self.parts.values())

    def read_of(self, rows: Rows) -> IntArray:
        """Tokens of each row, the mean of all times that it is read, int64 [rows]: in place of its text a pair is read
        where it has one and an objective compares them."""
        pair = np.diff(rows.lists(PAIR).offsets)
        comparing = sum(part.pairs for part in self.parts.values())
        more = comparing * np.where(pair > 0, pair - rows.lengths, 0)
        found: IntArray = rows.lengths + np.round(more / self.drawing(rows)).astype(np.int64)
        return found

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """The batches of all objectives as one."""
        batch: Batch = {}
        for name, part in self.parts.items():
            batch |= addressed(part.draw(rows, index, rng=rng), name)
        return batch

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """The rows as they are measured, always the same of the same rows."""
        batch: Batch = {}
        for name, part in self.parts.items():
            rng = np.random.default_rng([MEASURED, *index.tolist()])
            batch |= addressed(part.held_out(rows, index, rng=rng), name)
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """A single objective's; of several the weighted sum of their means, once for each thing the first one tells."""
        scores, given = by_head(outputs), by_head(batch)
        found = {name: part.loss(scores[name], given[name]) for name, part in self.parts.items()}
        first = found[""]
        if len(found) == 1:
            return Loss(first.total * self.parts[""].settings.weight, first.weight)
        means = (self.parts[name].settings.weight * loss.total / loss.weight for name, loss in found.items())
        return Loss(sum(means, start=first.total.new_zeros(())) * first.weight, first.weight)

    def timed(self, clock: Noise, *, steps: int) -> None:
        """See `Timed.timed`."""
        super().timed(clock, steps=steps)
        for part in self.parts.values():
            part.timed(clock, steps=steps)

    def tally(self, outputs: Outputs, batch: Batch) -> list[FloatArray]:
        """What each objective tells of the rows of a batch."""
        scores, given = by_head(outputs), by_head(batch)
        return [part.tally(scores[name], given[name]) for name, part in self.parts.items()]

    def settled(self, tallies: Sequence[Sequence[FloatArray]], index: IntArray) -> FloatArray:
        """What the measures are made of, float64 [rows, columns], of all batches' tallies, whose rows in turn are the
        rows ``index``."""
        place = np.argsort(np.argsort(index))  # of each row in turn among all
        whole = (_in_order(own, place) for own in zip(*tallies, strict=True))
        return np.hstack([part.settled(own) for part, own in zip(self.parts.values(), whole, strict=True)])

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        """Every measure of any rows of what `settled` gives, those of the first objective first."""
        ends = np.cumsum([part.columns for part in self.parts.values()])
        each = zip(self.parts.values(), np.split(tally, ends[:-1], axis=1), strict=True)
        found = {name: value for part, own in each for name, value in part.measures(own).items()}
        return {name: found[name] for name in self.measure_specs}


def _in_order(parts: Sequence[FloatArray], place: IntArray) -> FloatArray:
    """Rows of parts in turn, each at its place; beside the parts one copy of them, for vectors of texts may be many."""
    out = np.empty((len(place), parts[0].shape[1]), dtype=parts[0].dtype)
    at = 0
    for part in parts:
        out[place[at : at + len(part)]] = part
        at += len(part)
    return out


def text_rows(learning: Pretraining, dataset: Dataset, *, cache: Path, progress: Progress) -> Rows:
    """The rows of a dataset's documents, from the cache or made now, each as long as what is read of it. Of pairs that
    nothing is learned of it is said.

    Raises:
        DataError: There is none, or none has a token that an objective which hides some may hide.
    """
    rows = encoded(learning, dataset, cache=cache)
    if not len(rows):
        raise DataError(
            f"no text in {dataset.origin} has a token of the base's vocabulary",
            expected="text that it reads",
            code="data.no-tokens",
        )
    hiding = [part.name for part in learning.parts.values() if part.hides]
    if hiding and not any((words >= 0).any() for words in rows.lists("words").parts):
        raise DataError(
            f"no text in {dataset.origin} has a token to hide: the base's tokenizer knows none of them, and "
            f"{hiding[0]} would learn nothing",
            expected="text in a language that the base reads",
            fix="Choose a base that was trained on it, or begin from nothing: base: {architecture: ...}.",
            code="data.nothing-to-hide",
        )
    compares = any(part.pairs for part in learning.parts.values())
    if not compares and rows.lists(PAIR).offsets[-1]:
        progress.say(f"{dataset.name} has pairs, which none of these objectives compares")
    elif compares and (left := int((rows.scalar("unpaired") & rows.scalar("first")).sum())):
        progress.say(f"{left:,} documents of {dataset.name} are learned without their pairs: a text and its pair have "
                     f"to fit into rows of {learning.max_tokens} tokens each")  # fmt: skip
    return Rows(rows.table, lengths=learning.read_of(rows)) if compares else rows
