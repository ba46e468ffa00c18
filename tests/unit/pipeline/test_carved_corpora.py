"""Which documents of a corpus are held out, and by which seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.core.progress import Silent
from hone.pipeline.corpora import read_corpora
from hone.pipeline.recipe import make_recipe


def test_a_stated_split_seed_holds_out_the_same_of_a_selection_whatever_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "all.txt").write_text("".join(f"document {i} of some words\n" for i in range(60)))
    (tmp_path / "like.txt").write_text("some words of a document\n")
    source = {"path": "all.txt", "parted": "lines", "select": {"like": "like.txt", "documents": 30}}
    held: dict[int | None, set[str]] = {}
    for split in (None, 5):
        for seed in (1, 2):
            values = {
                "version": 1,
                "seed": seed,
                "data": {"corpus": source, "split_seed": split},
                "stages": ["pretrain"],
            }
            recipe = make_recipe(values, folder=tmp_path)
            corpora, _ = read_corpora(recipe, recipe.stages, Silent())
            held.setdefault(split, set()).add(corpora["held_out"].rows.digest)
    assert {split: len(each) for split, each in held.items()} == {None: 2, 5: 1}


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, words: str) -> None:
        self.lines.append(words)


def test_a_source_too_small_to_hold_any_of_it_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "many.txt").write_text("".join(f"document {i}\n" for i in range(30)))
    (tmp_path / "one.txt").write_text("one alone\n")
    sources = {name: {"path": f"{name}.txt", "parted": "lines"} for name in ("many", "one")}
    values = {"version": 1, "data": {"corpus": {"sources": sources}}, "stages": ["pretrain"]}
    recipe, said = make_recipe(values, folder=tmp_path), Said()
    read_corpora(recipe, recipe.stages, said)
    assert [line for line in said.lines if "too few" in line and "one" in line and "many" not in line]
