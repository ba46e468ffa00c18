"""A recipe with a corpus is inspected with its card, in words that both catalogs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hone
from hone.pipeline.recipe import load_recipe
from hone.report.catalog import CATALOGS


def run(folder: Path, texts: dict[str, Path], base: Path, **corpus: Any) -> hone.Result:
    (folder / "a.txt").write_bytes(b"a text of some length\nshort\nbroken \xff\nanother text of some length\n")
    (folder / "b.txt").write_text("b\n" * 60)
    values = {
        "version": 1,
        "task": "text-classification",
        "base": str(base),
        "data": {"train": str(texts["train"]), "corpus": {"parted": "lines", **corpus}},
        "stages": ["inspect"],
    }
    return hone.run(values, out=folder / "run")


def test_the_card_of_a_corpus_is_in_the_report(tmp_path: Path, texts: dict[str, Path], tiny_base: Path) -> None:
    path = [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]
    filters = [{"name": "characters", "min": 8}]
    result = run(tmp_path, texts, tiny_base, path=path, unreadable="skip", filters=filters)
    report = result.reports["inspect"]
    corpus, taken = report.tables["corpus"], report.tables["taken"]
    assert dict(zip(corpus.columns, corpus.rows[0], strict=True))["documents"] == 2
    assert [row[:3] for row in taken.rows] == [["characters", 63, 61], ["exact_duplicates", 2, 0]]
    assert report.tables["reading"].rows == [["undecodable_lines", 1]]
    assert any("a.txt:3" in warning for warning in report.warnings)
    for table in ("corpus", "taken", "reading"):
        grid = report.tables[table]
        names = {table, *grid.columns, *(str(row[0]) for row in grid.rows if grid.names == "words")}
        assert all(names <= set(catalog) for catalog in CATALOGS.values())
    again = load_recipe(result.out / "recipe.yaml")
    assert again.corpus is not None
    assert again.corpus.path == path
