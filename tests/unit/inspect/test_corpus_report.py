"""A recipe with a corpus is inspected with its card, in words that both catalogs have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import hone
from hone.cli.main import app
from hone.core.errors import DataError
from hone.data.corpus.corpus import open_corpus
from hone.data.corpus.settings import CorpusSettings
from hone.data.dataset import Dataset
from hone.inspect.corpus import corpus_tables, tokenizer_measures
from hone.models.base import digest_base
from hone.models.tokenizer import load_tokenizer
from hone.pipeline.recipe import load_recipe
from hone.report.catalog import CATALOGS, Language
from hone.report.console import to_text
from hone.report.report import Report
from hone.report.visible import text_width


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
    for table in ("corpus", "taken", "measured", "first_taken", "reading"):
        grid = report.tables[table]
        names = {table, *grid.columns, *(str(row[0]) for row in grid.rows if grid.names == "words")}
        assert all(names <= set(catalog) for catalog in CATALOGS.values())
    again = load_recipe(result.out / "recipe.yaml").corpora["corpus"]
    assert again is not None
    assert again.path == path


def test_a_recipe_that_only_pretrains_is_inspected_with_its_tokenizer(tmp_path: Path) -> None:
    texts = [f"document {i} about words that come again and again" for i in range(60)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    (tmp_path / "b.yaml").write_text(
        """
version: 1
base: {architecture: bert, layers: 1, hidden: 8, heads: 2, tokenizer: {kind: unigram, vocab_size: 120}}
data: {corpus: {path: a.txt, parted: lines}}
stages: [pretrain]
"""
    )
    found = CliRunner().invoke(app, ["inspect", str(tmp_path / "b.yaml"), "--json"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    measures = {measure["name"]: measure["value"] for measure in report["measures"]}
    assert set(measures) == {"fertility", "tokens_per_character", "unknown_share", "coverage", "vocabulary_used"}
    assert measures["coverage"] > 0.9
    assert report["tables"]["corpus"]["rows"][0][4] == 60
    assert all(set(measures) <= set(catalog) for catalog in CATALOGS.values())


@pytest.mark.parametrize("held_out", ["none", "low.txt"])
def test_a_corpus_that_the_base_does_not_know_is_told_whatever_is_held_out(
    held_out: str, tmp_path: Path, tiny_base: Path
) -> None:
    (tmp_path / "zh.txt").write_text("\n".join(f"银行卡丢失 low {'卡' * i}" for i in range(20)), encoding="utf-8")
    (tmp_path / "low.txt").write_text("\n".join(f"low {'low ' * i}" for i in range(20)))
    held = held_out if held_out == "none" else {"path": str(tmp_path / held_out), "parted": "lines"}
    recipe = {
        "version": 1,
        "base": str(tiny_base),
        "data": {"corpus": {"path": str(tmp_path / "zh.txt"), "parted": "lines"}, "held_out": held},
        "stages": [{"kind": "pretrain", "max_steps": 1}],
    }
    report = hone.run(recipe, out=tmp_path / "run").reports["inspect"]
    [warning] = [one for one in report.warnings if "LANGUAGE" in one]
    assert "(Corpus)" in warning
    assert "held out" not in warning


def test_a_base_may_be_extended_by_words_of_the_corpus(tmp_path: Path, tiny_base: Path) -> None:
    texts = [f"lowtide number {i} and newlow" for i in range(30)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    values = {
        "version": 1,
        "base": {"extends": str(tiny_base), "new_tokens": 2},
        "data": {"corpus": {"path": str(tmp_path / "a.txt"), "parted": "lines"}},
        "stages": [{"kind": "pretrain", "max_steps": 1}],
    }
    bundle = hone.run(values, out=tmp_path / "run").bundle
    assert bundle is not None
    made = bundle.manifest.lineage.recipe["base"]
    assert (made["extends"], made["new_tokens"]) == (digest_base(tiny_base), 2)
    old, new = load_tokenizer(tiny_base), load_tokenizer(bundle.path)
    assert new.vocab_size == old.vocab_size + 2
    assert len(new.encode(["lowtide"])[0]) == 1


def test_no_more_held_out_documents_are_measured_than_said(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.inspect.corpus.MEASURED_DOCUMENTS", 2)
    held_out = Dataset.from_columns("held_out", {"text": ["a", "bc", "def"]})
    measures = {one.name: one for one in tokenizer_measures(tiny_base, held_out)}
    assert measures["coverage"].n == len("a" + "def")


def test_the_kinds_that_a_corpus_is_sampled_by_are_told(tmp_path: Path) -> None:
    kinds = ["common"] * 9 + ["rare"]
    rows = [{"text": f"line {i} of ten lines", "lang": kind} for i, kind in enumerate(kinds)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"path": "a.jsonl", "sampling": {"by": "lang", "power": 0.5}}
    corpus = open_corpus(CorpusSettings.model_validate(values), base=tmp_path, cache=tmp_path / "cache")
    grid = corpus_tables(corpus)["kinds_of_corpus"]
    assert [row[:4] for row in grid.rows] == [["corpus", "common", 9, 171], ["corpus", "rare", 1, 19]]
    (one, common), (other, rare) = (row[4:] for row in grid.rows)
    assert one + other == pytest.approx(1)  # type: ignore[operator]
    assert rare / common == pytest.approx(3)  # type: ignore[operator]
    without = open_corpus(CorpusSettings(path="a.jsonl"), base=tmp_path, cache=tmp_path / "cache")
    assert "kinds_of_corpus" not in corpus_tables(without)
    assert all({"kinds_of_corpus", *grid.columns} <= set(catalog) for catalog in CATALOGS.values())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_tables_of_a_corpus_fit_a_terminal_of_80_columns(tmp_path: Path, language: Language) -> None:
    lines = [f"line {i} of a text that is neither short nor long, and has some words" for i in range(1200)]
    (tmp_path / "a.txt").write_text("\n".join(lines + ["short"] * 9))
    (tmp_path / "b.txt").write_text("\n".join(lines[:50]))
    filters = [
        "letters",
        "word-length",
        "symbols",
        "repeated-lines",
        "repeated-ngrams",
        "replacement",
        {"name": "characters", "min": 9},
    ]
    sources = {"reports": {"path": "a.txt", "parted": "lines"}, "general": {"path": "b.txt", "parted": "lines"}}
    sources["reports"] |= {"select": {"like": "b.txt", "share": 0.5}}  # type: ignore[dict-item]
    settings = CorpusSettings.model_validate({"sources": sources, "filters": filters, "duplicates": "drop-near"})
    corpus = open_corpus(settings, base=tmp_path, cache=tmp_path / "cache")
    report = Report(stage="inspect", tables=corpus_tables(corpus))
    shown = to_text(report, language=language)
    assert max(map(text_width, shown.splitlines())) <= 80
    assert shown.count("\n\n") == len(report.tables) - 1  # each of them is shown
    assert {"taken", "measured", "selected", "epoch_of_corpus"} <= report.tables.keys()


def test_what_held_out_text_and_the_domain_lack_is_told_too(tmp_path: Path, tiny_base: Path, listener: Any) -> None:
    (tmp_path / "a.txt").write_text("".join(f"document {i} of some words\n" for i in range(40)))
    (tmp_path / "like.txt").write_bytes(b"words of a document\nbroken \xff\n")
    (tmp_path / "held.txt").write_bytes(b"one text\none text\nbroken \xff\nbroken \xfe\n")
    read = {"parted": "lines", "unreadable": "skip"}
    select = {"like": str(tmp_path / "like.txt"), "documents": 20}
    values = {
        "version": 1,
        "base": str(tiny_base),
        "data": {"corpus": {"path": str(tmp_path / "a.txt"), **read, "select": select},
                 "held_out": {"path": str(tmp_path / "held.txt"), **read}},
        "stages": ["inspect", {"kind": "pretrain", "max_steps": 1}],
    }  # fmt: skip
    said = listener()
    report = hone.run(values, out=tmp_path / "run", progress=said).reports["inspect"]
    for name in ("like.txt:2", "held.txt:3"):
        assert any(name in warning for warning in report.warnings)
        assert any(name in line for line in said.words)
    assert len([line for line in said.words if "left out" in line]) == 2
    assert report.tables["held_out_reading"].rows == [["undecodable_lines", 2]]
    assert [row[:3] for row in report.tables["held_out_taken"].rows] == [["exact_duplicates", 2, 1]]
    assert report.tables["held_out_corpus"].rows[0][3:5] == [2, 1]
    assert all(set(report.tables) <= set(catalog) for catalog in CATALOGS.values())


def test_what_is_carved_from_the_corpus_is_on_its_card_alone(tmp_path: Path, tiny_base: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"".join(b"document %d of some words\n" % i for i in range(40)) + b"broken \xff\n")
    values = {
        "version": 1,
        "base": str(tiny_base),
        "data": {"corpus": {"path": str(tmp_path / "a.txt"), "parted": "lines", "unreadable": "skip"}},
        "stages": ["inspect", {"kind": "pretrain", "max_steps": 1}],
    }
    report = hone.run(values, out=tmp_path / "run").reports["inspect"]
    assert len([warning for warning in report.warnings if "a.txt:41" in warning]) == 1
    assert not any(name.startswith("held_out_") for name in report.tables)


def test_held_out_documents_that_stand_in_the_corpus_are_told_and_taken_from_it_where_asked(
    tmp_path: Path, tiny_base: Path, listener: Any
) -> None:
    texts = [f"document {i} of some words" for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "held.txt").write_text("\n".join(["another text", *texts[:3]]), encoding="utf-8")
    values = {
        "version": 1,
        "base": str(tiny_base),
        "data": {"corpus": {"path": str(tmp_path / "a.txt"), "parted": "lines"},
                 "held_out": {"path": str(tmp_path / "held.txt"), "parted": "lines"}},
        "stages": ["inspect", {"kind": "pretrain", "max_steps": 1}],
    }  # fmt: skip
    with_them = hone.run(values, out=tmp_path / "with")
    report = with_them.reports["inspect"]
    assert report.tables["held_out_reading"].rows == [["in_the_corpus", 3]]
    [warning] = report.warnings
    assert "held.txt:2" in warning
    assert "drop: [leaked]" in warning
    assert with_them.reports["pretrain"].facts["rows"] == 40
    said = listener()
    values["data"]["drop"] = ["leaked"]  # type: ignore[index]
    without = hone.run(values, out=tmp_path / "without", progress=said)
    report = without.reports["inspect"]
    assert "dropped 3 of 40 documents of the corpus, which stand in held_out too" in said.words
    assert (report.warnings, "held_out_reading" in report.tables) == ([], False)
    assert ["leaked", 40, 3] in [row[:3] for row in report.tables["taken"].rows]
    assert report.tables["corpus"].rows[0][3:5] == [40, 37]
    assert without.reports["pretrain"].facts["rows"] == 37
    assert all({"leaked", "in_the_corpus"} <= set(catalog) for catalog in CATALOGS.values())


def test_a_corpus_that_is_held_out_as_a_whole_cannot_be_taken_away(tmp_path: Path, tiny_base: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    path = str(tmp_path / "a.txt")
    values = {"version": 1, "base": str(tiny_base), "stages": ["pretrain"],
              "data": {"corpus": path, "held_out": path, "drop": ["leaked"]}}  # fmt: skip
    with pytest.raises(DataError) as caught:
        hone.run(values, out=tmp_path / "run")
    assert caught.value.code == "data.empty"
    assert "held_out" in caught.value.fix
