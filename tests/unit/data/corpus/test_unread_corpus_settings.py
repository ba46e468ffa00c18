"""Settings of a corpus that nothing would read are refused, and so are those of an epoch in text that is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.data.corpus.settings import CorpusSettings
from hone.pipeline.recipe import make_recipe

TWO: dict[str, Any] = {"a": {"path": "a.txt"}, "b": {"path": "b.txt"}}
SHARED: dict[str, Any] = {"a": {"path": "a.txt"}, "b": {"path": "b.txt", "share": 0.3}}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"path": "a.txt", "near": 0.7}, "duplicates drop-near, which alone reads near"),
        ({"path": "a.txt", "duplicates": "keep", "shingle": 3, "near": 0.7}, "near, shingle"),
        ({"path": "a.txt", "temperature": 2.0}, "several sources without a share"),
        ({"sources": SHARED, "temperature": 2.0}, "several sources without a share"),
    ],
)
def test_what_nothing_reads_is_refused(values: dict[str, Any], named: str) -> None:
    settings, [fault] = check_settings(CorpusSettings, values, at="data.corpus")
    assert settings is None
    assert named in fault.expected


@pytest.mark.parametrize(
    "values",
    [
        {"path": "a.txt", "duplicates": "drop-near", "near": 0.7, "shingle": 3},
        {"sources": TWO, "temperature": 2.0},
        {"path": "a.txt", "near": 0.8, "temperature": 1.0},  # as a decided recipe states it
    ],
)
def test_what_something_reads_is_taken(values: dict[str, Any]) -> None:
    assert check_settings(CorpusSettings, values)[1] == []


@pytest.mark.parametrize(
    ("held_out", "field", "named"),
    [
        ({"path": "b.jsonl", "sampling": {"by": "lang"}}, "data.held_out", "sampling"),
        ({"path": "b.txt", "shuffle_buffer": 9}, "data.held_out", "shuffle_buffer"),
        ({"sources": TWO, "temperature": 2.0}, "data.held_out", "temperature"),
        ({"sources": SHARED}, "data.held_out.sources.b", "share"),
    ],
)
def test_settings_of_an_epoch_are_none_of_what_is_held_out(
    held_out: dict[str, Any], field: str, named: str, tmp_path: Path
) -> None:
    values = {"version": 1, "data": {"corpus": held_out}, "stages": ["pretrain"]}
    assert make_recipe(values, folder=tmp_path).corpora["corpus"] is not None
    values["data"] = {"corpus": "a.txt", "held_out": held_out}
    with pytest.raises(RecipeError) as caught:
        make_recipe(values, folder=tmp_path)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [("recipe.unread", field)]
    assert named in caught.value.faults[0].expected
