"""YAML as recipes use it: every key with its line, no key twice, ``3e-4`` a number, ``on`` and ``no`` words."""

from __future__ import annotations

import re
from typing import Any

import yaml

from hone.core.errors import Fault, RecipeError

Path = tuple[str, ...]


_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
# YAML 1.1 takes 3e-4 for a text; everybody who writes a learning rate means a number.
_NUMBER = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+$")
# What PyYAML raises for a date such as 2024-99-99, an anchor that holds itself, brackets thousands deep.
_UNREADABLE = (ValueError, RecursionError)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's truth values: 1.1 takes the bare words on, off, yes and no for some, and ``on`` is a setting."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != _BOOL]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Dumper(yaml.SafeDumper):
    """Quotes what any reader, this one included, would take for something else than a text."""


_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_FLOAT, _NUMBER, list("-+0123456789"))


def parse_yaml(text: str, *, file: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """The values of a YAML mapping, and the 1-based line of each key by its path.

    Raises:
        RecipeError: It is no YAML, no mapping, or has a key twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise RecipeError(
                f"{file} holds no recipe", expected="keys and values in YAML", code="recipe.not-a-mapping"
            )
        lines: dict[Path, int] = {}
        faults: list[Fault] = []
        _walk(node, (), lines, faults, file)
        if faults:
            raise RecipeError(f"{file} cannot be used", faults=faults, code="recipe.duplicate-key")
        values: dict[str, Any] = loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or error
        raise RecipeError(f"{file}{place} is not YAML: {problem}", code="recipe.not-yaml") from error
    except _UNREADABLE as error:
        raise RecipeError(f"{file} holds a value that cannot be read: {error}", code="recipe.not-yaml") from error
    finally:
        if loader is not None:
            loader.dispose()
    return values, lines


def parse_value(text: str) -> Any:
    """One YAML value, as the command line gives it (``3e-4``, ``[a, b]``, ``true``)."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, *_UNREADABLE) as error:
        quoted = "'" + text.replace("'", "''") + "'"
        raise RecipeError(
            f"found the value {text!r}",
            expected="a YAML value",
            fix=f"If it is a text, give it quotes of its own: {quoted}",
            code="recipe.not-yaml",
        ) from error


def to_yaml(values: dict[str, Any]) -> str:
    """YAML of plain values, in their order."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], faults: list[Fault], file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                faults.append(
                    Fault(
                        "recipe.duplicate-key",
                        f"the key {key.value!r} twice",
                        "each key once",
                        file=file,
                        line=key.start_mark.line + 1,
                        field=".".join(here),
                    )
                )
            lines[here] = key.start_mark.line + 1
            _walk(value, here, lines, faults, file)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            lines[(*path, str(i))] = value.start_mark.line + 1
            _walk(value, (*path, str(i)), lines, faults, file)
