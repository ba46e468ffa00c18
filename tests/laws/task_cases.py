"""Every task with every choice its settings offer, and rows made from the fields that it declares.

A new entry of `TASKS` and `SETTINGS` is in `CASES` by being in the tables.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from hone.data.dataset import Dataset
from hone.data.fields import Shape
from hone.models.model import Model, build_model, stack_of
from hone.models.nets import read_config
from hone.models.tiny import write_tiny_writer
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.tasks.fields import shape_of
from hone.tasks.make import make_task
from hone.tasks.protocol import Columns, Prediction, Task, Writing
from hone.tasks.rows import Rows
from hone.tasks.settings import TextSettings
from hone.tasks.table import SETTINGS, TASKS

FILLERS = ["the", "is", "not", "please", "Help", "with", "this", "where", "zq7", "我", "thanks", "new", "day", "bad"]
SIGNALS = {"A": ["refund", "money"], "B": ["Password", "email"], "C": ["broken", "screen"]}
ROWS = 18
WRITERS: dict[str, Literal["bart", "gpt2"]] = {"encoder-decoder": "bart", "decoder": "gpt2"}


@dataclass(frozen=True)
class Case:
    """A task with some settings, ``changed`` differs from the defaults, on rows of one of its shapes."""

    name: str
    changed: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    def __str__(self) -> str:
        fields = [f"of {'+'.join(field.name for field in self.shape.fields)}"] if self.number else []
        return "-".join([self.name, *(f"{key}={value}" for key, value in self.changed.items()), *fields])

    @property
    def kind(self) -> Any:
        return TASKS[self.name]

    @property
    def shape(self) -> Shape:
        found: Shape = self.kind.shapes()[self.number]
        return found

    def columns(self) -> Columns:
        """Examples with inputs and targets."""
        return columns_for(self.shape)

    def inputs(self) -> Columns:
        """The same examples without their targets; of conversations what comes before the first answer."""
        given = self.columns()
        talks = [target.name for target in self.shape.targets if target.kind == "answered"]
        asked = {
            name: [[turn for turn in turns if turn["role"] != "assistant"] for turns in given[name]] for name in talks
        }
        return {wanted.name: given[wanted.name] for wanted in self.shape.inputs} | asked

    def task(self, folder: Path) -> Task:
        """The task, with what its settings leave to the data decided; made once for a folder."""
        if (str(self), folder) not in _TASKS:
            _TASKS[str(self), folder] = self._made(folder)
        return _TASKS[str(self), folder]

    def _made(self, folder: Path) -> Task:
        columns = self.columns()
        settings = self.kind.settled(
            SETTINGS[self.name].model_validate(self.changed), Dataset.from_columns("train", columns)
        )
        targets = {wanted.name: columns[wanted.name] for wanted in self.shape.targets}
        return make_task(self.name, settings, labels=self.kind.labels_in(targets), folder=self.base(folder))

    def base(self, given: Path) -> Path:
        """A base that the task takes: the one given, or a tiny one beside it that writes."""
        wanted = SETTINGS[self.name].stack
        if stack_of(read_config(given)) == wanted:
            return given
        folder = given.parent / WRITERS[wanted]
        return folder if folder.is_dir() else write_tiny_writer(folder, kind=WRITERS[wanted])


def columns_for(shape: Shape) -> Columns:
    """Rows over the fields of a task: some words tell the label, or are the tagged ones; no word twice in a row."""
    rows = _rows()
    names = {wanted.name: wanted.name if wanted.name in rows[0] and wanted.kind != "choice" else wanted.kind
             for wanted in shape.fields}  # fmt: skip
    return {name: [row[source] for row in rows] for name, source in names.items()}


@functools.cache
def _rows() -> list[dict[str, Any]]:
    """What a row has for any field, by the field's name or its kind."""
    rng = np.random.default_rng(0)
    return [_row(i, rng) for i in range(ROWS)]


def _row(i: int, rng: np.random.Generator) -> dict[str, Any]:
    label = sorted(SIGNALS)[i % len(SIGNALS)]
    before, after = np.split(rng.permutation(FILLERS)[: rng.integers(0, 9)], [int(rng.integers(0, 3))])
    words = [*before.tolist(), *SIGNALS[label], *after.tolist()]
    tags = ["O"] * len(before) + [f"B-{label}", f"I-{label}"] + ["O"] * len(after)
    return {
        "text": " ".join(words),
        "text_b": " ".join(words[::-1][:4]),
        "tokens": words,
        "label": f"label {label}",
        "labels": [f"label {label}"] if i % 4 else [],
        "tags": tags,
        "head": _span(words, len(before)),
        "tail": _span(words, len(before) + 1),
        "context": " ".join(words),
        "question": f"where is {words[-1]}",
        "answers": [{"text": words[len(before)], "start": _span(words, len(before))["start"]}] if i % 6 else [],
        "entities": _nested(words, len(before), label) if i % 6 else [],
        "choices": [" ".join(SIGNALS[name]) for name in sorted(SIGNALS)[: 2 + i % 2]],
        "choice": i % 2,
        "source": " ".join(words),
        "prompt": " ".join(words),
        "target": " ".join(words[::-1][:5]),
        "targets": [" ".join(words[::-1][: 5 + more]) for more in range(1 + i % 2)],
        "negative": " ".join(rng.permutation(FILLERS)[:4]),
        "score": 10.0 + sorted(SIGNALS).index(label),
        "answered": [
            *([{"role": "system", "text": "Help"}] if i % 3 else []),
            {"role": "user", "text": " ".join(words)},
            {"role": "assistant", "text": " ".join(words[::-1][:5])},
        ],
    }


def _nested(words: list[str], place: int, label: str) -> list[dict[str, Any]]:
    """Two words as an entity, and the first of them as another."""
    inner, last = _span(words, place), _span(words, place + 1)
    return [{**inner, "label": "inner"}, {"start": inner["start"], "end": last["end"], "label": label}]


def least_inputs(shape: Shape) -> dict[str, Any]:
    """One example's inputs with as little in them as there can be."""
    fields = {field.name: field.kind for field in shape.inputs}
    spans = {
        name: {"start": 2 * i, "end": 2 * i + 1} for i, name in enumerate(n for n in fields if fields[n] == "span")
    }
    fields |= {field.name: field.kind for field in shape.targets if field.kind == "answered"}
    empty: dict[str, Any] = {"text": "a b" if spans else "", "tokens": [], "texts": [""]}
    empty["answered"] = [{"role": "user", "text": "a"}]
    return {name: spans.get(name, empty.get(of)) for name, of in fields.items()}


def _span(words: list[str], place: int) -> dict[str, int]:
    """Where a word stands in the text of all of them."""
    start = len(" ".join([*words[:place], ""]))
    return {"start": start, "end": start + len(words[place])}


def _choices(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    if annotation is bool:
        return [True, False]
    if annotation is int or int in typing.get_args(annotation):
        return [8]
    if str in typing.get_args(annotation):
        return ["label C"]
    return []


def _stands(settings: Any, values: dict[str, Any]) -> bool:
    try:
        settings.model_validate(values)
    except ValidationError:
        return False
    return True


def _cases() -> Iterator[Case]:
    for name in TASKS:
        settings = SETTINGS[name]
        defaults = settings().model_dump()
        yield from (Case(name, number=number) for number in range(len(TASKS[name].shapes())))
        own: dict[str, Any] = {}
        for key, info in settings.model_fields.items():
            for value in _choices(info.annotation):
                if value == defaults[key]:
                    continue
                if not _stands(settings, {key: value}):
                    continue
                yield Case(name, {key: value})
                if key not in TextSettings.model_fields and _stands(settings, {**own, key: value}):
                    own[key] = value
        if len(own) > 1:
            yield Case(name, own)


_TASKS: dict[tuple[str, Path], Task] = {}
_MODELS: dict[tuple[str, Path], Model] = {}
_ANSWERS: dict[tuple[str, Path], list[Prediction]] = {}
CASES = list(_cases())


def built(case: Case, base: Path) -> tuple[Task, Model]:
    """The case's task and its model without gradients, in evaluation mode without dropout; both are shared, so that who
    trains the model has to copy it."""
    task = case.task(base)
    if (str(case), base) not in _MODELS:
        torch.manual_seed(0)
        _MODELS[str(case), base] = build_model(case.base(base), task.head, dropout=0.0).eval()
    model = _MODELS[str(case), base]
    model.zero_grad(set_to_none=True)
    return task, model


def answers(case: Case, base: Path) -> list[Prediction]:
    """What `built` answers to the case's inputs, found once."""
    if (str(case), base) not in _ANSWERS:
        _ANSWERS[str(case), base] = answered(*built(case, base), case.inputs())
    return _ANSWERS[str(case), base]


def learned(task: Task, columns: Columns) -> Rows:
    return Rows(task.encode(columns, purpose="learn"))


def forwarded(task: Task, model: Model, rows: Rows, index: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Decoded scores of the rows ``index`` run as one batch."""
    batch = task.collate(rows, index)
    with torch.inference_mode():
        return task.decode(model(batch), batch)


def answered(task: Task, model: Model, columns: Columns) -> list[Prediction]:
    """Predictions of examples that have inputs alone, a row a batch."""
    targets = shape_of(task, columns).targets
    known = all(field.name in columns for field in targets) and all(
        any(turn["role"] == "assistant" for turns in columns[field.name] for turn in turns)
        for field in targets
        if field.kind == "answered"
    )
    rows = Rows(task.encode(columns, purpose="learn" if known and isinstance(task, Writing) else "predict"))
    if isinstance(task, Writing):
        scores: list[Any] = score_rows(task, TorchEngine(model, torch.device("cpu")), rows)
    else:
        scores = [forwarded(task, model, rows, np.array([i]))[0] for i in range(len(rows))]
    with torch.inference_mode():
        constants = model.head.constants()
    return task.join(columns, rows, scores, constants=constants)


def gradients(model: Model) -> dict[str, Tensor]:
    """A copy of every gradient; they are cleared."""
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@functools.cache
def weights_for(count: int) -> Tensor:
    """Distinct class weights, float32 [count]."""
    return torch.linspace(0.5, 2.5, count)
