"""The card of a corpus as tables, and how well the base's tokenizer fits documents that it did not learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hone.bundle.stage import CORPUS, HELD_OUT
from hone.core.measures import Measure
from hone.data.corpus.card import Card
from hone.data.corpus.corpus import Corpus
from hone.data.corpus.kinds import kinds_of
from hone.data.dataset import Dataset
from hone.models.tokenizer import load_tokenizer
from hone.models.tokenizer_quality import Quality, quality_on
from hone.report.report import Cell, Grid

UNREADABLE = {
    "data.binary": "binary_content",
    "data.folder": "folders",
    "data.encoding": "undecodable_lines",
    "data.long-line": "long_lines",
    "data.broken-json": "broken_json",
    "data.not-an-object": "no_objects",
    "data.duplicate-column": "double_keys",
}
HELD_OUT_TABLES = {"corpus": "held_out_corpus", "taken": "held_out_taken", "reading": "held_out_reading"}
KINDS_SHOWN = 40  # of a source
MEASURED_DOCUMENTS = 2000  # of a corpus or of what is held out, evenly spread
SOURCES = ["source", "files", "size_bytes", "documents_read", "documents", "characters"]
EPOCH = ["source", "share_of_epoch", "passes"]
KINDS = ["source", "kind", "documents", "characters", "share_of_epoch", "passes"]
TAKEN = ["what", "documents_seen", "taken_documents", "share", "characters"]
MEASURED = ["what", "lower_bound", "upper_bound", "p5", "median", "p95"]
SELECTED = ["source", "like_documents", "documents_seen", "documents", "effective_documents", "kl_before", "kl_after"]


def corpus_tables(corpus: Corpus) -> dict[str, Grid]:
    """The tables of a report on ``corpus``."""
    card, shares = corpus.card, corpus.shares
    read: list[list[Cell]] = [
        [read.name, read.files, read.bytes, read.documents, kept.documents, kept.characters]
        for read, kept in zip(card.read, card.kept, strict=True)
    ]
    tables = {"corpus": Grid(columns=SOURCES, rows=read)}
    if len(card.read) > 1:
        each = zip(card.read, shares.of_characters, shares.passes, strict=True)
        tables["epoch_of_corpus"] = Grid(columns=EPOCH, rows=[[part.name, share, times] for part, share, times in each])
    tables.update(_kinds(corpus))
    tables.update(_taken(card))
    selected: list[list[Cell]] = [
        [one.name, one.like, one.seen, one.documents, one.effective, one.before, one.after] for one in card.selected
    ]
    if selected:
        tables["selected"] = Grid(columns=SELECTED, rows=selected)
    left_out: list[list[Cell]] = [[UNREADABLE[code], count] for code, count in card.unreadable.items()]
    left_out += [["empty_files", card.empty_files]] if card.empty_files else []
    left_out += [["divided_documents", card.divided]] if card.divided else []
    if left_out:
        tables["reading"] = Grid(columns=["what", "count"], rows=left_out, names="words")
    return tables


def held_out_apart(held_out: Corpus | None, corpus: Corpus) -> Corpus | None:
    """Held-out text with files of its own; None where it is carved from ``corpus``, whose card then speaks of both."""
    return held_out if held_out is not None and held_out.settings is not corpus.settings else None


def held_out_tables(held_out: Corpus, *, leaked: int) -> dict[str, Grid]:
    """The same of held-out text, but for what only concerns an epoch.

    Args:
        leaked: How many of its documents stand in the corpus too.
    """
    found = corpus_tables(held_out)
    if leaked:
        rows: list[list[Cell]] = [*(found["reading"].rows if "reading" in found else []), ["in_the_corpus", leaked]]
        found["reading"] = Grid(columns=["what", "count"], rows=rows, names="words")
    return {title: found[name] for name, title in HELD_OUT_TABLES.items() if name in found}


def _kinds(corpus: Corpus) -> dict[str, Grid]:
    """The kinds that sources are sampled by, the largest of each first, and how often an epoch goes over them."""
    sizes = zip(corpus.sizes, corpus.shares.passes, strict=True)
    epoch = sum(size.characters * times for size, times in sizes) or 1.0
    rows: list[list[Cell]] = []
    for at, name in enumerate(corpus.settings.named()):
        kinds = kinds_of(corpus, at)
        if kinds is not None:
            documents = np.bincount(kinds.of, minlength=len(kinds.names))
            for kind in np.argsort(-kinds.characters, kind="stable")[:KINDS_SHOWN].tolist():
                characters, times = float(kinds.characters[kind]), float(kinds.passes[kind])
                share = characters * times / epoch
                rows.append([name, kinds.names[kind] or None, int(documents[kind]), int(characters), share, times])
    return {"kinds_of_corpus": Grid(columns=KINDS, rows=rows)} if rows else {}


def _taken(card: Card) -> dict[str, Grid]:
    """What each filter and the search for duplicates took, what it measured, and where the first one stood: three
    tables, for one would be wider than a terminal."""
    if not card.taken:
        return {}
    took: list[list[Cell]] = [
        [one.name, one.seen, one.documents, one.documents / max(1, one.seen), one.characters] for one in card.taken
    ]
    measured: list[list[Cell]] = [
        [one.name, one.min, one.max, one.low, one.median, one.high] for one in card.taken if one.median is not None
    ]
    first: list[list[Cell]] = [[one.name, one.example] for one in card.taken if one.example]
    tables = {"taken": Grid(columns=TAKEN, rows=took, names="words")}
    if measured:
        tables["measured"] = Grid(columns=MEASURED, rows=measured, names="words")
    if first:
        tables["first_taken"] = Grid(columns=["what", "first_place"], rows=first, names="words")
    return tables


def tokenizer_measures(folder: Path, held_out: Dataset) -> list[Measure]:
    """Tokens a word and a character, unknown tokens, covered characters and the used part of the vocabulary, of the
    tokenizer in ``folder`` on documents held out; of at most `MEASURED_DOCUMENTS`."""
    found = _quality(folder, held_out)
    none = "there is no word" if not found.words else ""
    return [
        Measure(name="fertility", value=found.fertility, reason=none, n=found.words, unit="", better="lower"),
        Measure(name="tokens_per_character", value=found.tokens_per_character, reason=none, n=found.characters, unit="",
                better="lower"),
        Measure(name="unknown_share", value=found.unknown, reason=none, n=found.tokens, better="lower", slice=HELD_OUT),
        Measure(name="coverage", value=found.coverage, reason=none, n=found.characters, better="higher"),
        Measure(name="vocabulary_used", value=found.used, n=found.tokens, better="higher"),
    ]  # fmt: skip


def corpus_unknown(folder: Path, corpus: Dataset) -> Measure:
    """The share of unknown tokens, of documents that are learned; of at most `MEASURED_DOCUMENTS`."""
    found = _quality(folder, corpus)
    none = "" if found.tokens else "there is no token"
    return Measure(name="unknown_share", value=found.unknown, reason=none, n=found.tokens, better="lower", slice=CORPUS)


def _quality(folder: Path, documents: Dataset) -> Quality:
    every = max(1, -(-len(documents) // MEASURED_DOCUMENTS))
    texts = (documents.value("text", row) for row in range(0, len(documents), every))
    return quality_on(load_tokenizer(folder), texts)
