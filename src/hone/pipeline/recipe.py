"""`Recipe`: one YAML file, fully decided; every fault of it said together, with its line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from hone.bundle.stage import HELD_OUT, NO_TASK, Device, Stage, TaskChoice
from hone.core.errors import Fault, RecipeError, did_you_mean
from hone.core.lineage import digest_value
from hone.core.settings import Settings, check_settings
from hone.core.tables import Table
from hone.data.corpus.settings import CorpusSettings
from hone.data.source import Source
from hone.models.architectures import ARCHITECTURES, ExtensionSettings, GrowthSettings, NewBase
from hone.models.base import MINILM
from hone.pipeline.needs import (
    CARVED,
    CORPORA,
    DATA_OPTIONS,
    misprobed,
    mistyped,
    near_option,
    needs,
    probed,
    tasked,
    unlearnable,
    unwritten,
)
from hone.pipeline.overrides import apply_overrides
from hone.pipeline.stages import STAGES
from hone.pipeline.yaml_file import parse_yaml, to_yaml
from hone.report.catalog import Language
from hone.tasks.table import SETTINGS

Lines = Mapping[tuple[str, ...], int]  # path of a key -> its line


def _whole(value: Any) -> Any:
    """``value``, unless it merely equals a whole number, as 1.0 and true do."""
    if type(value) is not int:
        raise ValueError("1")
    return value


def _folder_name(value: str) -> str:
    """``value``, unless a folder of that name would lie elsewhere than in ``runs/``."""
    if value.strip() in ("", ".", "..") or any(mark in value for mark in "/\\\0"):
        raise ValueError("a name for a folder: no slashes, and not '..'")
    return value


class Top(Settings):
    """The recipe's plain keys; ``task``, ``base``, ``data`` and ``stages`` are checked by what they name."""

    version: Annotated[Literal[1], BeforeValidator(_whole)]
    name: Annotated[str, AfterValidator(_folder_name)] = "recipe"
    base: Any = MINILM
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 13
    device: Device = "auto"
    language: Language = "en"
    task: Any = None
    data: dict[str, Any]
    stages: list[Any] = Field(min_length=1)


class DataOptions(Settings):
    """What ``data`` may say besides its sources.

    Attributes:
        drop: ``duplicates`` drops training rows that stand there twice; ``leaked`` drops training rows that stand in
            another split as well, and documents of ``corpus`` that stand in ``held_out``.
        validation_share: Part of the training rows that a missing validation split is carved from, and of ``pairs``
            that missing ``validation_pairs`` are.
        train_share: Part of ``train`` and of ``corpus`` that is learned from, of what is left after others were taken
            from them. A smaller part is within a larger one.
        split_seed: By which rows and documents are taken for others, or for a part, or selected; None: the recipe's
            ``seed``. Where it is stated, runs of several seeds are measured on the same rows.
    """

    drop: list[Literal["duplicates", "leaked"]] = []
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    train_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None


@dataclass(frozen=True)
class StageChoice:
    """A stage and its settings."""

    stage: Stage
    settings: Settings


@dataclass(frozen=True)
class Recipe:
    """A decided recipe. ``sources`` None under ``validation`` means: train on every row, carve nothing. ``corpora`` are
    what ``data.corpus`` and ``data.held_out`` say; of the latter None: hold nothing out. ``file`` and ``lines`` are
    where it was read, for messages."""

    name: str
    base: str | NewBase | ExtensionSettings | GrowthSettings
    seed: int
    device: Device
    language: Language
    task: TaskChoice
    sources: Mapping[str, Source | None]
    options: DataOptions
    stages: tuple[StageChoice, ...]
    folder: Path
    corpora: Mapping[str, CorpusSettings | None] = dataclasses.field(default_factory=dict)
    file: str = ""
    lines: Lines = dataclasses.field(default_factory=dict)

    @property
    def probed(self) -> tuple[str, ...]:
        """Names of the data that a base is judged by while it learns."""
        return tuple(dict.fromkeys(name for choice in self.stages for name in probed(choice)))

    @property
    def split_seed(self) -> int:
        """The seed by which rows and documents are taken for others."""
        return self.seed if self.options.split_seed is None else self.options.split_seed

    def refusal(self, faults: Sequence[Fault]) -> RecipeError:
        """The error for what is wrong with it beside its data or base."""
        return _refusal(faults, file=self.file, lines=self.lines)

    def decided(self) -> dict[str, Any]:
        """Every key with its value, defaults filled in."""
        sources = {
            name: "none" if source is None else source.model_dump(mode="json") for name, source in self.sources.items()
        }
        texts = {name: "none" if corpus is None else corpus.model_dump(mode="json")
                 for name, corpus in self.corpora.items()}  # fmt: skip
        return {
            "version": 1,
            "name": self.name,
            "task": self._task(),
            "base": self.base if isinstance(self.base, str) else self.base.decided(),
            "seed": self.seed,
            "device": self.device,
            "language": self.language,
            "data": {**sources, **texts, **self.options.model_dump(mode="json")},
            "stages": [
                {"kind": choice.stage.kind, **choice.settings.model_dump(mode="json")} for choice in self.stages
            ],
        }

    def _task(self) -> dict[str, Any] | None:
        return None if self.task is NO_TASK else {"name": self.task.name, **self.task.settings.model_dump(mode="json")}

    def to_yaml(self) -> str:
        """`decided` as YAML, relative paths made absolute: it runs again from wherever it lies."""
        values = self.decided()
        root = self.folder.absolute()
        for name in values["data"]:
            placed = self.corpora.get(name) or self.sources.get(name)
            if placed is not None:
                values["data"][name] = placed.under(root).model_dump(mode="json")
        if isinstance(self.base, str):
            values["base"] = _placed(self.base, root)
        elif isinstance(self.base, ExtensionSettings):
            values["base"]["extends"] = _placed(self.base.extends, root)
        elif isinstance(self.base, GrowthSettings):
            values["base"]["grow"] = _placed(self.base.grow, root)
        for choice, stage in zip(self.stages, values["stages"], strict=True):
            for setting, paths in self.bundles(choice).items():
                named = [str(path.absolute()) for path in paths]
                stage[setting] = named if isinstance(stage[setting], list) else named[0]
        return to_yaml(values)

    def bundles(self, choice: StageChoice) -> dict[str, list[Path]]:
        """Folders of the bundles that a stage's settings name, by the setting; those that name none are left out."""
        found = {}
        for setting in choice.stage.bundles:
            named: list[str] | str | None = getattr(choice.settings, setting)
            each = [named] if isinstance(named, str) else named or []
            if each:
                found[setting] = [self.folder / Path(path).expanduser() for path in each]
        return found

    def digest(
        self, stages: Sequence[StageChoice], *, data: Mapping[str, str], base: str, others: Sequence[str] = ()
    ) -> str:
        """sha256 over what a bundle is made from: paths and names do not enter, nor what judges are told.

        Args:
            stages: Those run so far, of which the ones that change something count.
            data: Split -> digest of its rows.
            base: Digest of the base.
            others: Digests of the bundles that the last stage names.
        """
        decided = self.decided()
        kept = {key: decided[key] for key in ("version", "task", "seed")}
        makers = [
            {"kind": choice.stage.kind, **choice.settings.model_dump(mode="json", exclude={*choice.stage.bundles})}
            for choice in stages
            if choice.stage.changes != "nothing"
        ]
        given = {"others": list(others)} if others else {}
        return digest_value({**kept, "stages": makers, "data": dict(data), "base": base, **given})


def load_recipe(path: Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Args:
        path: A file, or a pipe such as ``/dev/stdin``: relative paths in it start at the current folder then.
        overrides: ``key=value`` with a dotted key, such as ``stages.0.num_train_epochs=2``.

    Raises:
        RecipeError: Anything is wrong with it; all faults are named, with file, line and key.
    """
    if not path.exists() or path.is_dir():
        raise RecipeError(f"found no recipe at {path}", expected="a YAML file", fix="`hone init TASK` writes one.",
                          code="recipe.missing")  # fmt: skip
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text", code="recipe.not-yaml") from error
    values, lines = parse_yaml(text, file=str(path))
    apply_overrides(values, overrides)
    piped = not path.is_file() or path.is_relative_to("/dev") or path.is_relative_to("/proc")
    return make_recipe(values, folder=Path() if piped else path.parent, file=str(path), lines=lines)


def make_recipe(values: Mapping[str, Any], *, folder: Path, file: str = "", lines: Lines | None = None) -> Recipe:
    """Check plain values and decide a recipe (see `load_recipe`).

    Args:
        folder: Where relative paths start.
        file, lines: For messages.
    """
    top, faults = check_settings(Top, values)
    task, more = _task(values.get("task"))
    faults += more
    base, more = _base(values.get("base", MINILM))
    faults += more
    if task is not None and task is not NO_TASK and isinstance(base, NewBase):
        faults += base.faults(task.name, wanted=SETTINGS[task.name].stack)
    data = values.get("data")
    sources, options, more = _data(data if isinstance(data, dict) else {})
    faults += more
    corpora, more = _corpora(data if isinstance(data, dict) else {})
    faults += more
    stages, more = _stages(values.get("stages"))
    faults += more
    faults += [] if more else tasked(stages, values.get("task"))
    faults += unlearnable(stages, base) if isinstance(base, NewBase) else []
    faults += [] if task is None or task is NO_TASK else unwritten(stages, task.name)
    if isinstance(data, dict) and not more:
        faults += needs(stages, data) + misprobed(stages) + mistyped(stages, data)
    if faults or top is None or task is None or base is None or options is None:
        raise _refusal(faults, file=file, lines=lines or {})
    return Recipe(
        name=top.name,
        base=base,
        seed=top.seed,
        device=top.device,
        language=top.language,
        task=task,
        sources=sources,
        options=options,
        stages=tuple(stages),
        folder=folder,
        corpora=corpora,
        file=file,
        lines=lines or {},
    )


def _refusal(faults: Sequence[Fault], *, file: str, lines: Lines) -> RecipeError:
    placed = [f if f.file else dataclasses.replace(f, file=file, line=_line(f.field, lines)) for f in faults]
    count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
    found = f"the recipe{' ' + file if file else ''} cannot be used: {count}"
    return RecipeError(found, faults=placed, code=faults[0].code)


def _line(field: str, lines: Lines) -> int | None:
    """Line of a dotted field, or of the nearest section that holds it."""
    path = tuple(field.split("."))
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def _named(raw: Any, *, key: str, table: Table, at: str) -> tuple[str, dict[str, Any], list[Fault]]:
    """The name and the other keys of an entry written ``name`` or ``{name: ..., setting: ...}``."""
    if isinstance(raw, str):
        raw = {key: raw}
    if not isinstance(raw, dict) or not isinstance(raw.get(key), str):
        return "", {}, [Fault("recipe.wrong-type", repr(raw), f"a name, or {{{key}: ...}}", field=at)]
    name = raw[key]
    if name not in table:
        fault = Fault(f"recipe.unknown-{table.noun}", f"the unknown {table.noun} {name!r}", field=f"{at}.{key}",
                      fix=did_you_mean(name, table))  # fmt: skip
        return name, {}, [fault]
    return name, {k: v for k, v in raw.items() if k != key}, []


def _task(raw: Any) -> tuple[TaskChoice | None, list[Fault]]:
    """`NO_TASK` where none is named."""
    if raw is None:
        return NO_TASK, []
    name, rest, faults = _named(raw, key="name", table=SETTINGS, at="task")
    if faults:
        return None, faults
    settings, faults = check_settings(SETTINGS[name], rest, at="task")
    return (TaskChoice(name, settings) if settings is not None else None), faults


def _placed(base: str, root: Path) -> str:
    """A base's name, as an absolute path where it is a folder in ``root``."""
    folder = root / Path(base).expanduser()
    return str(folder) if base != MINILM and folder.is_dir() else base


def _base(raw: Any) -> tuple[str | NewBase | ExtensionSettings | GrowthSettings | None, list[Fault]]:
    """The base's name; or of a mapping what is to be made."""
    if isinstance(raw, str):
        return raw, []
    if not isinstance(raw, dict):
        return None, [Fault("recipe.wrong-type", repr(raw), "a base's name, or {architecture: ...}", field="base")]
    if "extends" in raw:
        return check_settings(ExtensionSettings, raw, at="base")
    if "grow" in raw:
        return check_settings(GrowthSettings, raw, at="base")
    name, rest, faults = _named(raw, key="architecture", table=ARCHITECTURES, at="base")
    if faults:
        return None, faults
    settings, faults = check_settings(ARCHITECTURES[name].settings, rest, at="base")
    return (NewBase(name, settings) if settings is not None else None), faults


def _data(raw: Mapping[str, Any]) -> tuple[dict[str, Source | None], DataOptions | None, list[Fault]]:
    options, faults = check_settings(DataOptions, {k: raw[k] for k in DATA_OPTIONS if k in raw}, at="data")
    sources: dict[str, Source | None] = {}
    for name, value in raw.items():
        if name in (*DATA_OPTIONS, *CORPORA):
            continue
        if name in CARVED and value in ("none", None):
            sources[name] = None
            continue
        if not isinstance(value, str | dict):
            faults.append(Fault("recipe.wrong-type", repr(value), "a path, or {path: ...}", field=f"data.{name}",
                                fix=near_option(str(name))))  # fmt: skip
            continue
        source, wrong = check_settings(Source, {"path": value} if isinstance(value, str) else value, at=f"data.{name}")
        faults += wrong
        if source is not None:
            sources[name] = source
    return sources, options, faults


def _corpora(data: Mapping[str, Any]) -> tuple[dict[str, CorpusSettings | None], list[Fault]]:
    """The documents that ``data`` names; a path alone, or several, is short for them."""
    found: dict[str, CorpusSettings | None] = {}
    faults: list[Fault] = []
    for name in CORPORA:
        value = data.get(name)
        if name == HELD_OUT and name in data and value in ("none", None):
            found[name] = None
        elif name in data and not isinstance(value, str | list | dict):
            faults.append(Fault("recipe.wrong-type", repr(value), "a path, or {path: ...}", field=f"data.{name}"))
        elif name in data:
            values = value if isinstance(value, dict) else {"path": value}
            corpus, wrong = check_settings(CorpusSettings, values, at=f"data.{name}")
            found |= {} if corpus is None else {name: corpus}
            faults += wrong
            faults += corpus.held_out_faults(at=f"data.{name}") if corpus is not None and name == HELD_OUT else []
    return found, faults


def _stages(raw: Any) -> tuple[list[StageChoice], list[Fault]]:
    stages: list[StageChoice] = []
    faults: list[Fault] = []
    for i, entry in enumerate(raw if isinstance(raw, list) else []):
        kind, rest, wrong = _named(entry, key="kind", table=STAGES, at=f"stages.{i}")
        if not wrong:
            settings, wrong = check_settings(STAGES[kind].settings, rest, at=f"stages.{i}")
            if settings is not None:
                stages.append(StageChoice(STAGES[kind], settings))
        faults += wrong
    return stages, faults
