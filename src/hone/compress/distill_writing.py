"""``distill`` of a bundle that writes: a student of fewer layers learns what its teacher finds likely at every token
(Hinton et al. 2015), of the given texts or of those that the teacher writes (Kim and Rush 2016)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from hone.compress.int8 import require_float
from hone.compress.recover import learn
from hone.compress.settings import DistillSettings
from hone.compress.shorter import STACKS, depths_of, shortened, spread_evenly
from hone.compress.start import Made, Start
from hone.core.errors import Fault, RecipeError
from hone.data.dataset import Dataset
from hone.data.fields import required
from hone.data.turns import ASSISTANT, USER, conversations_in
from hone.models.heads import Outputs
from hone.models.model import Model
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.predict.predictor import Predictor
from hone.tasks.divergence import distance
from hone.tasks.encoded import encoded, encoding_key
from hone.tasks.fields import choices_of, inputs_in
from hone.tasks.protocol import Loss, LossOptions, Task
from hone.tasks.rows import Batch
from hone.tasks.writing_settings import ROW_WORDS
from hone.tasks.written import WrittenText

FOR_READERS = ("width", "inner", "hidden", "attention")  # settings that go by layers of BERT's kind


class TaughtTokens:
    """``task`` with the loss ``own * loss + (1 - own) * apart``: ``apart`` is the divergence of what the student finds
    likely from what the teacher does, at each token to learn. In all else it is the task."""

    def __init__(self, task: Task, teacher: TorchEngine, *, temperature: float, own: float) -> None:
        self._task, self._teacher, self._temperature, self._own = task, teacher, temperature, own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """See the class; the weight is the number of tokens. The teacher is asked at every step, for its scores of all
        rows would be [tokens, vocabulary]."""
        found = self._task.loss(outputs, batch, options=options)
        if self._own == 1.0:
            return found
        said = outputs["logits"].float()
        taught = self._teacher.forward(batch)["logits"].clone()  # out of inference mode, so that a gradient may pass
        apart = distance(said, taught.to(said.device), says="one", temperature=self._temperature)
        return Loss(self._own * found.total + (1 - self._own) * apart, found.weight)


def distill_writer(settings: DistillSettings, start: Start) -> Made:
    """Train the student on ``train``; where it learns the teacher's texts, on ``unlabeled`` too.

    Raises:
        RecipeError: There are no texts, or there can be no such student.
    """
    require_float(start)
    kept = _kept(settings, start)
    torch.manual_seed(start.run.seed)
    teacher = TorchEngine(start.model.fix(), pick_device(start.run.device))
    data = _lesson(settings, start, teacher)
    student = Model(shortened(start.model.backbone, kept), copy.deepcopy(start.model.head))
    task = TaughtTokens(start.task, teacher, temperature=settings.temperature, own=settings.own)
    rows = encoded(start.task, data, cache=start.run.cache)
    keys = [encoding_key(start.task, data)]
    trained = learn(student, cast(Task, task), rows, start, keys=keys, settings=settings, method="distill")
    facts: dict[str, int | float | str] = {
        "layers": " + ".join(str(len(each)) for each in kept.values()),
        "texts": settings.texts,
        "rows_taught": len(data),
        "seconds": round(trained.seconds, 1),
    }
    return Made(student, start.task, facts)


def _kept(settings: DistillSettings, start: Start) -> dict[str, tuple[int, ...]]:
    """Which layers of each stack the student has, evenly spread, the last among them."""
    config: Any = start.model.backbone.config
    depths = depths_of(config)
    wanted = dict.fromkeys(depths, settings.layers)
    if len(depths) > 1 and settings.encoder_layers is not None:
        wanted[next(iter(depths))] = settings.encoder_layers
    faults = []
    if not depths:
        faults.append((f"a base of type {config.model_type!r}", f"one of {', '.join(sorted(STACKS))}"))
    for name in FOR_READERS:
        if getattr(settings, name):
            faults.append((f"{name} for the student of a bundle that writes", f"no {name}"))
    for stack, had in depths.items():
        if not 1 <= wanted[stack] <= had:
            found = f"{wanted[stack]} layers for a student of a bundle that has {had} in {stack}"
            faults.append((found, f"1 to {had}"))
    if depths and wanted == depths:
        faults.append((f"layers: {settings.layers} for a student, as many as the bundle has", "fewer layers"))
    if faults:
        each = [Fault(code="compress.distill", found=found, expected=expected) for found, expected in faults]
        raise RecipeError.of(each, what="distill")
    return {stack: spread_evenly(had, wanted[stack]) for stack, had in depths.items()}


def _lesson(settings: DistillSettings, start: Start, teacher: TorchEngine) -> Dataset:
    """What is learned: rows as given, or with the texts that the teacher writes for them."""
    names = ("train",) if settings.texts == "given" else ("train", "unlabeled")
    sets = {name: start.data[name] for name in names if name in start.data}
    if not sets:
        raise RecipeError(
            "distill was given no texts to learn from",
            fix="Name train under data; with texts: written also unlabeled.",
            code="recipe.no-split",
        )
    if settings.texts == "given":
        return sets["train"]
    columns = _together({name: _asked(start.task, data.slice(0, len(data))) for name, data in sets.items()})
    if not any(columns.keys() >= set(required(fields)) for fields in choices_of(start.task)):
        raise RecipeError(
            "texts: written, and rows in which nothing stands before the text to write",
            expected="rows with a prompt, or a source",
            code="compress.distill",
        )
    start.run.progress.say("asking the teacher for a text of every row ...")
    said = [one["text"] for one in Predictor(start.bundle, start.task, teacher).predict_columns(columns)]
    lengths = [len(ids) for ids in start.task.tokenizer.encode(said)]
    fit = [i for i, n in enumerate(lengths) if said[i].strip() and n <= cast(WrittenText, start.task).room_to_write]
    if len(fit) < len(said):
        start.run.progress.say(f"left out {len(said) - len(fit):,} of {len(said):,} texts, too long to learn or empty")
    if not fit:
        raise RecipeError("the teacher wrote no text that can be learned", code="compress.distill")
    whole = cast(WrittenText, start.task).with_texts(columns, said)
    return Dataset.from_columns("train", {name: [values[i] for i in fit] for name, values in whole.items()})


def _asked(task: Task, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """What an answer of the teacher is to: the inputs; of conversations what was said before each of their answers, and
    those that end with a question."""
    name = conversations_in(columns)
    if name is None:
        return inputs_in(task, columns)
    places = [
        (row, at)
        for row, turns in enumerate(columns[name])
        for at in range(1, len(turns) + 1)
        if turns[at - 1]["role"] == USER and (at == len(turns) or turns[at]["role"] == ASSISTANT)
    ]
    more = {field.name for field in task.settings.controls} & columns.keys()
    told = {other: [columns[other][row] for row, _ in places] for other in more}
    return {name: [columns[name][row][:at] for row, at in places], **told}


def _together(asked: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    """The rows of several data sets as those of one: conversations under one name, and without words of their own where
    their data set has none.

    Raises:
        RecipeError: They are not of one kind.
    """
    talks = next((name for columns in asked.values() if (name := conversations_in(columns))), "")
    sets = {
        data: {talks if name == conversations_in(columns) else name: values for name, values in columns.items()}
        for data, columns in asked.items()
    }
    words = {field.name for field in ROW_WORDS}
    kinds = {data: sorted(columns.keys() - words) for data, columns in sets.items()}
    if any(kind != next(iter(kinds.values())) for kind in kinds.values()):
        raise RecipeError(
            " and ".join(f"{data} with {', '.join(kind) or 'nothing to write from'}" for data, kind in kinds.items()),
            expected="data sets that all have the same fields to write from",
            code="compress.distill",
        )
    names = dict.fromkeys(name for columns in sets.values() for name in columns)
    counts = {data: len(next(iter(columns.values()), ())) for data, columns in sets.items()}
    return {
        name: [one for data, columns in sets.items() for one in columns.get(name, [[]] * counts[data])]
        for name in names
    }
