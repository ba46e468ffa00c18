"""Options and arguments that several commands have, and groups of options that belong together."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from hone.core.errors import RecipeError
from hone.models.gpus import GPUS
from hone.predict.formats import Precision
from hone.report.catalog import Language

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings: key=value, dotted keys.", metavar="[KEY=VALUE]...")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for what is made.")]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=NAME", help="What a field's column is called in the files; repeatable."),
]
DecodingSetting = Annotated[
    list[str] | None,
    typer.Option("--decoding", metavar="KEY=VALUE", help="A setting of decoding, such as num_beams=4; repeatable."),
]
Inspected = Annotated[
    list[Path],
    typer.Argument(help="Data files; the first is train, a second one test. Or a recipe.", metavar="FILE..."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
PrecisionName = Annotated[  # parsed as it stands: what the device has is told where the model is opened
    Precision,
    typer.Option("--precision", parser=str, metavar="NAME", help="float32, or on a GPU bf16 or fp16."),
]
BaseName = Annotated[
    str, typer.Option("--base", help="Of an adapter's bundle: where its base is, if not where the bundle says.")
]


@dataclass(frozen=True)
class Opening:
    """How a bundle is opened."""

    base: BaseName = ""
    device: DeviceName = "auto"
    precision: PrecisionName = "float32"


@dataclass(frozen=True)
class Measuring:
    """How bundles are measured on a file, and where what was found goes."""

    decoding: DecodingSetting = None
    device: DeviceName = "auto"
    column: ColumnNames = None
    out: Out = None


@dataclass(frozen=True)
class Showing:
    """How a report is shown and written."""

    language: Annotated[
        Language | None, typer.Option("--language", help="Of the report: en or zh; else the recipe's, or en.")
    ] = None
    as_json: Json = False

    @property
    def overrides(self) -> list[str]:
        """What makes a recipe's reports of the language that is asked for."""
        return [f"language={self.language}"] if self.language else []


@dataclass(frozen=True)
class Training:
    """What a training starts from beside its data."""

    seed: Annotated[int, typer.Option("--seed")] = 13
    device: DeviceName = "auto"


@dataclass(frozen=True)
class Relations:
    """Relations between what another bundle finds in texts."""

    entities: Annotated[
        Path | None, typer.Option("--entities", help="A bundle whose entities in texts BUNDLE tells the relations of.")
    ] = None
    most_pairs: Annotated[
        int | None, typer.Option("--most-pairs", min=1, help="Of entities in a text, the nearest; else 100.")
    ] = None
    without: Annotated[
        str | None, typer.Option("--without", help="Label whose relations are only counted, such as Other.")
    ] = None


@dataclass(frozen=True)
class Best:
    """The best of several texts, as another bundle tells."""

    best_of: Annotated[
        int | None, typer.Option("--best-of", min=2, help="Write so many texts for a row, and answer the best.")
    ] = None
    reward: Annotated[Path | None, typer.Option("--reward", help="A bundle that tells how good each is.")] = None
    label: Annotated[str, typer.Option("--label", help="Its label whose probability tells it.")] = ""


@dataclass(frozen=True)
class Compression:
    """How a bundle is compressed, and by what beside the rows."""

    method: Annotated[str | None, typer.Option("--method", help="How, such as vocabulary, int8 or distill.")] = None
    search: Annotated[
        bool, typer.Option("--search", help="Try combinations under method.max_latency_ms or method.max_size_mb.")
    ] = False
    unlabeled: Annotated[str | None, typer.Option("--unlabeled", help="More texts of the domain.")] = None
    validation: Annotated[str | None, typer.Option("--validation", help="A file to compare on; else carved.")] = None


@dataclass(frozen=True)
class Planning:
    """A plan for many GPUs, and what it takes for granted."""

    plan: Annotated[bool, typer.Option("--plan", help="Of a recipe that pretrains: what it takes on many GPUs.")] = (
        False
    )
    gpus: Annotated[str, typer.Option("--gpus", help="Of a plan: how many.")] = "1,8,64,256,1000"
    devices: Annotated[str, typer.Option("--devices", help="Of a plan: which.")] = ",".join(GPUS)
    mfu: Annotated[
        float, typer.Option("--mfu", min=0.01, max=1, help="Of a plan: share of its peak that a GPU reaches.")
    ] = 0.4
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of a plan: of a GPU for an hour.")] = None
    tokens: Annotated[
        float | None, typer.Option("--tokens", min=1, help="Of a plan: to learn from; else by max_steps.")
    ] = None
    disk: Annotated[float, typer.Option("--disk", min=0.001, help="Of a plan: GB/s of writing a checkpoint.")] = 1.0


@dataclass(frozen=True)
class Where:
    """Where the processes of a launch run, and how many: on machines, or on a Ray cluster."""

    on: Annotated[Literal["machines", "ray"], typer.Option("--on", help="Who starts the processes.")] = "machines"
    nodes: Annotated[
        str | None, typer.Option("--nodes", help="Machines: N, or MIN:MAX to go on with fewer; else 1.")
    ] = None
    procs_per_node: Annotated[
        int | None, typer.Option("--procs-per-node", min=1, help="Processes on each; else one a GPU.")
    ] = None
    head: Annotated[str, typer.Option("--head", help="HOST:PORT of a machine that all reach; of Ray, its head.")] = ""
    workers: Annotated[
        str | None, typer.Option("--workers", help="On Ray: processes, N, or MIN:MAX to go on with fewer.")
    ] = None
    per_worker: Annotated[
        list[str] | None,
        typer.Option("--per-worker", metavar="NAME=AMOUNT", help="On Ray: what each takes, such as GPU=1; repeatable."),
    ] = None

    def refuse(self, names: Sequence[str], *, fix: str) -> None:
        """Raise `RecipeError` where an option is given that means nothing there."""
        for name in names:
            if getattr(self, name) is not None:
                raise RecipeError(
                    f"--{name.replace('_', '-')} with --on {self.on}", expected="none", fix=fix, code="launch.option"
                )


def grouped(function: Callable[..., None]) -> Callable[..., None]:
    """A command for typer of one whose parameters may be groups: each field of a group is an option of the command."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    flat: dict[str, tuple[Any, Any]] = {}  # name -> annotation, default
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            flat[name] = hints[name], parameter.default
            continue
        own = get_type_hints(groups[name], include_extras=True)
        flat |= {field.name: (own[field.name], field.default) for field in fields(groups[name])}

    @functools.wraps(function)
    def command(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        function(**given)

    kind = inspect.Parameter.KEYWORD_ONLY  # so that none need come before another
    told = [inspect.Parameter(name, kind, default=was, annotation=hint) for name, (hint, was) in flat.items()]
    command.__signature__ = inspect.Signature(told)  # type: ignore[attr-defined]
    command.__annotations__ = {name: hint for name, (hint, _) in flat.items()}
    return command
