"""``KEY=VALUE`` arguments of the commands of one stage: settings of the stage, or of the task, as nested values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hone.core.errors import RecipeError
from hone.pipeline.overrides import NAMED
from hone.pipeline.yaml_file import parse_value


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


def beside(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a stage that its command's own arguments give, and those of ``key=value`` arguments.

    Raises:
        RecipeError: Something is given by both.
    """
    for key, value in options.items():
        section, _, inner = key.partition(".")
        named = settings.get(section)
        twice = [each for each in (key, f"{key}.name") if each in settings]
        if not twice and inner and isinstance(named, dict) and inner in named:
            twice = [section]
        if twice:
            raise RecipeError(
                f"found {twice[0]}={settings[twice[0]]}, and {key} is {value} by an argument of the command",
                expected=f"{key} once",
                fix=f"Leave out {twice[0]}=..., or the argument.",
                code="recipe.override",
            )
    return {**options, **settings}


def nested(settings: Mapping[str, Any], *, within: str = "") -> dict[str, Any]:
    """``section.KEY`` settings as one mapping a section, whatever else of it is given: ``method=lora method.r=4``.

    Args:
        within: Where the settings stand, such as ``joint.``; of faults.

    Raises:
        RecipeError: A section is given as a single value, too.
    """
    rest: dict[str, Any] = {key: value for key, value in settings.items() if "." not in key}
    sections: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, dot, inner = key.partition(".")
        if dot:
            sections.setdefault(section, {})[inner] = value
    for section, own in sections.items():
        named = rest.get(section, {})
        if isinstance(named, str) and section in NAMED:
            named = {"name": named}
        if not isinstance(named, dict):
            at = f"{within}{section}"
            raise RecipeError(
                f"found {at}.{next(iter(own))} beside {at}={named}",
                expected=f"{at}.KEY=VALUE alone, or {at}={{KEY: VALUE, ...}}",
                code="recipe.override",
            )
        deeper = {key.partition(".")[0] for key in own if "." in key}
        given = {key: named[key] for key in deeper & named.keys()}  # what keys further in add to
        rest[section] = {**named, **nested({**given, **own}, within=f"{within}{section}.")}
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
