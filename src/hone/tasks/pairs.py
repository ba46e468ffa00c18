"""Two texts for one input, of which one is better: how likely a task's model finds each.

`Pairs` is a task over rows of a task's inputs (or a ``prompt``), ``chosen`` and ``rejected``. A prediction has of both
texts ``*_log_probability``, the sum over its tokens, the one that ends it among them, and ``*_tokens``, how many these
are; which text is ``preferred``; and whether part of the input was left out, ``truncated``. Where there is a reference,
the preferred text is the one that has gained on the other since, and ``reference_*_log_probability`` are beside it;
else it is the likelier one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Shape
from hone.metrics.preferences import PREFERENCE_COLUMNS, preference_tally, preferences
from hone.models.heads import Outputs
from hone.tasks.fields import CHOSEN, REJECTED, as_read, holds_pairs, pair_shapes
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored, Task
from hone.tasks.rows import OTHER, Batch, IntArray, Rows
from hone.tasks.written import TargetTooLong, WrittenText, reference_of


class ChosenTooLong(TargetTooLong):
    """Better texts that are longer than a row, where ``long_target`` is ``refuse``."""

    field = CHOSEN.name


class RejectedTooLong(TargetTooLong):
    """The same of the worse ones."""

    field = REJECTED.name


TOO_LONG = {CHOSEN.name: ChosenTooLong, REJECTED.name: RejectedTooLong}


class Pairs:
    """See the module's docstring; in all else it is the task.

    Args:
        task: The task that writes such texts.
        reference: The log-probabilities of both texts by the model that is compared with, float64 [examples, 2], of the
            very data set that is measured; None: none is.
    """

    says: Says = "text"
    targets = (CHOSEN, REJECTED)
    measure_specs: Mapping[str, MeasureSpec] = {
        "preference_accuracy": MeasureSpec(interval="wilson"),
        "preference_margin": MeasureSpec(unit=""),
        "likelihood_accuracy": MeasureSpec(interval="wilson"),
        "chosen_gain": MeasureSpec(unit=""),
        "perplexity": MeasureSpec(unit="", better="lower", of_tokens=True),
    }
    additive = True

    def __init__(self, task: WrittenText, *, reference: FloatArray | None = None) -> None:
        self.task, self.reference = task, reference
        self.name, self.settings, self.labels = task.name, task.settings, task.labels  # type: ignore[attr-defined]
        self.tokenizer, self.inputs, self.head, self.max_tokens = (
            task.tokenizer,
            task.inputs,
            task.head,
            task.max_tokens,
        )
        self.main_measure = "likelihood_accuracy" if reference is None else "preference_accuracy"

    def against(self, reference: FloatArray) -> Pairs:
        """The same, beside a reference."""
        other = copy.copy(self)
        other.reference, other.main_measure = reference, "preference_accuracy"
        return other

    def shapes(self) -> Sequence[Shape]:
        """Those of rows with two texts."""
        return pair_shapes(self.task)

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """None."""
        return ()

    @staticmethod
    def known(settings: Any, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """None."""
        return {}

    @staticmethod
    def settled(settings: Any, train: Dataset) -> Any:
        """As they are."""
        return settings

    @staticmethod
    def weighs_labels(settings: Any) -> bool:
        """No."""
        return False

    @staticmethod
    def smooths(settings: Any) -> bool:
        """No."""
        return False

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        own = self.task.row_schema
        return {**own, **{OTHER + name: kind for name, kind in own.items()}}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`: a row an example, whatever it is for.

        Raises:
            TextTooLong: A text is longer than allowed, and the settings refuse that.
        """
        given = as_read(self.task, columns)
        read = {name: values for name, values in given.items() if name not in (CHOSEN.name, REJECTED.name)}
        sides = []
        for field in self.targets:
            beside = self.task.with_texts(read, given[field.name])
            try:
                sides.append(self.task.encode(beside, purpose="learn", start=start))
            except TargetTooLong as error:
                raise TOO_LONG[field.name](error.lengths, room=error.room) from None
        arrays = [array for side in sides for array in side.columns]
        return pa.RecordBatch.from_arrays(arrays, names=list(self.row_schema))

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """The task's batch of all better texts, then of all worse ones, int64 [2 * batch, ...]."""
        return self.task.collate(rows.sides, np.concatenate([index, index + len(rows)]))

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """How surprised the model is by the better texts, a text."""
        first, _ = log_probabilities(outputs, batch)
        return Loss(-first.sum(), float(len(first)))

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[Any]]:
        """Of each row float64 [2, 2]: of the better and the worse text the sum of its tokens' log probabilities, and
        how many they are."""
        each = [reference_of(found)[:2] for found in self.task.decode(outputs, batch)]
        return list(np.array(each, dtype=np.float64).reshape(2, -1, 2).swapaxes(0, 1))

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[NDArray[Any]], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        cut = (rows.scalar("truncated") | rows.scalar(OTHER + "truncated")).astype(bool).tolist()
        beside = None if self.reference is None else self.reference[rows.example]
        return [
            _prediction(found, None if beside is None else beside[i], truncated=was)
            for i, (found, was) in enumerate(zip(partials, cut, strict=True))
        ]

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        if not predictions:
            return np.zeros((0, PREFERENCE_COLUMNS))
        likelihoods, tokens = (_both(predictions, what) for what in ("{}_log_probability", "{}_tokens"))
        known = "reference_chosen_log_probability" in predictions[0]
        reference = _both(predictions, "reference_{}_log_probability") if known else None
        return preference_tally(likelihoods, tokens=tokens, reference=reference)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        found = preferences(tally)
        wanting = () if self.reference is not None else ("preference_accuracy", "preference_margin", "chosen_gain")
        return {name: value for name, value in found.items() if name not in wanting}

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        """An answer is the worse the further it prefers the worse text."""
        margins = np.array([_margin(one) for one in predictions])
        return Scored(
            {},
            np.maximum(0.0, -margins),
            self.shown(columns),
            [str(text) for text in columns[CHOSEN.name]],
            [str(columns[prediction["preferred"]][i]) for i, prediction in enumerate(predictions)],
        )

    def shown(self, columns: Columns) -> list[str]:
        """What both texts were written from, as a person reads it."""
        return self.task.shown(as_read(self.task, columns))

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool(one["preferred"] == other["preferred"])


def over(task: Task, columns: Sequence[str]) -> Task:
    """What measures rows with ``columns``: the task, of those that ask something of the text that too, and of those
    with two texts of which one is better `Pairs`."""
    if not isinstance(task, WrittenText):
        return task
    return cast(Task, Pairs(task)) if holds_pairs(task, columns) else cast(Task, task.measuring(columns))


def log_probabilities(outputs: Outputs, batch: Batch) -> tuple[Tensor, Tensor]:
    """The log-probability of each better text, and of each worse one, float32 [batch] each, of a batch of `Pairs`."""
    counts = batch["counts"]
    surprise = functional.cross_entropy(outputs["logits"].float(), batch["gold"], reduction="none")
    first, second = summed(-surprise, counts).chunk(2)
    return first, second


def summed(values: Tensor, counts: Tensor) -> Tensor:
    """Sums of ``values`` [n] over the first ``counts[0]`` of them, the next ``counts[1]``, and so on: [len(counts)]."""
    owner = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    return values.new_zeros(len(counts)).index_add(0, owner, values)


def _prediction(found: NDArray[Any], reference: NDArray[Any] | None, *, truncated: bool) -> Prediction:
    (chosen, many), (rejected, other) = found.tolist()
    one: Prediction = {
        "chosen_log_probability": chosen,
        "chosen_tokens": int(many),
        "rejected_log_probability": rejected,
        "rejected_tokens": int(other),
    }
    if reference is not None:
        one["reference_chosen_log_probability"], one["reference_rejected_log_probability"] = reference.tolist()
    return {**one, "preferred": CHOSEN.name if _margin(one) > 0 else REJECTED.name, "truncated": truncated}


def _margin(one: Prediction) -> float:
    """By how much the better text is likelier, or has gained since the reference, in nats."""
    own = one["chosen_log_probability"] - one["rejected_log_probability"]
    before = one.get("reference_chosen_log_probability", 0.0) - one.get("reference_rejected_log_probability", 0.0)
    return float(own - before)


def _both(predictions: Sequence[Prediction], what: str) -> FloatArray:
    """A figure of both texts, float64 [pairs, 2]."""
    names = [what.format(field.name) for field in (CHOSEN, REJECTED)]
    return np.array([[one[name] for name in names] for one in predictions], dtype=np.float64)
