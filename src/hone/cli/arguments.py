"""``KEY=VALUE`` arguments of the commands of one stage: settings of the stage, or of the task, as nested values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.core.errors import RecipeError
from hone.pipeline.yaml_file import parse_value

NAMED = ("method", "loss", "objective")  # settings whose bare name is short for {name: ...}


def settings_of(overrides: Sequence[str], stage: str) -> dict[str, Any]:
    """Settings of ``stage`` from ``key=value`` arguments; a bundle's task is settled."""
    chosen, settings = split_arguments(overrides)
    if chosen:
        raise RecipeError(
            f"found settings of the task: {', '.join(chosen)}",
            expected=f"settings of {stage} alone",
            fix="A bundle's task is settled; fine-tune another one.",
            code="recipe.override",
        )
    return settings


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``section.KEY`` settings as one mapping a section, whatever else of it is given: ``method=lora method.r=4``."""
    rest: dict[str, Any] = {key: value for key, value in settings.items() if "." not in key}
    within: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, dot, inner = key.partition(".")
        if dot:
            within.setdefault(section, {})[inner] = value
    for section, own in within.items():
        named = rest.get(section, {})
        if isinstance(named, str) and section in NAMED:
            named = {"name": named}
        if not isinstance(named, dict):
            raise RecipeError(
                f"found {section}.{next(iter(own))} beside {section}={named}",
                expected=f"{section}.KEY=VALUE alone, or {section}={{KEY: VALUE, ...}}",
                code="recipe.override",
            )
        rest[section] = {**named, **nested(own)}
    return rest


def split_arguments(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``task.key=value`` and ``key=value`` arguments, apart."""
    task: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise RecipeError(f"found the argument {text!r}", expected="key=value", code="recipe.override")
        (task if key.startswith("task.") else stage)[key.removeprefix("task.")] = parse_value(value)
    return task, stage
