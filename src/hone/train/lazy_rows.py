"""AdamW on an embedding table at the cost of the rows that batches read (Loshchilov and Hutter 2019).

Dense AdamW moves every row at every step: one without a gradient still decays, and still follows the momentum of the
gradients it had. A row that no batch reads meanwhile can as well be moved when it is read next, by all those steps at
once. With ``m`` and ``v`` its moments after step ``u``, a later step ``j`` moves it by

    rate_j / (1 - b1^j) * b1^(j-u) m / (sqrt(b2^(j-u) v / (1 - b2^j)) + eps)  =  g_j m / (h_j sqrt(v) + eps)

The sum over ``j`` is taken as ``G m / (H sqrt(v) + eps)`` with ``G = sum g_j`` and ``G / H = sum g_j / h_j``: the sum
itself where ``eps`` is small beside ``h_j sqrt(v)`` and where it is large; in between the error is of second order in
how far ``h_j`` varies over the few dozen steps that momentum lasts. A law test compares with torch's dense AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hone.models.model import Model
from hone.models.touched import TouchedEmbedding
from hone.train.processes import ONE, Processes

NEGLIGIBLE = 1e-12  # momentum below this share of what it was moves no float32 weight
STEPS_AT_ONCE = 1024  # whose rates are worked out together
FloatArray = NDArray[np.float64]


class _Moves(NamedTuple):
    """Of each row, float32 [rows, 1]: ``G``, ``H``, what decay leaves of the weight, what is left of both moments."""

    total: Tensor
    spread: Tensor
    left: Tensor
    fade1: Tensor
    fade2: Tensor


class LazyRows:
    """Updates one embedding table beside the other parameters of an AdamW optimizer.

    A table that begins to learn later than the rest, as its ``requires_grad`` tells, begins then with its first step,
    as in torch, at the schedule's rate of that time.

    The table's parameter has a group of its own there, and its state lies in the optimizer's, so that it is saved and
    restored with the rest; torch's step leaves it alone, since it never has a gradient.

    Args:
        optimizer: Its group's rate at step ``t``, from 0, must be ``group["peak"] * factor(t)``.
        table: Whose parameter the optimizer has.
        rows: The rows that training reads, int64 [n], ascending: moments are kept for these alone.
        factor: The schedule.
        processes: Those that share each step; the rows that any of them reads are moved in all.
    """

    def __init__(
        self,
        optimizer: torch.optim.AdamW,
        table: nn.Embedding,
        *,
        rows: Tensor,
        factor: Callable[[int], float],
        processes: Processes = ONE,
    ) -> None:
        self.embedding = TouchedEmbedding(table, before_read=self._catch_up)
        self._optimizer, self._table, self._weight = optimizer, table, table.weight
        self._rows, self._factor, self._processes = rows, factor, processes
        self._slot = torch.full((len(table.weight),), -1, dtype=torch.int64)
        self._slot[rows] = torch.arange(len(rows))
        self._taken: tuple[Tensor, Tensor] | None = None
        self._rates: FloatArray = np.zeros(1)  # of steps 0 (which is none), 1, 2, ...
        self._kept: FloatArray = np.ones(1)  # share of a weight that decay leaves after them
        zeros = torch.zeros(len(rows), table.weight.shape[1])
        optimizer.state[table.weight] = {
            "step": torch.zeros(()),
            "exp_avg": zeros,
            "exp_avg_sq": zeros.clone(),
            "done": torch.zeros(len(rows)),  # the step each row was last moved for
            "held": torch.zeros(()),  # steps before the first, at which the table did not learn
        }
        optimizer.register_step_post_hook(lambda *_: self._step())

    @property
    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self._optimizer.state[self._weight]
        return state

    @property
    def _group(self) -> dict[str, Any]:
        return next(group for group in self._optimizer.param_groups if group["params"][0] is self._weight)

    def gathered(self) -> list[Tensor]:
        """After the backward passes of a step: the rows read, one tensor with its gradient, to clip with the rest."""
        self._taken = self.embedding.take()
        if self._processes.several:
            self._taken = self._read_anywhere(self._taken)
        return [] if self._taken is None else [self._taken[1]]

    def _read_anywhere(self, taken: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
        """What `TouchedEmbedding.take` would have given had this process gone through the batches of all."""
        width = self._weight.shape[1]
        own = taken if taken is not None else (torch.zeros(0, dtype=torch.int64), None)
        gradient = torch.zeros(0, width) if own[1] is None else own[1].grad
        assert gradient is not None
        rows, total = self._processes.add_rows(own[0], gradient)
        if not len(rows):
            return None
        self._catch_up(rows)
        leaf = self._weight.detach()[rows].requires_grad_()
        leaf.grad = total
        return rows, leaf

    @contextmanager
    def standing_in(self, model: Model) -> Iterator[None]:
        """Within it ``model`` reads the table through here; at the end its own table is back, up to date."""
        backbone: Any = model.backbone
        backbone.set_input_embeddings(self.embedding)
        try:
            yield
        finally:
            backbone.set_input_embeddings(self._table)
        self._weight.data = self._settled_weight()

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Within it every row is up to date, for others to read; afterwards all is as it was, to the last bit."""
        before = self._weight.data
        self._weight.data = self._settled_weight()
        try:
            yield
        finally:
            self._weight.data = before

    @torch.no_grad()
    def _step(self) -> None:
        """One AdamW step of the rows that `gathered` gave; all of them have been caught up."""
        state, group = self._state, self._group
        if not self._weight.requires_grad:
            state["held"] += 1
            return
        state["step"] += 1
        if self._taken is None:
            return
        rows, leaf = self._taken
        self._taken = None
        assert leaf.grad is not None
        slots, step = self._slot[rows], int(state["step"])
        (beta1, beta2), rate = group["betas"], group["lr"]
        first = state["exp_avg"][slots].lerp_(leaf.grad, 1 - beta1)
        second = state["exp_avg_sq"][slots].mul_(beta2).addcmul_(leaf.grad, leaf.grad, value=1 - beta2)
        state["exp_avg"][slots], state["exp_avg_sq"][slots] = first, second
        spread = second.sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        moved = leaf.detach().mul(1 - rate * group["weight_decay"])
        self._weight[rows] = moved.addcdiv_(first, spread, value=-rate / (1 - beta1**step))
        state["done"][slots] = float(step)

    def _settled_weight(self) -> Tensor:
        """The table with every row moved by all steps up to now."""
        now = int(self._state["step"])
        self._remember(now)
        weight: Tensor = self._weight.detach() * float(
            self._kept[now]
        )  # what decay leaves of the rows that training never reads
        weight[self._rows] = self._weight.detach()[self._rows]
        rows, slots = self._late(self._rows, now)
        if len(rows):
            weight[rows] = self._moved(rows, slots, self._since(slots, now))
        return weight

    def _catch_up(self, rows: Tensor) -> None:
        """Move ``rows`` by all steps up to now that they have not been moved by."""
        state, now = self._state, int(self._state["step"])
        rows, slots = self._late(rows, now)
        if not len(rows):
            return
        moves = self._since(slots, now)
        with torch.no_grad():
            self._weight[rows] = self._moved(rows, slots, moves)
            state["exp_avg"][slots] *= moves.fade1
            state["exp_avg_sq"][slots] *= moves.fade2
            state["done"][slots] = float(now)

    def _late(self, rows: Tensor, now: int) -> tuple[Tensor, Tensor]:
        """Those of ``rows`` not moved by every step up to ``now``, and their places in the state."""
        slots = self._slot[rows]
        assert bool((slots >= 0).all()), "a row was read that was not declared"
        late = self._state["done"][slots] < now
        return rows[late], slots[late]

    def _moved(self, rows: Tensor, slots: Tensor, moves: _Moves) -> Tensor:
        state = self._state
        spread = state["exp_avg_sq"][slots].sqrt_().mul_(moves.spread).add_(self._group["eps"])
        pull = state["exp_avg"][slots].mul_(moves.total).div_(spread)
        return self._weight.detach()[rows].mul_(moves.left).sub_(pull)

    def _since(self, slots: Tensor, now: int) -> _Moves:
        """What the steps after those that the rows in ``slots`` were last moved for do to them."""
        self._remember(now)
        done, place = np.unique(self._state["done"][slots].numpy().astype(np.int64), return_inverse=True)
        beta1, beta2 = self._group["betas"]
        lasting = math.ceil(math.log(NEGLIGIBLE) / math.log(beta1)) if beta1 else 1
        age = np.arange(1, min(lasting, now - int(done.min())) + 1)
        step = np.minimum(done[:, None] + age, now)  # [done, age]
        g = self._rates[step] / (1 - beta1**step) * beta1**age * (self._kept[now] / self._kept[step])
        g *= done[:, None] + age <= now
        h = np.sqrt(beta2**age / (1 - beta2**step))
        total, quotient = g.sum(axis=1), (g / h).sum(axis=1)
        spread = np.divide(total, quotient, out=np.ones_like(total), where=quotient > 0)
        gone = (now - done).astype(np.float64)
        each = np.stack([total, spread, self._kept[now] / self._kept[done], beta1**gone, beta2**gone])
        return _Moves(*torch.from_numpy(each[:, place].astype(np.float32)).unsqueeze(2))

    def _remember(self, now: int) -> None:
        """Rates and decay of every step up to ``now``; functions of the step alone, so nothing of it is saved."""
        group = self._group
        if now >= len(self._rates):
            steps, held = range(len(self._rates), now + STEPS_AT_ONCE), int(self._state["held"])
            rates = group["peak"] * np.array([self._factor(held + step - 1) for step in steps])
            with np.errstate(over="ignore", invalid="ignore"):  # of a rate that makes no sense: the loss will tell
                left = self._kept[-1] * np.cumprod(1 - rates * group["weight_decay"])
            self._rates, self._kept = np.concatenate([self._rates, rates]), np.concatenate([self._kept, left])
