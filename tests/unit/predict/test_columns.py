"""What predict takes, and what it says of anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hone.core.errors import DataError
from hone.data.fields import Field
from hone.predict.given import columns_of

TEXT = ((Field("text", "text"),),)
TOKENS = ((Field("tokens", "tokens"),), (Field("text", "text"),))
PAIR = ((Field("text", "text"), Field("other", "text")),)


@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ("one", ["one"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        ((word for word in "ab"), ["a", "b"]),
        (pd.Series(["a", "b"], index=[7, 3]), ["a", "b"]),
        (np.array(["a", "b"]), ["a", "b"]),
        ([{"text": "a", "id": 1}, {"text": "b"}], ["a", "b"]),
        ({"text": "a", "id": 1}, ["a"]),
        (pd.DataFrame({"id": [1, 2], "text": ["a", "b"]}), ["a", "b"]),
        ([], []),
        (pd.DataFrame({"text": []}), []),
        (pd.Series([], dtype=str), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_texts_in_every_form_are_the_same_texts(inputs: Any, texts: list[str]) -> None:
    assert columns_of(inputs, TEXT) == {"text": texts}


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        ("Ada is here", {"text": ["Ada is here"]}),
        (["Ada is here"], {"text": ["Ada is here"]}),
        ([["Ada", "is"], []], {"tokens": [["Ada", "is"], []]}),
        ([("Ada", "is")], {"tokens": [("Ada", "is")]}),
        (pd.Series([["Ada"], ["is"]]), {"tokens": [["Ada"], ["is"]]}),
        ([{"tokens": ["Ada"]}], {"tokens": [["Ada"]]}),
        ({"tokens": ["Ada", "is"]}, {"tokens": [["Ada", "is"]]}),
        ([{"text": "Ada"}], {"text": ["Ada"]}),
        ([{"text": "Ada", "tokens": ["Ada"]}], {"tokens": [["Ada"]]}),
        (pd.DataFrame({"text": ["Ada"]}), {"text": ["Ada"]}),
        ([], {"tokens": []}),
    ],
    ids=str,
)
def test_tagging_takes_tokens_and_texts(inputs: Any, columns: dict[str, Any]) -> None:
    assert columns_of(inputs, TOKENS) == columns


def test_a_task_of_two_inputs_takes_objects_and_tables() -> None:
    expected = {"text": ["a", "c"], "other": ["b", "d"]}
    assert columns_of([{"text": "a", "other": "b"}, {"text": "c", "other": "d"}], PAIR) == expected
    assert columns_of(pd.DataFrame(expected), PAIR) == expected


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        (None, "NoneType"),
        (5, "int"),
        (b"bytes", "bytes"),
        ({"a"}, "set"),
        (["fine", "half \ud83d"], "row 2 has text"),
        ([1], "int 1 in row 1"),
        (["a", None], "NoneType None in row 2"),
        (["a", "b", ["c"]], "list ['c'] in row 3"),
        ([{"text": "a"}, "b"], "str 'b' in row 2"),
        (pd.Series(["a", float("nan")]), "float nan in row 2"),
        ([{"text": "a"}, {"text": 5}], "row 2 has text 5"),
        ({"text": ["a", "b"]}, "row 1 has text"),
        (pd.DataFrame({"text": ["a", None]}), "row 2 has text"),
        ([["a", "b"]], "list ['a', 'b'] in row 1"),
    ],
    ids=str,
)
def test_the_first_input_of_the_wrong_kind_is_named(inputs: Any, named: str) -> None:
    with pytest.raises(DataError) as caught:
        columns_of(inputs, TEXT)
    assert caught.value.code == "data.input-kind"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "named"),
    [([["a", 5]], "row 1 has tokens"), ([["a"], "b"], "in row 2"), ([{"tokens": "Ada"}], "row 1 has tokens")],
)
def test_tokens_of_the_wrong_kind_are_named(inputs: Any, named: str) -> None:
    with pytest.raises(DataError) as caught:
        columns_of(inputs, TOKENS)
    assert caught.value.code == "data.input-kind"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ([{"body": "a", "id": 1}], "body, id in row 1"),
        ([{"text": "a"}, {}, {"text": "b"}], "none in row 2"),
        ({}, "none in row 1"),
        (pd.DataFrame({"body": ["a"]}), "body"),
        (pd.DataFrame(), "none"),
        (pd.DataFrame([["a", "b", 1]], columns=["text", "text", "id"]), "id"),
    ],
    ids=str,
)
def test_a_missing_input_is_named_with_what_is_there(inputs: Any, named: str) -> None:
    with pytest.raises(DataError) as caught:
        columns_of(inputs, TEXT)
    assert caught.value.code == "data.input-missing"
    assert named in str(caught.value)
    assert "Expected text." in str(caught.value)


def test_the_row_that_comes_furthest_is_blamed() -> None:
    with pytest.raises(DataError) as caught:
        columns_of([{"text": "a"}, {"body": "b"}], TOKENS)
    assert caught.value.code == "data.input-missing"
    assert "body in row 2" in str(caught.value)
    assert "tokens or text" in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (TOKENS, "texts or token lists or objects with tokens or text, all of one kind"),
        (((Field("turns", "turns"),), (Field("messages", "turns"),)), "objects with turns or messages"),
    ],
)
def test_what_is_of_no_kind_is_told_those_that_the_task_takes(choices: Any, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        columns_of(["a", 3], choices)
    assert caught.value.expected == expected


class Series:
    """What of a polars Series is asked for: it has no ``tolist``, and gives lists within it as Series."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Any]:
        return (Series(one) if isinstance(one, list) else one for one in self.values)

    def to_list(self) -> list[Any]:
        return self.values


class Frame:
    """What of a polars DataFrame is asked for: its ``columns`` are a list."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self.data, self.columns = data, list(data)

    def __getitem__(self, name: str) -> Series:
        return Series(self.data[name])

    def to_dict(self) -> dict[str, Series]:
        return {name: self[name] for name in self.columns}


@pytest.mark.parametrize("choice", [{"text": ["a", "b"]}, {"tokens": [["a", "b"], ["c"]]}])
def test_a_frame_whose_columns_are_a_list_is_read_as_others(choice: dict[str, list[Any]]) -> None:
    kind = "text" if "text" in choice else "tokens"
    found = columns_of(Frame({"id": [1, 2], **choice}), TEXT if kind == "text" else TOKENS)
    assert found == choice
