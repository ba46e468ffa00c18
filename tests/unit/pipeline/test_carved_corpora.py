"""What is taken of a corpus to measure by is said, and of which sources it is more than was asked for, or nothing."""

from __future__ import annotations

from pathlib import Path

from small_recipes import Said

from hone.pipeline.corpora import read_corpora
from hone.pipeline.recipe import make_recipe


def test_sources_that_cannot_keep_to_the_share_are_named(tmp_path: Path) -> None:
    for name, count in {"large": 300, "two": 2, "one": 1}.items():
        texts = [f"{name} text of number {i}" for i in range(count)]
        (tmp_path / f"{name}.txt").write_text("\n\n".join(texts), encoding="utf-8")
    sources = {name: {"path": f"{name}.txt"} for name in ("large", "two", "one")}
    recipe = make_recipe({"version": 1, "base": "minilm", "data": {"corpus": {"sources": sources}},
                          "stages": ["pretrain"]}, folder=tmp_path)  # fmt: skip
    told = Said()
    corpora, _ = read_corpora(recipe, recipe.stages, told)
    taken = [size.documents for size in corpora["held_out"].sizes]
    assert taken[1:] == [1, 0]
    assert any(one.startswith("too few documents to hold any of them out: one;") for one in told.words)
    assert any("was taken: two 50%" in one and "large" not in one for one in told.words)
