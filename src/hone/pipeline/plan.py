"""`plan`: what the pretraining that a recipe asks for would take on many GPUs. No data are read, no weights loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hone.core.errors import Fault, RecipeError
from hone.core.measures import Measure
from hone.models.architectures import NewBase
from hone.models.cost import Size, size_of
from hone.models.gpus import GPUS, MACHINE, Gpu
from hone.models.layouts import LAYOUTS, USABLE, Layout, Plan, Step, flops_a_token, simplest, smallest
from hone.pipeline.recipe import Recipe
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid, Report

MOST = 1024  # GPUs among which the smallest layout is looked for
WIDEST = LAYOUTS[-1]
TIMES = ["device", "gpus", "layout", "tokens_per_s", "all_seconds", "gpu_hours", "price", "reached_mfu"]
STEPS = ["device", "gpus", "layout", "products_seconds", "update_seconds", "sent_seconds", "sent_share"]
MEMORY = [
    "layout",
    "gpus",
    "weights_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "sum_bytes",
    "fits",
]


@dataclass(frozen=True)
class Assumed:
    """What a plan takes for granted, since no recipe says it.

    Attributes:
        gpus: How many, each of them planned for.
        devices: Names of `GPUS`.
        mfu: Share of its peak that a GPU reaches while it computes.
        price: Of a GPU for an hour, in any currency; None: unknown.
        tokens: To learn from; None: the recipe's ``max_steps`` say it.
        disk_bytes_per_s: At which a checkpoint is written.
    """

    gpus: tuple[int, ...] = (1, 8, 64, 256, 1000)
    devices: tuple[str, ...] = tuple(GPUS)
    mfu: float = 0.4
    price: float | None = None
    tokens: float | None = None
    disk_bytes_per_s: float = 1e9


def plan(recipe: Recipe, assumed: Assumed) -> Report:
    """The report of a recipe that pretrains.

    Raises:
        RecipeError: It does not pretrain, or in several stages, its base is none that a plan can be made for, or
            nothing says how many tokens it learns from.
    """
    several = [choice.settings for choice in recipe.stages if choice.stage.kind == "pretrain"]
    if not several:
        raise recipe.refusal([Fault("plan.no-pretrain", "no stage that pretrains", "pretrain", field="stages")])
    if len(several) > 1:
        found, fix = f"{len(several)} stages that pretrain", "Plan each by a recipe of its own."
        raise recipe.refusal([Fault("plan.several", found, "one", field="stages", fix=fix)])
    settings: Any = several[0]
    size, limit = _base(recipe)
    step = step_of(settings, limit=limit)
    tokens = assumed.tokens or _tokens(recipe, settings, step)
    made = _Made(size, step, tokens, assumed)
    flops = flops_a_token(size, step)
    kept = size.learning_bytes(step.optim) + (4 * size.parameters if settings.keep == "best" else 0)
    told = {
        "parameters": (size.parameters, "count"),
        "flops_a_token": (flops, "count"),
        "training_tokens": (tokens, "count"),
        "step_tokens": (step.tokens, "count"),
        "training_exaflops": (flops * tokens / 1e18, "count"),
        "checkpoint_size": (kept, "bytes"),
        "checkpoint_time": (kept / assumed.disk_bytes_per_s, "s"),
    }
    return Report(
        stage="plan",
        measures=[Measure(name=name, value=float(value), unit=unit) for name, (value, unit) in told.items()],
        tables={
            "plan_assumed": made.assumptions(),
            "plan_gpus": made.devices(),
            "plan_memory": made.memory(),
            "plan_smallest": made.smallest(),
            "plan_steps": made.steps(),
            "plan_times": made.times(),
        },
        warnings=_warnings(settings, recipe.language),
    )


def _warnings(settings: Any, language: Language) -> list[str]:
    """That the recipe says another precision than that of a plan."""
    said = settings.mixed_precision
    return [] if said == "bf16" else [word("warn.plan_precision", language, precision=said)]


def step_of(settings: Any, *, limit: int) -> Step:
    """A step of a stage with these settings over a base that reads at most ``limit`` tokens."""
    length = min(settings.max_length or limit, limit)
    batch = settings.per_device_train_batch_tokens or settings.per_device_train_batch_size * length
    return Step(
        tokens=settings.gradient_accumulation_steps * batch,
        batch=batch,
        length=length,
        reads=sum(2 if objective["name"] == "contrastive" else 1 for objective in settings.objective),
        scored=sum(_scored(objective) for objective in settings.objective),
        recomputed=settings.load.recomputes,
        optim=settings.optim,
    )


def _scored(objective: Mapping[str, Any]) -> float:
    """Share of the tokens at which an objective scores the vocabulary; where it writes a text again, at most."""
    if objective["name"] in ("mlm", "rtd"):
        return float(objective["mlm_probability"])
    return 0.0 if objective["name"] in ("nsp", "sop", "contrastive") else 1.0


def _base(recipe: Recipe) -> tuple[Size, int]:
    """The sizes of the base, and how many tokens it reads at most."""
    from hone.models.base import config_folder
    from hone.models.divided import ways_of
    from hone.models.files import own_file
    from hone.models.model import read_limit
    from hone.models.nets import read_config
    from hone.models.new_base import outlined, outlined_config

    if isinstance(recipe.base, NewBase):
        size, limit = outlined(recipe.base), recipe.base.settings.max_length
    elif isinstance(recipe.base, str):
        folder = config_folder(recipe.base, relative_to=recipe.folder)
        limit = read_limit(folder)
        if any(folder.glob("*.safetensors")):  # layers of other shapes than the configuration says are not divided
            size = replace(size_of(folder), ways=() if own_file(folder) else ways_of(read_config(folder)))
        else:
            size = outlined_config(folder)
    else:
        fault = Fault("plan.base", "a base that is grown or extended", "a name, or an architecture with its sizes",
                      field="base", fix="Name sizes like those that it will have.")  # fmt: skip
        raise recipe.refusal([fault])
    if not size.heads:
        found = "a base in which nothing attends"
        raise recipe.refusal([Fault("plan.base", found, "a transformer", field="base")])
    return size, limit


def _tokens(recipe: Recipe, settings: Any, step: Step) -> float:
    if settings.max_steps is None:
        fault = Fault(
            "plan.tokens",
            "no max_steps, and no --tokens",
            "one of them",
            field="stages",
            fix="An epoch has the corpus's characters times tokens_per_character; `hone inspect RECIPE` tells both.",
        )
        raise recipe.refusal([fault])
    return float(settings.max_steps * step.tokens)


@dataclass(frozen=True)
class _Made:
    """The tables of a plan."""

    size: Size
    step: Step
    tokens: float
    assumed: Assumed

    def _gpus(self) -> Mapping[str, Gpu]:
        return {name: GPUS[name] for name in self.assumed.devices}

    def assumptions(self) -> Grid:
        assumed = self.assumed
        rows: list[list[Cell]] = [
            ["assumed_mfu", f"{assumed.mfu:g}"],
            ["usable_memory", f"{USABLE:g}"],
            ["gpus_a_machine", str(MACHINE)],
            ["gpu_price", None if assumed.price is None else f"{assumed.price:g}"],
            ["disk_gb_per_s", f"{assumed.disk_bytes_per_s / 1e9:g}"],
        ]
        return Grid(columns=["what", "value"], rows=rows, names="words")

    def devices(self) -> Grid:
        rows: list[list[Cell]] = [
            [name, gpu.memory_bytes, gpu.flops / 1e12, gpu.memory_bytes_per_s / 1e9, gpu.link_bytes_per_s / 1e9,
             gpu.network_bytes_per_s / 1e9]
            for name, gpu in self._gpus().items()
        ]  # fmt: skip
        columns = ["device", "memory_bytes", "bf16_tflops", "memory_gb_per_s", "link_gb_per_s", "network_gb_per_s"]
        return Grid(columns=columns, rows=rows)

    def memory(self) -> Grid:
        """Bytes of a GPU, by layout, for every number of them."""
        shown = (LAYOUTS[0], LAYOUTS[1], WIDEST)
        plans = (Plan(self.size, self.step, gpus, layout) for layout in shown for gpus in self.assumed.gpus)
        rows: list[list[Cell]] = []
        for one in plans:
            if one.possible:
                held = one.held()
                fits = " ".join(name for name, gpu in self._gpus().items() if held.fits(gpu))
                rows.append([one.layout.name, one.gpus, held.weights, held.gradients, held.optimizer, held.activations,
                             held.all, fits or None])  # fmt: skip
        return Grid(columns=MEMORY, rows=rows)

    def smallest(self) -> Grid:
        """The fewest GPUs on which it fits, by layout."""
        choices: tuple[tuple[Layout, ...], ...] = ((LAYOUTS[0],), (LAYOUTS[1],), LAYOUTS[2:])
        rows: list[list[Cell]] = []
        for name, gpu in self._gpus().items():
            found = [smallest(self.size, self.step, gpu=gpu, layouts=each, most=MOST) for each in choices]
            rows.append([name, *(None if one is None else one.gpus for one in found)])
        return Grid(columns=["device", "gpus_dp", "gpus_fsdp", "gpus_tp"], rows=rows)

    def steps(self) -> Grid:
        """Seconds of a step, by device and number of GPUs, in the simplest layout that fits."""
        rows: list[list[Cell]] = []
        for name, gpu, gpus, one in self._each():
            if one is None:
                rows.append([name, gpus, *([None] * (len(STEPS) - 2))])
                continue
            taken = one.seconds(gpu, mfu=self.assumed.mfu)
            rows.append([name, gpus, one.layout.name, taken.products, taken.update, taken.communication,
                         taken.communication / taken.all])  # fmt: skip
        return Grid(columns=STEPS, rows=rows)

    def times(self) -> Grid:
        """Hours and price of the training, by device and number of GPUs, in the simplest layout that fits."""
        rows: list[list[Cell]] = []
        a_token = flops_a_token(self.size, self.step)
        for name, gpu, gpus, one in self._each():
            if one is None:
                rows.append([name, gpus, *([None] * (len(TIMES) - 2))])
                continue
            speed = self.step.tokens / one.seconds(gpu, mfu=self.assumed.mfu).all
            hours = self.tokens / speed / 3600 * gpus
            price = None if self.assumed.price is None else hours * self.assumed.price
            reached = speed * a_token / (gpus * gpu.flops)
            rows.append([name, gpus, one.layout.name, round(speed), hours / gpus * 3600, hours, price, reached])
        return Grid(columns=TIMES, rows=rows)

    def _each(self) -> list[tuple[str, Gpu, int, Plan | None]]:
        return [
            (name, gpu, gpus, simplest(self.size, self.step, gpus=gpus, gpu=gpu))
            for name, gpu in self._gpus().items()
            for gpus in self.assumed.gpus
        ]


def assumed_of(
    *, gpus: str, devices: str, mfu: float, price: float | None, tokens: float | None, disk: float
) -> Assumed:
    """`Assumed` of words as a command has them: numbers and names with commas between them.

    Args:
        disk: Gigabytes a second.

    Raises:
        RecipeError: One is none that can be.
    """
    counts = [int(word) if word.strip().isdecimal() else 0 for word in gpus.split(",")]  # of which int reads all
    if any(count < 1 or (count > MACHINE and count % MACHINE) for count in counts):
        raise RecipeError(
            f"--gpus {gpus}", expected=f"numbers such as 1,8,64: up to {MACHINE}, or whole machines of {MACHINE}",
            code="plan.gpus",
        )  # fmt: skip
    names = tuple(word.strip().upper() for word in devices.split(","))
    unknown = [name for name in names if name not in GPUS]
    if unknown:
        raise RecipeError(f"--devices {unknown[0]}", expected=f"some of: {', '.join(GPUS)}", code="plan.device")
    numbers = {"mfu": mfu, "price": price, "tokens": tokens, "disk": disk}
    endless = [name for name, value in numbers.items() if value is not None and not math.isfinite(value)]
    if endless:
        raise RecipeError(f"--{endless[0]} {numbers[endless[0]]}", expected="a number", code="plan.number")
    return Assumed(tuple(counts), names, mfu, price, tokens, disk * 1e9)
