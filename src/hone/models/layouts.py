"""What a training on many GPUs takes of each, by how the model lies on them: memory, and seconds of a step.

As hone trains under ``mixed_precision: bf16``: weights that learn are float32, and so is what is sent of them; products
read copies in bfloat16, which the way back reads again. FSDP is ZeRO's third stage (Rajbhandari et al. 2020), tensor
parallelism is Megatron's (Shoeybi et al. 2019) within a machine, activations are those of Korthikanti et al. 2022 with
attention that keeps no pairs. Nothing is sent while something is computed: a lower bound of the speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hone.models.cost import (
    SCORES_KEPT,
    UNITS,
    UPDATE_BYTES_A_WEIGHT,
    WEIGHT_BYTES,
    Size,
    training_flops,
)
from hone.models.gpus import Gpu

HALF = 2  # bytes of a number in a product
USABLE = 0.9  # of a GPU's memory; the rest is the driver's, and lost between blocks
AGAIN = 4 / 3  # of a training's products, where each forward pass is made twice


@dataclass(frozen=True)
class Layout:
    """How the model lies on the GPUs.

    Attributes:
        sharded: Whether each GPU keeps only its part of weights, gradients and optimizer, and gathers a layer when it
            is computed (FSDP); else each keeps all.
        tensor: Over how many GPUs of a machine each product is divided.
    """

    sharded: bool = False
    tensor: int = 1

    @property
    def name(self) -> str:
        """Its name, the same in every language."""
        kind = "FSDP" if self.sharded else "DP"
        return kind if self.tensor == 1 else f"{kind} + TP {self.tensor}"


LAYOUTS = (Layout(), Layout(sharded=True), *(Layout(sharded=True, tensor=n) for n in (2, 4, 8)))  # the simplest first


@dataclass(frozen=True)
class Step:
    """An optimizer step.

    Attributes:
        tokens: Of all its batches.
        batch: Tokens of a forward pass on one GPU, at most.
        length: Tokens of a row.
        reads: How often the model reads a batch: once for each objective, twice for one that compares two texts.
        scored: Share of the tokens at which the whole vocabulary is scored, of all objectives together.
        recomputed: Whether layers are made again on the way back.
    """

    tokens: int
    batch: int
    length: int
    reads: int = 1
    scored: float = 1.0
    recomputed: bool = False
    optim: str = "adamw"


@dataclass(frozen=True)
class Held:
    """Bytes that one GPU holds."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def all(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations

    def fits(self, gpu: Gpu) -> bool:
        return self.all <= USABLE * gpu.memory_bytes


@dataclass(frozen=True)
class Seconds:
    """Of a step on every GPU: products, moving the weights, and what is sent."""

    products: float
    update: float
    communication: float

    @property
    def all(self) -> float:
        return self.products + self.update + self.communication


@dataclass(frozen=True)
class Plan:
    """A training of a model of this size, by steps like this one, on so many GPUs; where it is not
    `possible`, nothing else that is said of it holds."""

    size: Size
    step: Step
    gpus: int
    layout: Layout

    @property
    def possible(self) -> bool:
        """Whether hone can lay the model so, and every GPU, or every group that shares the products, gets at least one
        row of a step."""
        tensor = self.layout.tensor
        divided = tensor == 1 or (self.gpus % tensor == 0 and tensor in self.size.ways)
        divided &= self.step.optim == "adamw" or not self.layout.sharded  # others look at whole matrices
        several = self.gpus >= tensor * (2 if self.layout.sharded and tensor == 1 else 1)
        return divided and several and self.step.tokens >= self.step.length * self.copies

    @property
    def copies(self) -> int:
        """GPUs, or groups that share the products, each of which reads rows of its own."""
        return self.gpus // self.layout.tensor

    @property
    def batch(self) -> float:
        """Tokens of a forward pass on one of them."""
        return min(self.step.batch, self.step.tokens / self.copies)

    @property
    def passes(self) -> int:
        """Forward passes of a step on one of them."""
        return math.ceil(self.step.tokens / self.copies / self.batch)

    def held(self) -> Held:
        """What one GPU holds while it trains."""
        own, tensor = self.size.parameters / self.layout.tensor, self.layout.tensor
        parts = self.copies if self.layout.sharded else 1
        apart = parts > 1
        unit = self.size.unit / tensor
        copied = unit if self.step.recomputed else own
        return Held(
            weights=WEIGHT_BYTES * (own / parts + (UNITS * unit if apart else 0)) + HALF * copied,
            gradients=WEIGHT_BYTES * (own / parts + (unit if apart else 0)),
            optimizer=self.size.learning_bytes(self.step.optim) / tensor / parts - WEIGHT_BYTES * own / parts,
            activations=self._activations(),
        )

    def seconds(self, gpu: Gpu, *, mfu: float) -> Seconds:
        """What a step takes.

        Args:
            mfu: Share of its peak that a GPU reaches while it computes.
        """
        longest = round(self.passes * self.batch)  # tokens of those with the most batches, for whom the others wait
        flops = longest * flops_a_token(self.size, self.step)
        flops *= AGAIN if self.step.recomputed else 1
        kept = self.size.parameters / (self.gpus if self.layout.sharded else self.layout.tensor)
        return Seconds(
            products=flops / (self.layout.tensor * gpu.flops * mfu),
            update=UPDATE_BYTES_A_WEIGHT * kept / gpu.memory_bytes_per_s,
            communication=self.communication(gpu),
        )

    def communication(self, gpu: Gpu) -> float:
        """Seconds of a step in which GPUs send and receive, in rings: gradients added up once, or every layer gathered
        twice and its gradients scattered once in each pass; and what a divided product leaves to add up."""
        tensor, copies = self.layout.tensor, self.copies
        rate = gpu.ring_bytes_per_s(self.gpus, beside=tensor)
        own = self.size.parameters / tensor
        if not self.layout.sharded:
            seconds = all_reduce_seconds(WEIGHT_BYTES * own, gpus=copies, bytes_per_s=rate)
        else:
            seconds = self.passes * (copies - 1) / copies * own * (2 + 1) * WEIGHT_BYTES / rate
        if tensor > 1:
            sums = self.size.layers * (6 if self.step.recomputed else 4)
            states = HALF * self.step.reads * self.batch * self.size.width
            one = all_reduce_seconds(states, gpus=tensor, bytes_per_s=gpu.link_bytes_per_s)
            seconds += self.passes * sums * one
        return seconds

    def _activations(self) -> float:
        size, tensor, batch = self.size, self.layout.tensor, self.step.reads * self.batch
        inner = (8 if size.gated else 4) * size.inner
        a_layer = batch * (10 * size.width + (8 * size.width + inner) / tensor)
        layers = size.layers * HALF * batch * size.width + a_layer if self.step.recomputed else size.layers * a_layer
        scores = SCORES_KEPT * WEIGHT_BYTES * self.step.scored * self.batch * size.vocabulary / tensor
        return layers + scores


def flops_a_token(size: Size, step: Step) -> float:
    """Floating-point operations of training on a token of such a step: those of `training_flops` each time it is read,
    and the scores over the vocabulary, where the table is not among the weights that are counted there."""
    scores = 6.0 * step.scored * size.vocabulary * size.width if size.embedding else 0.0
    return step.reads * training_flops(size, tokens=1, length=step.length) + scores


def all_reduce_seconds(size: float, *, gpus: int, bytes_per_s: float) -> float:
    """Of ``size`` bytes added up over a ring of ``gpus``: each sends 2 (n - 1) / n of them."""
    return 2 * (gpus - 1) / gpus * size / bytes_per_s


def simplest(size: Size, step: Step, *, gpus: int, gpu: Gpu) -> Plan | None:
    """The first of `LAYOUTS` that fits so many GPUs; None where none does."""
    plans = (Plan(size, step, gpus, layout) for layout in LAYOUTS)
    return next((plan for plan in plans if plan.possible and plan.held().fits(gpu)), None)


def smallest(size: Size, step: Step, *, gpu: Gpu, layouts: tuple[Layout, ...], most: int) -> Plan | None:
    """The one of ``layouts`` on the fewest GPUs, a power of two, that fits; None where none of up to ``most`` does."""
    counts = (1 << power for power in range(most.bit_length()))
    plans = (Plan(size, step, count, layout) for count in counts for layout in layouts)
    return next((plan for plan in plans if plan.possible and plan.held().fits(gpu)), None)
