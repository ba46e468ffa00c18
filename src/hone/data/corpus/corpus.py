"""`open_corpus`: many files become one corpus of documents, read once, kept in the cache, memory-mapped ever after."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hone.core.errors import DataError
from hone.core.lineage import digest_value
from hone.data.cache import stored
from hone.data.corpus.card import Card, Selected, keep_card, kept_card
from hone.data.corpus.documents import Document
from hone.data.corpus.mixture import FloatArray, Shares, Sizes
from hone.data.corpus.repeats import found_in, taken_for, without_repeats
from hone.data.corpus.scan import DIGEST, HASH_BYTES, KIND, PAIR, SCHEMA, SOURCE, list_files, notes_of, scan
from hone.data.corpus.selecting import select
from hone.data.corpus.settings import CorpusSettings
from hone.data.dataset import CHARACTERS, Dataset, IntArray

VERSION = 6  # raised whenever other documents come of the same files and settings
PART = 0x9A27  # sets the draw of a part apart from that of what is held out
MOST_KINDS = 1000  # that documents are sampled by: an epoch keeps an order for each
READ_BY = ("filters", "unreadable", "max_line_bytes", "max_characters")


class Corpus:
    """Documents of one or several sources, in the order of their files.

    Attributes:
        rows: The documents as a dataset with the columns ``text``, ``document`` (the name) and ``pair`` (the same in
            other words), both empty where there is none.
        card: What was read, what was taken, what is left.
        digest: sha256 of what decides the documents: no path, no clock.
        sizes: Documents and characters of each source.
        begins: The first document of each source, and how many documents there are.
        settings: It was opened with.
    """

    def __init__(self, rows: Dataset, settings: CorpusSettings, card: Card) -> None:
        self.rows, self.settings = rows, settings
        self._names = list(settings.named())
        self.sizes = _sizes(rows, self._names)
        kept = [part.model_copy(update={"documents": size.documents, "characters": size.characters})
                for part, size in zip(card.read, self.sizes, strict=True)]  # fmt: skip
        self.card = card.model_copy(update={"kept": kept})
        self.digest = rows.digest
        self.begins = list(itertools.accumulate((size.documents for size in self.sizes), initial=0))

    def __len__(self) -> int:
        """How many documents there are."""
        return len(self.rows)

    @property
    def characters(self) -> int:
        """How many characters they have together."""
        return sum(size.characters for size in self.sizes)

    @property
    def shares(self) -> Shares:
        """How much of each source an epoch holds."""
        named = self.settings.named().values()
        return Shares.of(self.sizes, [source.share for source in named], temperature=self.settings.temperature)

    def kinds(self) -> tuple[IntArray, list[str]]:
        """The number of each document's kind, int64 [documents], and the kinds, in the order of their names.

        Raises:
            DataError: There are more than `MOST_KINDS`.
        """
        number: dict[str, int] = {}
        out, at = np.empty(len(self), dtype=np.int64), 0
        for part in self.rows.parts(KIND):
            for chunk in part.chunks:
                found = chunk.dictionary_encode()
                of = np.array([number.setdefault(kind, len(number)) for kind in found.dictionary.to_pylist()])
                out[at : at + len(chunk)] = of[found.indices.to_numpy()]
                at += len(chunk)
        if len(number) > MOST_KINDS:
            raise DataError(
                f"the documents of {self.rows.origin} are of {len(number):,} kinds",
                expected=f"at most {MOST_KINDS:,}", fix="Sample by what many documents share: sampling.by.",
                code="data.kinds",
            )  # fmt: skip
        names = sorted(number)
        rank = np.empty(len(names), dtype=np.int64)
        rank[[number[name] for name in names]] = np.arange(len(names))
        return rank[out], names

    def characters_of(self) -> FloatArray:
        """Characters of each document, float64 [documents]."""
        return np.concatenate([np.zeros(0), *(part.to_numpy() for part in self.rows.parts(CHARACTERS))])

    def parts(self) -> dict[str, range]:
        """The rows of each source, under its name."""
        return {name: range(*ends) for name, ends in zip(self._names, itertools.pairwise(self.begins), strict=True)}

    def document(self, row: int) -> Document:
        """The document of a row."""
        text, name, pair, kind = (self.rows.value(column, row) for column in ("text", "document", PAIR, KIND))
        file, line = self.rows.place(row)
        source = bisect.bisect_right(self.begins, row) - 1
        return Document(text, name, file, line or 0, source=self._names[source], pair=pair, kind=kind)

    def __iter__(self) -> Iterator[Document]:
        """Every document, in the order of the files."""
        return map(self.document, range(len(self)))

    def take(self, rows: IntArray, *, name: str = "") -> Corpus:
        """The documents ``rows``, ascending."""
        return self.of(self.rows.take(rows, name=name))

    def of(self, rows: Dataset) -> Corpus:
        """A corpus of some of its documents, as they are given to a stage."""
        return Corpus(rows, self.settings, self.card)

    def found_in(self, other: Corpus) -> IntArray:
        """The documents whose text stands in ``other`` too, by a hash of 128 bits, int64, ascending."""
        return found_in(self.rows, other.rows)

    def without(self, other: Corpus, *, name: str) -> Corpus:
        """The documents whose text does not stand in ``other``; the card says under ``name`` how many do."""
        gone = self.found_in(other)
        if not len(gone):
            return self
        taken = taken_for(name, self.rows, gone, seen=len(self))
        rest = self.rows.take(np.setdiff1d(np.arange(len(self)), gone))
        return Corpus(rest, self.settings, self.card.model_copy(update={"taken": [*self.card.taken, taken]}))

    def part(self, share: float, *, seed: int) -> Corpus:
        """About ``share`` of the documents of each source, at least one, drawn by the texts themselves; a smaller part
        is within a larger one."""
        drawn = _drawn(self.rows, seed, apart=PART)
        chosen = drawn < share
        for own in map(drawn.__getitem__, self._spans()):
            chosen |= drawn == own.min()
        return self.take(np.flatnonzero(chosen))

    def carve(self, share: float, *, seed: int) -> tuple[Corpus, Corpus]:
        """Two corpora, the second with about ``share`` of the documents of each source, at least one and never all:
        drawn by the texts themselves, so that equal ones stay together and more files change nothing for those that
        were there. A source without two different documents keeps what it has, to be learned from.

        Raises:
            DataError: No source has two different documents.
        """
        drawn = _drawn(self.rows, seed)
        sources = sorted((np.unique(drawn[own]) for own in self._spans()), key=len)
        kept: set[float] = set()  # what is learned from: one document of each source, those of small ones first
        for different in sources:
            if kept.isdisjoint(different.tolist()):
                kept.add(float(different[-1]))
        held = set[float]()
        for different in sources:
            free = [one for one in different.tolist() if one not in kept]
            held.update(free[: max(int((different < share).sum()), 1)])
        chosen = np.isin(drawn, np.array(sorted(held)))
        if not chosen.any():
            raise DataError(
                f"{self.rows.origin} has too few documents to hold some of them out: {len(self)}",
                expected="at least two different ones of one source",
                fix="Name other text under held_out (--held-out FILE), or none; or leave out a column under document: "
                "rows of one name are one document.",
                code="data.too-few-rows",
            )  # fmt: skip
        rest = self.take(np.flatnonzero(~chosen), name="corpus")
        return rest, self.take(np.flatnonzero(chosen), name="validation")

    def _spans(self) -> list[slice]:
        """The rows of each source that has any."""
        return [slice(begin, end) for begin, end in itertools.pairwise(self.begins) if end > begin]


def open_corpus(settings: CorpusSettings, *, base: Path, cache: Path, seed: int = 0) -> Corpus:
    """Read the files, unless the cache has what comes of them, find what is there twice, and select. Memory holds one
    batch of documents and 30 bytes for each, while near-duplicates are looked for 50.

    Args:
        base: Folder that relative paths start from.
        cache: Folder that documents are kept in, by the digest of their files and settings.
        seed: Of what is selected.

    Raises:
        DataError: There is no file, or one cannot be read, changes while it is, or no document is left.
    """
    files, left_out = list_files(settings, base)
    decided = settings.model_dump(mode="json")
    key = digest_value(
        {
            "version": VERSION,
            "files": [[file.source, file.kind, file.digest] for file in files],
            "sources": {name: source.model_dump(mode="json", exclude={"path", "share", "select", "sampling"})
                        | {"kind": source.sampling and source.sampling.by}
                        for name, source in settings.named().items()},
            **{name: decided[name] for name in READ_BY},
        }
    )  # fmt: skip
    folder = cache / "corpus"
    notes_at = folder / f"{key}.card.json"
    card = kept_card(notes_at, Card)
    if card is None:
        (folder / f"{key}.arrow").unlink(missing_ok=True)  # without its card nobody knows what was taken

    def read() -> Iterator[pa.RecordBatch]:
        notes = notes_of(files, settings)
        yield from scan(files, settings, notes)
        keep_card(notes_at, notes.card())

    table = stored(folder, key, SCHEMA, read)
    card = kept_card(notes_at, Card) if card is None else card
    assert card is not None, notes_at
    origin = ", ".join(pattern for source in settings.named().values() for pattern in source.patterns)
    rows = Dataset("corpus", table, digest=key, origin=origin, files=tuple(str(file.path) for file in files))
    chosen, taken = without_repeats(rows, settings, folder=folder)
    card = card.besides(left_out).model_copy(update={"taken": [*card.taken, *taken]})
    corpus = Corpus(rows if chosen is None else rows.take(chosen), settings, card)
    if not len(corpus):
        raise _empty(corpus.card, origin)
    return _selected(corpus, base=base, cache=cache, seed=seed)


def _selected(corpus: Corpus, *, base: Path, cache: Path, seed: int) -> Corpus:
    """The documents that are left where sources are to be like other files."""
    parts: list[IntArray] = []
    found: list[Selected] = []
    for at, (name, source) in enumerate(corpus.settings.named().items()):
        own = np.arange(corpus.begins[at], corpus.begins[at + 1])
        if source.select is not None and len(own):
            like = open_corpus(source.select.files(source, corpus.settings), base=base, cache=cache)
            chosen, how = select(corpus.rows.take(own), like.rows, source.select, name=name, seed=seed,
                                 folder=cache / "corpus")  # fmt: skip
            unread = {"left_out": like.card.left_out, "named": like.card.named}
            own, found = own[chosen], [*found, how.model_copy(update=unread)]
        parts.append(own)
    if not found:
        return corpus
    card = corpus.card.model_copy(update={"selected": found})
    return Corpus(corpus.rows.take(np.concatenate(parts)), corpus.settings, card)


def _sizes(rows: Dataset, names: Sequence[str]) -> list[Sizes]:
    documents, characters = np.zeros(len(names), dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for source, count in zip(rows.parts(SOURCE), rows.parts(CHARACTERS), strict=True):
        of = source.to_numpy()
        documents += np.bincount(of, minlength=len(names))
        characters += np.bincount(of, weights=count.to_numpy(), minlength=len(names)).astype(np.int64)
    return [Sizes(name, int(d), int(c)) for name, d, c in zip(names, documents, characters, strict=True)]


def _drawn(rows: Dataset, seed: int, *, apart: int = 0xCA47) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A number from 0 to 1 for each document, which its text and the seed decide, float64 [documents]."""
    word = np.uint64(np.random.default_rng([seed, apart]).integers(1 << 63)) | np.uint64(1)
    out = np.empty(len(rows))
    at = 0
    for part in rows.parts(DIGEST):
        head = np.frombuffer(b"".join(part.to_pylist()), dtype=np.uint64).reshape(-1, HASH_BYTES // 8)[:, 0]
        out[at : at + len(head)] = ((head * word) >> np.uint64(11)) / 2.0**53
        at += len(head)
    return out


def _empty(card: Card, origin: str) -> DataError:
    came = sum(part.documents for part in card.read)
    gone = ", ".join(f"{one.name} took {one.documents:,}" for one in card.taken if one.documents)
    out = ", ".join(f"{code}: {count:,}" for code, count in card.unreadable.items())
    found = f"no document is left of {came:,} in {origin}" if came else f"there is no document in {origin}"
    return DataError(
        found + "".join(f"; {part}" for part in (gone, out) if part),
        expected="at least one",
        fix="Name files that hold text, or ask less of it: filters, duplicates.",
        code="data.empty",
    )
