"""The card of a corpus as tables: what was read, what each filter took, what cannot be read."""

from __future__ import annotations

from hone.data.corpus.corpus import Corpus
from hone.report.report import Cell, Grid

UNREADABLE = {
    "data.binary": "binary_content",
    "data.encoding": "undecodable_lines",
    "data.long-line": "long_lines",
    "data.broken-json": "broken_json",
    "data.not-an-object": "no_objects",
    "data.duplicate-column": "double_keys",
}
SOURCES = ["source", "files", "size_bytes", "documents_read", "documents", "characters", "share_of_epoch", "passes"]
TAKEN = ["what", "documents_seen", "taken_documents", "share", "characters", "lower_bound", "upper_bound",
         "p5", "median", "p95", "first_place"]  # fmt: skip


def corpus_tables(corpus: Corpus) -> dict[str, Grid]:
    """The tables of a report on ``corpus``."""
    card, shares = corpus.card, corpus.shares
    rows: list[list[Cell]] = [
        [read.name, read.files, read.bytes, read.documents, kept.documents, kept.characters, share, passes]
        for read, kept, share, passes in zip(card.read, card.kept, shares.of_characters, shares.passes, strict=True)
    ]
    tables = {"corpus": Grid(columns=SOURCES, rows=rows)}
    taken: list[list[Cell]] = [
        [one.name, one.seen, one.documents, one.documents / max(1, one.seen), one.characters,
         one.min, one.max, one.low, one.median, one.high, one.example]
        for one in card.taken
    ]  # fmt: skip
    if taken:
        tables["taken"] = Grid(columns=TAKEN, rows=taken, names="words")
    left_out: list[list[Cell]] = [[UNREADABLE[code], count] for code, count in card.unreadable.items()]
    left_out += [["empty_files", card.empty_files]] if card.empty_files else []
    left_out += [["divided_documents", card.divided]] if card.divided else []
    if left_out:
        tables["reading"] = Grid(columns=["what", "count"], rows=left_out, names="words")
    return tables
