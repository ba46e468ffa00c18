"""A tiny model, its task and its rows, and loops over them: what the tests of this folder share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from hone.core.progress import Progress, Silent
from hone.data.dataset import Dataset
from hone.models.model import Model, build_model
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.settings import TextClassificationSettings
from hone.train.frozen import FrozenStates
from hone.train.lazy_rows import LazyRows
from hone.train.loop import Loop, Setup, Trained, Validate
from hone.train.settings import FinetuneSettings
from hone.train.technique import Course
from hone.train.trackers import RunLog

TEXTS = {
    "refund": ["i want my money back", "please refund my order", "refund", "need the refund for the card now please"],
    "password": ["forgot my password", "reset the password please", "password does not work", "new password email"],
    "broken": ["the screen is broken", "my laptop is broken", "printer broken again and again", "broken phone screen"],
}


def dataset(name: str = "train") -> Dataset:
    """36 texts over three labels."""
    rows = [
        (text + end, label) for label, texts in TEXTS.items() for text in texts for end in ("", " thanks", " help me")
    ]
    return Dataset.from_columns(name, {"text": [text for text, _ in rows], "label": [label for _, label in rows]})


@dataclass(frozen=True)
class Bench:
    """Loops over 36 rows, nine batches of four an epoch; no dropout, no decay, a constant rate unless asked for."""

    base: Path
    folder: Path

    @property
    def task(self) -> Task:
        settings = TextClassificationSettings()
        return make_task("text-classification", settings, labels=("broken", "password", "refund"), folder=self.base)

    def rows(self) -> Rows:
        return encoded(self.task, dataset(), cache=self.folder / "cache")

    def model(self, *, seed: int = 0, dropout: float = 0.0) -> Model:
        torch.manual_seed(seed)
        return build_model(self.base, self.task.head, dropout=dropout)

    def course(self, model: Model, *, steps: int = 18, steps_per_epoch: int = 9) -> Course:
        """A training of ``model`` whose weights are all up to date at every step."""
        return Course(model, self.task, 5, steps, steps_per_epoch, nullcontext)

    def loop(
        self,
        *,
        model: Model | None = None,
        validate: Validate | None = None,
        options: LossOptions | None = None,
        seed: int = 5,
        identity: str = "this run",
        better: str = "higher",
        dropout: float = 0.0,
        folder: str = "run",
        frozen: FrozenStates | None = None,
        **settings: Any,
    ) -> Loop:
        plain = {"per_device_train_batch_size": 4, "lr_scheduler_type": "constant", "warmup_ratio": 0.0}
        chosen = FinetuneSettings.model_validate({**plain, "weight_decay": 0.0, "save_steps": None, **settings})
        setup = Setup(
            settings=chosen,
            seed=seed,
            identity=identity,
            checkpoints=self.folder / folder / "checkpoints",
            options=options or LossOptions(),
            validate=validate,
            watched="accuracy",
            higher_is_better=better == "higher",
            frozen=frozen,
        )
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(mixed_precision="no", cpu=True)
        model = model or self.model(dropout=dropout)
        return Loop(model, self.task, self.rows(), setup=setup, accelerator=accelerator)

    def run(self, loop: Loop, *, progress: Progress | None = None) -> Trained:
        """Resume where there is something to resume, and train to the end."""
        resumed_at = loop.resume()
        folder = loop.setup.checkpoints.parent
        log = RunLog(folder, accelerator=loop.accelerator, trackers=[], config={}, resumed_at=resumed_at)
        try:
            return loop.run(log=log, progress=progress or Silent(), resumed_at=resumed_at)
        finally:
            log.close()


def state_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of every weight."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two states are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def scripted(
    values: list[float | None],
    *,
    seen: list[dict[str, Tensor]] | None = None,
    then: Callable[[int], None] | None = None,
) -> Validate:
    """A validation that gives ``values`` in turn, keeps the weights it was shown and calls ``then`` with its count."""
    at = iter(range(len(values)))

    def validate(model: Model) -> dict[str, float | None]:
        i = next(at)
        if seen is not None:
            seen.append(state_of(model))
        if then is not None:
            then(i)
        return {"accuracy": values[i], "ece": 0.5}

    return validate


@contextmanager
def recorded_gradients() -> Iterator[list[Tensor]]:
    """The gradient of every optimizer step within, as the optimizer is given it, one flat tensor a step."""
    steps: list[Tensor] = []
    gathered = LazyRows.gathered
    rows: list[Tensor] = []

    def gather(lazy: LazyRows) -> list[Tensor]:
        rows[:] = gathered(lazy)
        return list(rows)

    def keep(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        read = [*(p for group in optimizer.param_groups for p in group["params"]), *rows]
        steps.append(torch.cat([p.grad.detach().flatten().clone() for p in read if p.grad is not None]))

    handle = register_optimizer_step_pre_hook(keep)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LazyRows, "gathered", gather)
            yield steps
    finally:
        handle.remove()


class Steps:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.total = 0
        self.open = False

    def say(self, words: str) -> None:
        pass

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self.total, self.open = total, True

    def advance(self, units: int, **figures: float) -> None:
        self.done.append(units)

    def finish(self) -> None:
        self.open = False


def log_of(loop: Loop) -> list[dict[str, Any]]:
    text = (loop.setup.checkpoints.parent / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
