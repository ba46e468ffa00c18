"""YAML as recipes use it."""

from __future__ import annotations

from typing import Any

import pytest

from hone.core.errors import RecipeError
from hone.pipeline.yaml_file import parse_value, parse_yaml, to_yaml

RECIPE = """\
# a comment
version: 1
data:
  train: a.jsonl
  test:
    path: b.csv

stages:
  - evaluate
  - kind: finetune
    learning_rate: 3e-4
"""


def refused(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_yaml(text, file="r.yaml")
    assert "r.yaml" in str(caught.value)
    return caught.value


def test_every_key_has_its_line() -> None:
    _, lines = parse_yaml(RECIPE, file="r.yaml")
    assert lines == {
        ("version",): 2,
        ("data",): 3,
        ("data", "train"): 4,
        ("data", "test"): 5,
        ("data", "test", "path"): 6,
        ("stages",): 8,
        ("stages", "0"): 9,
        ("stages", "1"): 10,
        ("stages", "1", "kind"): 10,
        ("stages", "1", "learning_rate"): 11,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("-1E+3", -1000.0),
        ("2.5e1", 25.0),
        ("3e", "3e"),
        ("e4", "e4"),
        ("12", 12),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("no", "no"),
        ("Yes", "Yes"),
        ("null", None),
        ("", None),
        ("[a, 1e2]", ["a", 100.0]),
        ('"3e-4"', "3e-4"),
    ],
)
def test_values_mean_what_people_mean(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_the_bare_words_on_and_no_are_keys_and_values() -> None:
    values, _ = parse_yaml("on: validation\neval_strategy: no\n", file="r.yaml")
    assert values == {"on": "validation", "eval_strategy": "no"}


def test_every_key_that_stands_twice_is_told_with_its_line() -> None:
    error = refused("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert error.code == "recipe.duplicate-key"
    assert [(fault.field, fault.line, fault.file) for fault in error.faults] == [
        ("b.c", 4, "r.yaml"),
        ("a", 5, "r.yaml"),
    ]


@pytest.mark.parametrize("text", ["", "just words", "- a\n- b\n", "1", "# nothing but a comment"])
def test_what_is_no_mapping_is_no_recipe(text: str) -> None:
    assert refused(text).code == "recipe.not-a-mapping"


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: c: d\n", 2), ("a: [1,\n", 2), ("a:\n\t- b\n", 2), ("a: !!python/object:os.system x", 1),
     ("? [a]\n: 1", 1), ("a: 1\n---\nb: 2\n", 2), ("a: *nowhere", 1)],
)  # fmt: skip
def test_what_is_not_yaml_is_told_with_its_line(text: str, line: int) -> None:
    error = refused(text)
    assert error.code == "recipe.not-yaml"
    assert f"r.yaml:{line}" in str(error)


@pytest.mark.parametrize(
    "text", ["a: \0", "a: 2024-99-99", "a: !!int x", "a: &x [*x]", "a: " + "[" * 1200],
    ids=["control", "date", "tag", "circle", "deep"],
)  # fmt: skip
def test_values_that_cannot_be_read_are_told(text: str) -> None:
    assert refused(text).code == "recipe.not-yaml"


@pytest.mark.parametrize("text", ["[1", "a: b: c", "2024-99-99", "\0"])
def test_a_value_that_is_not_yaml_is_told(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_value(text)
    assert caught.value.code == "recipe.not-yaml"
    assert repr(text) in str(caught.value)


def test_what_is_written_is_read_back_in_its_order() -> None:
    values = {
        "z": 1,
        "a": {"rate": 3e-4, "tiny": 1e-8, "whole": 3.0, "none": None, "no": False, "empty": [], "deep": [{"x": "é的"}]},
        "words": ["3e4", "on", "no", "null", "1", "1.5", "true", "", " padded ", "a: b", "#x", "two\nlines"],
        "day": "2024-01-01",
    }  # fmt: skip
    read, _ = parse_yaml(to_yaml(values), file="r.yaml")
    assert read == values
    assert list(read) == list(values)
