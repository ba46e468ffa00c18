"""The one training loop: batches in, gradient steps out, validation and checkpoints between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from hone.core.ahead import ahead
from hone.core.progress import Progress
from hone.data.passes import Passes
from hone.models.heads import Outputs
from hone.models.model import Model
from hone.models.noise import quick_dropout
from hone.tasks.fill_mask import FillMask
from hone.tasks.objectives.joint import Joint
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.timed import Timed
from hone.tasks.protocol import Comparing, Loss, LossOptions, Objective
from hone.tasks.rows import Batch, Rows
from hone.train.checkpoint import Position, fixed_names, latest_checkpoint
from hone.train.choosing import is_best
from hone.train.compiling import compiles
from hone.train.epochs import Epochs
from hone.train.frozen import FrozenStates
from hone.train.lazy_rows import LazyRows
from hone.train.optimizer import lazy_table, make_optimizer
from hone.train.pace import Pace
from hone.train.pieces import local
from hone.train.processes import ONE, Processes
from hone.train.schedule import rate_factor
from hone.train.settings import LoopSettings, ParallelSettings
from hone.train.sharded import held
from hone.train.stopping import asked_to_stop
from hone.train.technique import Course, Pass, Techniques
from hone.train.together import united
from hone.train.trackers import Log
from hone.train.watch import Watch, norm_of, numbered
from hone.train.work import Shares, Work

Validate = Callable[[Model], dict[str, float | None]]


@dataclass(frozen=True)
class Setup:
    """What the loop is given.

    Attributes:
        identity: Digest of recipe, data and base; a checkpoint of another identity is not resumed.
        checkpoints: Folder of checkpoints.
        validate: Measures the model on the validation split; None when there is none.
        frozen: What the frozen layers give for the training rows, where it was made beforehand.
        watched: Name of the measure that decides which state is best, and whether more of it is better.
        utilization: What share of what one process can compute so many tokens a second take, where that is known.
        place: Where an example stands; see `hone.train.watch`.
        act: Makes of a batch of the step what goes through the model, by the model as it then is: texts it writes.
        figures: What else the log has, of the steps since it was asked last, in all of the processes.
        passes: Which rows each epoch has, and in what order; None: every row once.
        processes: Those that share each step.
        parallel: How they divide the weights among them; None: each has all.
    """

    settings: LoopSettings
    seed: int
    identity: str
    checkpoints: Path
    options: LossOptions
    validate: Validate | None
    watched: str
    higher_is_better: bool
    frozen: FrozenStates | None = None
    utilization: Callable[[float], float] | None = None
    place: Callable[[int], str] = numbered
    act: Callable[[Batch, int], Batch] | None = None
    figures: Callable[[Processes], Mapping[str, float]] = lambda _: {}
    passes: Passes | None = None
    processes: Processes = ONE
    parallel: ParallelSettings | None = None


@dataclass(frozen=True)
class Trained:
    """How training went; the model holds the state that ``keep`` asked for.

    Attributes:
        learned: Weights that learned.
    """

    position: Position
    resumed_at: int | None
    stopped_early: bool
    seconds: float
    learned: int


class Loop:
    """Trains ``model`` in place.

    Args:
        model: Freshly built, on any device.
        task: Collates rows and states the loss.
        rows: Encoded training rows.
    """

    def __init__(self, model: Model, task: Objective, rows: Rows, *, setup: Setup, accelerator: Accelerator) -> None:
        self.setup, self.settings, self.task, self.rows = setup, setup.settings, task, rows
        self.processes = setup.processes
        self.accelerator = accelerator
        self.fixed = fixed_names(model)  # now: a technique may let weights that learn wait for a while
        self.holding = held(model, self.processes, fixed=self.fixed, parallel=setup.parallel, device=accelerator.device)
        model = self.model = self.holding.model
        self.shares = Shares(task, rows, setup.seed, setup.frozen, setup.processes, self.holding.divided)
        self.position = Position(identity=setup.identity)
        self.best: dict[str, Tensor] | None = None
        self.norm: Tensor | None = None  # of the last gradient
        self.pace = Pace()
        self.watch = Watch(setup.checkpoints.parent, leap=self.settings.max_loss_leap, place=setup.place,
                           process=self.processes.place, fixed=self.fixed)  # fmt: skip
        self.epochs = Epochs(task, rows, settings=self.settings, seed=setup.seed, passes=setup.passes)
        self.steps_per_epoch, self.total = self.epochs.per_epoch, self.epochs.total
        if isinstance(task, Timed):
            task.timed(model.noise, steps=self.total)
        course = Course(model, task, setup.seed, self.total, self.steps_per_epoch, self._settled)
        self.techniques = Techniques(self.settings.techniques, course)
        self.warmup = int(self.settings.warmup_ratio * self.total)
        optimizer = make_optimizer(model, setup.settings, rates=self.techniques.rates())
        self.lazy = self._lazy_rows(optimizer)
        self.learned = [p for group in optimizer.param_groups for p in group["params"]]
        self.prepared, self.optimizer = accelerator.prepare(model, optimizer)
        yes, self.said = compiles(self.settings.torch_compile, model, tokens=self.epochs.tokens,
                                  device=accelerator.device, inside=self.techniques.inside,
                                  divided=self.holding.divided)  # fmt: skip
        plain = accelerator.device.type == "cpu" and model.encoder is None and not (yes or self.holding.divided)
        self.drops = quick_dropout if plain else nullcontext
        if yes:
            self.prepared = torch.compile(self.prepared, dynamic=True)
            if self.lazy is not None:  # what it does is the optimizer's, and no part of a graph
                table = self.lazy.embedding
                table.forward = torch.compiler.disable(table.forward)  # type: ignore[method-assign, no-untyped-call]

    def _lazy_rows(self, optimizer: torch.optim.Optimizer) -> LazyRows | None:
        """What updates the embedding table by the rows read, where that pays: on a CPU. A GPU moves the whole table
        sooner than it finds a batch's distinct rows."""
        if isinstance(self.task, Pretraining | Joint | FillMask):  # who read tokens that stand in none of the rows
            return None
        whole = self.accelerator.device.type == "cpu" and not self.holding.divided
        table = lazy_table(self.model, self.settings) if whole else None
        if table is None or self.setup.act is not None:  # what will be written may have any token
            return None
        assert isinstance(optimizer, torch.optim.AdamW)
        counts = self.rows.token_counts(size=table.num_embeddings)
        counts[self.task.tokenizer.pad_id] += 1
        rows = torch.from_numpy(np.flatnonzero(counts))
        return LazyRows(optimizer, table, rows=rows, factor=self._factor, processes=self.processes)

    def _settled(self) -> AbstractContextManager[object]:
        return self.lazy.settled() if self.lazy is not None else nullcontext()

    def _factor(self, step: int) -> float:
        return rate_factor(step, total=self.total, warmup=self.warmup, shape=self.settings.lr_scheduler_type)

    def resume(self) -> int | None:
        """Take up the newest checkpoint of this very run; returns its step, or None when there is none."""
        path = latest_checkpoint(self.setup.checkpoints, identity=self.setup.identity)
        if path is None:
            return None
        self.position, self.best, kept = self.holding.load(path, optimizer=self.optimizer)
        self.techniques.restore(kept)
        if self.accelerator.scaler is not None and self.position.scaler:
            self.accelerator.scaler.load_state_dict(self.position.scaler)
        return self.position.step

    def run(self, *, log: Log, progress: Progress, resumed_at: int | None) -> Trained:
        """Train to the end, or until validation stops improving, or until interrupted (a checkpoint is left then).

        Raises:
            HoneError: A loss, a gradient or a weight is not finite, or a loss leaps.
            KeyboardInterrupt: It was interrupted; the checkpoint of the last finished step is on disk.
        """
        progress.say(self.said)
        progress.begin("training", total=self.total, unit="step")
        progress.advance(self.position.step)
        try:
            standing_in = self.lazy.standing_in(self.model) if self.lazy is not None else nullcontext()
            with self.holding.training(), standing_in:
                stopped_early = self._steps(log, progress)
        finally:
            progress.finish()
        if self.settings.keep == "best" and self.best is not None:
            self.model.load_state_dict(self.best, strict=False)  # what did not learn is not in it
        else:
            self.techniques.on_end()
        self.watch.look_at(self.model, position=self.position, anywhere=self.processes.any)
        self.holding.finish()
        learned = sum(value.numel() for name, value in self.model.named_parameters() if name not in self.fixed)
        return Trained(self.position, resumed_at, stopped_early, self.position.seconds, learned)

    def _steps(self, log: Log, progress: Progress) -> bool:
        """Every step still to do; returns whether validation ended them early."""
        began, before = time.perf_counter(), self.position.seconds
        self.model.train()
        if self._stale():  # a checkpoint of a run that had stopped early
            return True
        self.pace.go_on()
        with asked_to_stop() as stop:
            for work in ahead(self.shares.work, self.epochs.steps(self.position.step)):
                loss = self._step(work)
                self.pace.add(work.tokens)
                self.position.seconds = before + time.perf_counter() - began
                self._report(loss, work.tokens, log=log, progress=progress)
                self._measure(log, progress)
                stopping = self.processes.any(stop())  # once: what is asked for in between waits for the next step
                if stopping or self._due(self.settings.save_steps) or (self._stale() and self.settings.save_steps):
                    self._save()
                if stopping:
                    self.processes.wait()  # whoever started them ends the first as soon as another one has ended
                    progress.say(f"step {self.position.step} is saved; the same command goes on from there")
                    raise KeyboardInterrupt
                if self._stale():
                    return True
                self.pace.go_on()
        return False

    def _step(self, work: Work) -> float:
        """One optimizer step over the union of its batches, in whichever process each is; returns the mean loss."""
        placed = [{name: value.to(self.accelerator.device) for name, value in b.items()} for b in work.batches]
        if self.setup.act is not None:
            with self._settled():
                placed = [self.setup.act(batch, self.position.step) for batch in placed]
        self._begin()
        self.techniques.on_begin(self.position.step)
        learn = self._united if len(placed) > 1 and isinstance(self.task, Comparing) else self._one_by_one
        with self.drops():
            total, weight, reference = learn(replace(work, batches=placed))
        mean = total / weight
        self.watch.look(mean, position=self.position, batches=placed, rows=work.rows)
        self.holding.add(self.learned)
        parameters = [p for p in self.learned if p.grad is not None]
        parameters += self.lazy.gathered() if self.lazy is not None else []
        divisor = self._divisor(weight)
        if divisor != reference:
            torch._foreach_mul_([local(p.grad) for p in parameters], reference / divisor)
        self.techniques.on_backward()
        self._look_back(parameters, placed, work)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self._factor(self.position.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.techniques.on_step(self.position.step)
        return mean

    def _look_back(self, parameters: Sequence[Tensor], batches: Sequence[Batch], work: Work) -> None:
        """Take the norm of the step's gradients, which ends the training where it is no finite number, and scale them
        down where they are larger than they may be."""
        self.accelerator.unscale_gradients()
        self.norm = self.holding.norm(parameters)
        if self.accelerator.scaler is None:  # it leaves out such a step, and scales the next one's loss by less
            self.watch.look_back(float(self.norm), position=self.position, batches=batches, rows=work.rows)
        if self.settings.max_grad_norm is not None:
            self.holding.clip(parameters, norm=self.norm, most=self.settings.max_grad_norm)

    def _begin(self, batch: int = 0) -> None:
        self.holding.begin(seed=self.setup.seed, step=self.position.step, batch=batch)

    def _one_by_one(self, work: Work) -> tuple[float, float, float]:
        """Take the derivatives of each batch's loss: the summed loss, its weight, and what they are divided by; those
        of all processes."""
        total, weight, reference = 0.0, 0.0, 0.0
        for number, batch, counts in zip(work.numbers, work.batches, work.counts, strict=True):
            self._begin(number)
            self.techniques.on_batch(batch, self.position.step)
            outputs, loss = self._forward(batch)
            loss = loss if counts else Loss(loss.total * 0, 0.0)
            reference = reference or self.processes.totals(loss.weight)[0]
            backward = partial(self._backward, reference=reference)
            seen = Pass(batch, outputs, loss, again=partial(self._forward, batch), backward=backward)
            backward(self.techniques.on_loss(seen))
            self.techniques.on_derivatives(seen)
            total, weight = total + float(loss.total.detach()), weight + loss.weight
        if not work.numbers:  # a step of fewer batches than processes: the others ask for this
            (reference,) = self.processes.totals(0.0)
        total, weight = self.processes.totals(total, weight)
        return total, weight, reference

    def _united(self, work: Work) -> tuple[float, float, float]:
        """The same of all batches as one; no technique then sends a batch through again, see `find_faults`."""

        def loss(outputs: Outputs, batch: Batch) -> Loss:
            found = self.task.loss(outputs, batch, options=self.setup.options)
            return Loss(found.total / found.weight, found.weight)

        for batch in work.batches:
            self.techniques.on_batch(batch, self.position.step)
        found = united(self._scores, work.batches, loss=loss, backward=self.accelerator.backward, begin=self._begin)
        penalty = self.techniques.penalty()
        if penalty is not None:
            self.accelerator.backward(penalty)
        return float(found.total) * found.weight, found.weight, found.weight

    def _scores(self, batch: Batch) -> Outputs:
        with self.accelerator.autocast():
            outputs: Outputs = self.prepared(batch)
        return outputs

    def _forward(self, batch: Batch) -> tuple[Outputs, Loss]:
        outputs = self._scores(batch)
        return outputs, self.task.loss(outputs, batch, options=self.setup.options)

    def _backward(self, total: Tensor, *, reference: float) -> None:
        self.accelerator.backward(total / reference)

    def _divisor(self, weight: float) -> float:
        """What a step's summed gradient is divided by: what its rows weigh, so that it is the mean over them. Batches
        by tokens have more rows where those are short: divided by what a step weighs on average, no row counts for
        less because its batch has many."""
        if self.settings.per_device_train_batch_tokens is None:
            return weight
        position = self.position
        position.weight += weight
        return position.weight / (position.step + 1)

    def _report(self, loss: float, tokens: int, *, log: Log, progress: Progress) -> None:
        position = self.position
        position.loss_sum, position.loss_count = position.loss_sum + loss, position.loss_count + 1
        position.tokens += tokens
        progress.advance(1, loss=loss, tokens_per_s=self.pace.tokens_per_s)
        if self._due(self.settings.logging_steps):
            figures = {
                "epoch": position.step / self.steps_per_epoch,
                "loss": position.loss_sum / position.loss_count,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "tokens": position.tokens,
                "seconds": round(position.seconds, 3),
                **self._pace(),
                **self.setup.figures(self.processes),
            }
            log.write(position.step, figures)
            self.pace.tell()
            position.loss_sum, position.loss_count = 0.0, 0

    def _pace(self) -> dict[str, float]:
        """How fast it went since it was last logged, and how large the last gradient was before it was scaled down."""
        speed = self.pace.tokens_per_s
        share = speed / self.processes.place.count  # of it, what one process does
        used = {} if self.setup.utilization is None else {"mfu": round(self.setup.utilization(share), 4)}
        return {"tokens_per_s": round(speed), **used, **norm_of(self.norm)}

    def _due(self, every: int | None) -> bool:
        return bool(every) and (self.position.step % (every or 1) == 0 or self.position.step == self.total)

    def _stale(self) -> bool:
        """Whether validation has not improved for so long that training ends early."""
        patience = self.settings.early_stopping_patience
        return patience is not None and self.position.stale >= patience

    def _measure(self, log: Log, progress: Progress) -> None:
        """Measure on validation where due."""
        settings, validate = self.settings, self.setup.validate
        every = self.steps_per_epoch if settings.eval_strategy == "epoch" else settings.eval_steps
        if validate is None or settings.eval_strategy == "no" or not self._due(every):
            return
        self.watch.look_at(self.model, position=self.position, anywhere=self.processes.any)
        with self._settled(), self.techniques.as_it_would_end():
            self._judge(self.holding.measured(validate), log=log, progress=progress)
        self.model.train()

    def _judge(self, values: dict[str, float | None], *, log: Log, progress: Progress) -> None:
        """Record what validation gave, and keep the weights where they are the best so far."""
        position = self.position
        record = {f"validation_{name}": number for name, number in values.items() if number is not None}
        log.write(position.step, {**record, "seconds": round(position.seconds, 3)})
        position.history.append({"step": position.step, "epoch": position.step / self.steps_per_epoch, **values})
        best = is_best(values, position=position, setup=self.setup, ripe=self.techniques.ripe, say=progress.say)
        if best and self.settings.keep == "best":
            self.best = self.holding.kept()

    def _save(self) -> None:
        self.watch.look_at(self.model, position=self.position, anywhere=self.processes.any)
        if self.accelerator.scaler is not None:
            self.position.scaler = self.accelerator.scaler.state_dict()
        self.holding.save(
            self.setup.checkpoints,
            position=self.position,
            optimizer=self.optimizer,
            best=self.best,
            techniques=self.techniques.state(),
        )
