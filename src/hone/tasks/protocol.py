"""What a task is: the protocol that every entry of the table fulfils. One shape for all stages above."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Grid
from hone.tasks.decoding import DecodingSettings
from hone.tasks.rows import Batch, IntArray, Rows
from hone.tasks.settings import TextSettings

Decision = Mapping[str, Any]  # what turns scores into answers, fitted on validation; JSON values
Says = Literal["one", "several", "number", "place", "direction", "spans", "choice", "tokens", "text"]
LABELED: frozenset[Says] = frozenset({"one", "several", "spans"})  # labels are answers; else they name numbers
Purpose = Literal["learn", "predict"]
Columns = Mapping[str, Sequence[Any]]  # raw examples, columnar: field name -> one value an example
Prediction = dict[str, Any]  # one JSON object an example; each task writes its shape in its file
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss summed over what it weighs, so that accumulation and data parallelism agree with one large batch.

    Attributes:
        total: Scalar tensor, the weighted sum.
        weight: The sum of the weights; ``total / weight`` is the mean.
    """

    total: Tensor
    weight: float


@dataclass(frozen=True)
class LossOptions:
    """How the loss is shaped: smoothing of the targets, and one weight a label (float32 [labels]) or None."""

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None


@dataclass(frozen=True)
class Scored:
    """What evaluation shows beyond measures: tables, and how bad each example went.

    Attributes:
        tables: Name -> table.
        badness: float64 [examples]; above zero where the answer is wrong, higher where it is worse.
        texts, gold, said: The input, the right answer and the given answer of each example, as a person reads them.
        unmeasured: Key of a warning -> the number of examples, above 0, of which something was not measured.
    """

    tables: dict[str, Grid]
    badness: FloatArray
    texts: Sequence[str]
    gold: Sequence[str]
    said: Sequence[str]
    unmeasured: Mapping[str, int] = field(default_factory=dict)


class Objective(Protocol):
    """What is learned: rows become batches, and scores become a loss. A `Task` is one that also answers; what a
    pretraining learns stops at the loss (see `hone.tasks.objectives.pretraining`).

    Attributes:
        settings: Its settings model.
        labels: Names of the scores, in their order.
        tokenizer: The base's.
        head: What gives the scores.
    """

    name: str
    settings: Any
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    head: HeadSpec

    @property
    def max_tokens(self) -> int:
        """Most tokens of a row, special ones included."""
        ...

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        """Columns of encoded rows, targets included."""
        ...

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """Encode examples to unpadded rows; ``start`` is the index of the first example."""
        ...

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """Pad the rows ``index`` into one batch, targets included where the rows have them."""
        ...

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """The training loss."""
        ...


class Task(Objective, Protocol):
    """See the module's docstring; ``labels`` are fixed when the task is made.

    Attributes:
        says: What the scores of an answer tell: ``one`` of the labels, ``several`` of them, each by itself, a
            ``number``, for each label one ``place`` among all, a ``direction`` in space for each text of an example,
            which ``spans`` of it have which labels, which ``choice`` of an example is its answer, which ``tokens``
            of the vocabulary stand where some are masked, or token by token a ``text`` that is written.
        inputs, targets: What examples usually have; see `shapes`. A data set may lack those that are not required, and
            then has them in no row.
    """

    says: Says
    settings: TextSettings
    inputs: tuple[Field, ...]
    targets: tuple[Field, ...]
    measure_specs: Mapping[str, MeasureSpec]
    main_measure: str

    @classmethod
    def shapes(cls) -> Sequence[Shape]:
        """The sets of fields that the rows of a data set may have, that of `inputs` and `targets` first."""
        ...

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """The labels that a training set teaches, in the order of the scores; ``columns`` are its targets."""
        ...

    @staticmethod
    def known(settings: Any, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Of each target that has labels, or tags, those that data to measure on may have. ``settings`` are `settled`,
        ``labels`` are `labels_in`."""
        ...

    @staticmethod
    def named(settings: Any) -> Mapping[str, str]:
        """Of targets whose labels, or tags, the ``settings`` name before they are `settled`: their key that does."""
        ...

    @staticmethod
    def untold(settings: Any, data: Dataset) -> frozenset[str]:
        """Names of the measures that have no value of rows such as ``data``, whatever is answered to them."""
        ...

    @staticmethod
    def settled(settings: Any, train: Dataset) -> Any:
        """The task's settings with whatever they leave to the training data decided."""
        ...

    @staticmethod
    def weighs_labels(settings: Any) -> bool:
        """Whether the loss takes label smoothing and class weights; one over whole sequences does not."""
        ...

    @staticmethod
    def smooths(settings: Any) -> bool:
        """Whether the loss takes label smoothing at least."""
        ...

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        """One array of scores a row."""
        ...

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[NDArray[np.float32]], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        """One prediction an example from the scores of its rows; ``constants`` are the head's (transition scores)."""
        ...

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Sufficient counts, float64 [examples, k]: additive over examples where `additive`."""
        ...

    @property
    def additive(self) -> bool:
        """Whether `measures` of a tally equals `measures` of its sum over examples."""
        ...

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        """Every measure of any subset of a tally's rows."""
        ...

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        """Tables and the badness of each answer."""
        ...

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        """Whether two answers to one example say the same, however sure they are."""
        ...


@runtime_checkable
class Deciding(Protocol):
    """A task whose answers rest on something that is fitted on validation, beside the weights."""

    decision: Decision | None

    @property
    def decides(self) -> bool:
        """Whether there is anything to decide under its settings."""
        ...

    def fit_decision(self, predictions: Sequence[Prediction], columns: Columns) -> Decision | None:
        """What is best for these answers, whatever decision they were made by; None where there is none to make."""
        ...

    def decided(self, decision: Decision | None) -> Task:
        """The same task, answering by ``decision``; None: as one does that was never fitted."""
        ...

    def answered(self, prediction: Prediction) -> Prediction:
        """The answer that the decision gives for the scores in ``prediction``."""
        ...


@runtime_checkable
class Repeating(Protocol):
    """A task that may read a part of an example many times over, as a question before each window of its context."""

    def within(self, most_tokens: int) -> Task:
        """The same task, whose `Task.encode` raises `hone.tasks.long_text.TooMuch` before it makes rows of more tokens
        together."""
        ...


@runtime_checkable
class Weighing(Protocol):
    """A task that measures resamples of a tally without a copy of its rows."""

    def weighed(self, tally: FloatArray) -> Callable[[IntArray], dict[str, float | None]]:
        """Every measure of the tally with each row so many times, for any such weights, int64 [examples]: what
        `Task.measures` gives of the copied rows. What it can prepare it prepares once."""
        ...


def weighing(task: object) -> Callable[[FloatArray], Callable[[IntArray], dict[str, float | None]]] | None:
    """`Weighing.weighed`; None of a task that has none."""
    return task.weighed if isinstance(task, Weighing) else None


@runtime_checkable
class Judging(Protocol):
    """A task whose tally, and what it shows beside that, rest on one costly look at all answers together."""

    def judged(self, predictions: Sequence[Prediction], columns: Columns) -> tuple[FloatArray, Scored]:
        """`Task.tally` and `Task.scored`, of one look."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A task whose batches to learn from are drawn anew for every step, its targets or what a row is compared with.
    `Task.collate` gives its rows as they are measured."""

    def drawing(self, rows: Rows) -> int:
        """How many rows are read for each of a batch that is drawn of ``rows``; 0 where nothing is: then `Task.collate`
        serves learning, too."""
        ...

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """One batch to learn from: the same of the same state of ``rng``."""
        ...


def draws(task: object, rows: Rows) -> int:
    """`Drawing.drawing`; 0 of a task that never draws."""
    return task.drawing(rows) if isinstance(task, Drawing) else 0


@runtime_checkable
class Writing(Protocol):
    """A task whose answers are written token by token. What a row comes to, and `Task.join` takes, is a
    `hone.tasks.written.Drafts`.

    Attributes:
        writes: Whether it writes; else it only tells how likely the given texts are.
        reference_measures: Names of the measures that need no writing.
    """

    writes: bool
    reference_measures: tuple[str, ...]

    def prompts(self, rows: Rows) -> list[list[list[int]]]:
        """Of each row what texts are to be written from, as token ids; none where nothing is to be written."""
        ...

    def silent(self) -> Task:
        """The same task, which writes nothing."""
        ...

    def decoding(self, decoding: DecodingSettings) -> Task:
        """The same task, which writes by other settings."""
        ...

    @property
    def endings(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        ...

    @property
    def forced_bos_token_id(self) -> int | None:
        """Token that every text begins with, where there is one: that of its language."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """A task whose loss compares the rows of a batch with one another, and whose tally the rows of a data set: what a
    row's neighbors are is part of it. The batches of one optimizer step are one batch to it."""

    def once(self, rows: Rows, index: int) -> Sequence[int]:
        """Names of what of the row ``index`` should stand once in a batch: the same thing twice is no negative."""
        ...

    @staticmethod
    def needs(settings: Any) -> tuple[str, ...]:
        """Fields that are not required of every data set, and that training by ``settings`` reads."""
        ...
