"""`Predictor`: a bundle, opened and ready to answer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import TaskRecord
from hone.bundle.members import members_of
from hone.core.ahead import ahead
from hone.core.choice import opened
from hone.core.errors import BundleError, DataError
from hone.core.memory import give_back
from hone.core.settings import check_settings
from hone.data.fields import Field
from hone.models.adapters.files import ADAPTER_FILE, put_adapter
from hone.models.adapters.held_base import hold
from hone.models.adapters.table import METHODS
from hone.models.base import Base
from hone.models.model import HEAD_FILE, Model, build_model
from hone.models.onnx import load_onnx
from hone.models.tokenizer import Tokenizer
from hone.predict.bases import bits_of, find_base
from hone.predict.batching import score_rows
from hone.predict.engine import Engine, engine_of
from hone.predict.ensemble import EnsembleEngine
from hone.predict.formats import ADAPTERS, EXAMPLES_AT_ONCE, FORMATS, MEMBERS, ONNX, Precision
from hone.predict.given import columns_of
from hone.predict.rewards import Reward
from hone.predict.text_stream import TextStream
from hone.predict.writing import require_writing, stream_of, with_decoding
from hone.tasks.fields import choices_of
from hone.tasks.long_text import refuse_much
from hone.tasks.make import make_task
from hone.tasks.protocol import Columns, Deciding, Prediction, Repeating, Task
from hone.tasks.rows import IntArray, Rows
from hone.tasks.table import SETTINGS
from hone.tasks.written import WrittenText


class Predictor:
    """Answers with one bundle; safe to call from several threads.

    Attributes:
        bundle: The bundle it opened.
        task: The bundle's task.
    """

    def __init__(self, bundle: Bundle, task: Task, engine: Engine, *, reward: Reward | None = None) -> None:
        self.bundle = bundle
        self.task = task
        self.engine = engine
        self._reward = reward
        self._stopped: Callable[[], bool] = lambda: False
        self._most_tokens: int | None = None

    def predict(self, inputs: Any) -> list[Prediction]:
        """One prediction an example, in order; each task's shape is written in its file.

        Args:
            inputs: A text; a list or pandas Series of texts; for tagging also a list of token lists; an object, a
                list of objects, or a pandas DataFrame, with the task's input columns.

        Raises:
            DataError: It is none of these.
        """
        columns = columns_of(inputs, self.input_choices)
        eager = len(next(iter(columns.values()))) > EXAMPLES_AT_ONCE
        return list(self.each(columns, eager=eager))

    def tokens_of(self, inputs: Any) -> IntArray:
        """Tokens of each example as the model reads it, its rows together: int64 [examples]; ``inputs`` as of
        `predict`.

        Raises:
            DataError: As of `predict`.
        """
        columns = columns_of(inputs, self.input_choices)
        total = np.zeros(len(next(iter(columns.values()))), dtype=np.int64)
        if len(total):
            rows = Rows(self.task.encode(columns, purpose="predict"))
            np.add.at(total, rows.example, rows.lengths)
        return total

    def decoding(self, /, **settings: Any) -> Predictor:
        """The same bundle, writing by other settings of `hone.tasks.decoding.DecodingSettings`; those not named stay as
        the bundle has them.

        Raises:
            RecipeError: The task does not write, or the settings cannot be used.
        """
        return Predictor(self.bundle, with_decoding(self.task, settings), self.engine, reward=self._reward)

    def until(self, stopped: Callable[[], bool]) -> Predictor:
        """The same bundle, which asks before each batch, and before each token that it writes, whether nobody waits any
        more, and then raises `hone.predict.generation.generate.Abandoned`."""
        other = copy.copy(self)
        other._stopped = stopped
        return other

    def within(self, most_tokens: int) -> Predictor:
        """The same bundle, which reads so many tokens at most of the inputs that are encoded together, all windows
        counted: else it raises `hone.tasks.long_text.TooMuch`, before it reads any."""
        other = copy.copy(self)
        other.task = self.task.within(most_tokens) if isinstance(self.task, Repeating) else self.task
        other._most_tokens = most_tokens
        return other

    def best_of(self, n: int, /, reward: Predictor, *, label: str = "") -> Predictor:
        """The same bundle, writing ``n`` texts for each input by its decoding settings and answering the one with the
        highest reward; all of them are in ``texts``, each with its ``reward``.

        Args:
            reward: A bundle that labels texts, or gives them a number: what it says of each is the reward. Over two
                texts it reads what was written from before what was written.
            label: The label whose probability is the reward; none where ``reward`` gives numbers.

        Raises:
            RecipeError: The task does not write, its settings write no ``n`` texts, or ``reward`` gives no reward.
        """
        task = with_decoding(self.task, {"num_return_sequences": n})
        return Predictor(self.bundle, task, self.engine, reward=Reward(reward, label))

    def write(self, given: Any) -> TextStream:
        """What is written for one input, in pieces, each as soon as nothing that follows can change it; when the text
        has ended, the stream's ``prediction`` is what `predict` answers.

        Raises:
            DataError: It is no input of the task, or several.
            RecipeError: The task does not write, or looks for several texts at a time.
        """
        require_writing(self.task)
        columns = columns_of(given, self.input_choices)
        count = len(next(iter(columns.values())))
        if count != 1:
            raise DataError(f"found {count} inputs to write for", expected="one", code="data.one-input")
        return stream_of(self.task, self.engine, columns)

    def stream(self, parts: Iterable[Columns], *, eager: bool = False) -> Iterator[list[Prediction]]:
        """Predictions of each part in turn; memory holds one part.

        Args:
            eager: Encode the next part while one is scored: two parts are held, and read before the first is answered.
        """
        counted = _with_starts(parts)
        encoded = ahead(self._encoded, counted) if eager else map(self._encoded, counted)
        for at, (columns, rows) in enumerate(encoded):
            if at:  # one alone is a request, which should not wait for that
                give_back()
            yield self._joined(columns, rows)

    def each(self, columns: Columns, *, eager: bool = False) -> Iterator[Prediction]:
        """Predictions of examples given as columns of the task's input fields, in order; however many there are, memory
        holds the rows of one part of them.

        Args:
            eager: As of `stream`.
        """
        for answers in self.stream(parts_of(columns), eager=eager):
            yield from answers

    def predict_columns(self, columns: Columns, *, start: int = 0) -> list[Prediction]:
        """Predictions of examples given as columns of the task's input fields; ``start``: examples before them."""
        return self._joined(*self._encoded((columns, start)))

    def _encoded(self, part: tuple[Columns, int]) -> tuple[Columns, Rows]:
        columns, start = part
        rows = Rows(self.task.encode(columns, purpose="predict", start=start))
        refuse_much(int(rows.work.sum()), most=self._most_tokens)
        return columns, rows

    def _joined(self, columns: Columns, rows: Rows) -> list[Prediction]:
        return self.task.join(columns, rows, self.came_to(columns, rows), constants=self.engine.constants)

    def came_to(
        self, columns: Columns, rows: Rows, *, task: Task | None = None, done: Callable[[int], None] | None = None
    ) -> list[Any]:
        """What every row came to, as `hone.predict.batching.score_rows` has it; texts with a reward the best first.

        Args:
            columns: The examples that ``rows`` were encoded of.
            task: What is asked of the model, where it is not the bundle's own task.
            done: Called with the number of rows each batch finished.
        """
        scores = score_rows(task or self.task, self.engine, rows, done=done, stopped=self._stopped, together=True)
        if self._reward is None:
            return scores
        assert isinstance(self.task, WrittenText)
        return self._reward.ranked(self.task.asked(columns, rows), scores)

    @property
    def input_choices(self) -> tuple[tuple[Field, ...], ...]:
        """The sets of input fields the task answers, the usual one first."""
        return choices_of(self.task)


def parts_of(columns: Columns) -> Iterator[Columns]:
    """Columns in order, so many examples at a time as are encoded together."""
    for at in range(0, len(next(iter(columns.values()))), EXAMPLES_AT_ONCE):
        yield {name: values[at : at + EXAMPLES_AT_ONCE] for name, values in columns.items()}


def _with_starts(parts: Iterable[Columns]) -> Iterator[tuple[Columns, int]]:
    """Each part with the number of examples before it."""
    done = 0
    for columns in parts:
        yield columns, done
        done += len(next(iter(columns.values())))


def load(path: Path | str, *, device: str = "auto", precision: Precision = "float32", base: str = "") -> Predictor:
    """Open the bundle in ``path`` for prediction, after verifying every file of it.

    Args:
        path: A bundle's folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        precision: ``float32``, or on a GPU that has it ``bf16`` or ``fp16``, which are faster there: scores are then
            good to two or three digits.
        base: Where the base of an adapter's bundle is, a name or a folder, if not where the bundle says.

    Raises:
        BundleError: The bundle is damaged, foreign, newer, or has no task; its base is missing, or another one.
        DeviceError: The machine has no such device, or the device no such precision.
    """
    return open_bundle(Bundle.open(path, base=base), device=device, precision=precision)


def open_bundle(bundle: Bundle, *, device: str = "auto", precision: Precision = "float32") -> Predictor:
    """A predictor for a bundle that is verified already."""
    _record_of(bundle)
    if weights_format(bundle) == ONNX:
        engine = engine_of(load_onnx(bundle.path), device=device, precision=precision)
        return Predictor(bundle, _task(bundle, bundle.path), engine)
    if weights_format(bundle) == MEMBERS:
        task = _task(bundle, bundle.path)
        each = [open_bundle(member, device=device, precision=precision).engine for member in members_of(bundle)]
        return Predictor(bundle, task, EnsembleEngine(task, each))
    model, task = open_model(bundle)
    return Predictor(bundle, task, engine_of(model.fix(), device=device, precision=precision))


def weights_format(bundle: Bundle) -> str:
    """How the weights of a bundle are written.

    Raises:
        BundleError: In a way that this hone does not know.
    """
    found = next((part.format for part in bundle.manifest.parts if part.role in ("weights", "adapter")), "nothing")
    if found not in FORMATS:
        raise BundleError(
            f"the weights of {bundle.path} are written as {found!r}",
            expected=f"one of {', '.join(FORMATS)}",
            fix="Open it with the hone that made it, or a newer one.",
            code="bundle.weights-format",
        )
    return found


def open_model(bundle: Bundle, *, dropout: float | None = None) -> tuple[Model, Task]:
    """The model of a bundle that is verified already, and its task.

    Args:
        dropout: Of a model that is to learn; None: as its configuration has it. An adapter's has that of its base.

    Raises:
        BundleError: It has no task, a file is damaged, or it is no model of torch: an ONNX graph, an ensemble.
    """
    written = weights_format(bundle)
    if written in ADAPTERS:
        return tuned_model(bundle, find_base(bundle))
    task = _task(bundle, bundle.path)
    if written == ONNX:
        raise BundleError(
            f"the weights of {bundle.path} are an ONNX graph, which answers and is not changed",
            expected="a bundle with weights as safetensors",
            fix="Take the bundle it was made from; put onnx last.",
            code="bundle.weights-format",
        )
    if written == MEMBERS:
        raise BundleError(
            f"the ensemble {bundle.path} has no weights of its own",
            expected="a bundle with weights as safetensors",
            fix="Teach one model what it says: hone compress --method distill.",
            code="bundle.weights-format",
        )
    return build_model(bundle.path, task.head, dropout=dropout, head_from=bundle.path / HEAD_FILE), task


def tuned_model(bundle: Bundle, base: Base, *, tokenizer: Tokenizer | None = None) -> tuple[Model, Task]:
    """The base of an adapter's bundle with the adapter in it; limits are the base's, and so is the tokenizer, which may
    be given where it is open already."""
    task = _task(bundle, base.folder, tokenizer=tokenizer)
    with torch.random.fork_rng(devices=[]):  # what is drawn anew is replaced by what the files hold
        model = build_model(base.folder, task.head, head_from=_head_file(bundle))
        if (bits := bits_of(bundle)) is not None:
            hold(model, bits)
        part = next(part for part in bundle.manifest.parts if part.role == "adapter")
        method, settings = opened({"name": part.name, **part.settings}, METHODS)
        put_adapter(model, method.name, settings, bundle.path / ADAPTER_FILE)
    return model, task


def _head_file(bundle: Bundle) -> Path | None:
    file = bundle.path / HEAD_FILE
    return file if file.is_file() else None


def _record_of(bundle: Bundle) -> TaskRecord:
    """What the manifest says of the bundle's task.

    Raises:
        BundleError: It has none.
    """
    record = bundle.manifest.task
    if record is None:
        index = any(part.role == "index" for part in bundle.manifest.parts)
        raise BundleError(
            f"the bundle {bundle.path} has no task: it is {'an index' if index else 'a base model'}",
            expected="a bundle that was fine-tuned",
            fix="Search it: hone search INDEX QUERY"
            if index
            else "Fine-tune it first: hone finetune --base FOLDER ...",
            code="bundle.no-task",
        )
    return record


def _task(bundle: Bundle, folder: Path, *, tokenizer: Tokenizer | None = None) -> Task:
    """The task, with the tokenizer and the limits of the model in ``folder``."""
    record = _record_of(bundle)
    settings, faults = check_settings(SETTINGS[record.name], record.settings)
    if settings is None:
        raise BundleError(f"the bundle's task settings cannot be used: {faults[0]}", code="bundle.manifest")
    task = make_task(record.name, settings, labels=record.labels, folder=folder, tokenizer=tokenizer)
    decision = next((part.settings for part in bundle.manifest.parts if part.role == "decision"), None)
    if decision is None:
        return task
    if not isinstance(task, Deciding):
        raise BundleError(
            f"the bundle {bundle.path} holds a decision, and {record.name} makes none", code="bundle.manifest"
        )
    return task.decided(decision)
