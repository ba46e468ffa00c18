"""Settings of a corpus: which files, what a document is there, what is kept, how sources are mixed; no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hone.core.choice import all_decided
from hone.core.errors import Fault
from hone.core.settings import Settings, unread
from hone.data.corpus.filters.table import FILTERS

CorpusFormat = Literal["auto", "jsonl", "parquet", "text"]
NEARLY = 1e-6  # of 1: shares are written with few digits
OF_AN_EPOCH = ("sampling", "share", "temperature", "shuffle_buffer")  # settings of what is learned from
Name = Annotated[str, Field(pattern=r"^[\w.-]+$")]


class Reading(Settings):
    """What a document is in the files of a source.

    Attributes:
        format: The files' format; ``auto`` goes by the suffix, that before ``.gz`` where a file ends so.
        text: The column of jsonl and parquet that holds the text.
        document: The column that names the document a row is a paragraph of: rows that follow one another under one
            name are one document. None: each row is one.
        pair: The column of jsonl and parquet that says the same as that of the text in other words, a translation or a
            paraphrase; null in rows that have none. None: there is no such column.
        parted: What a document is in a text file: what stands between ``blank-lines``, each of its ``lines``, or
            the whole ``file``.
        encoding: Of text and jsonl.
    """

    format: CorpusFormat = "auto"
    text: str = "text"
    document: str | None = None
    pair: str | None = None
    parted: Literal["blank-lines", "lines", "file"] = "blank-lines"
    encoding: Literal["utf-8", "gb18030"] = "utf-8"

    @model_validator(mode="after")
    def _a_pair_is_of_a_row(self) -> Self:
        if self.pair is not None and self.document is not None:
            raise ValueError("either a document or a pair: a document of several rows has none")
        return self


Paths = str | Annotated[list[str], Field(min_length=1)]


class Selection(Settings):
    """Which documents of a source are kept for being like those of another domain (see `hone.data.corpus.importance`).

    Attributes:
        like: Files of that domain: a file or a glob, or several of them.
        format: Theirs; ``auto`` goes by the suffix.
        text: Their column, where they have columns; None: that of the source.
        documents: How many are kept; or else
        share: Which part of them.
        ngrams: Most words of what is counted.
        buckets: That n-grams are hashed into.
    """

    like: Paths
    format: CorpusFormat = "auto"
    text: str | None = None
    documents: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    ngrams: Annotated[int, Field(ge=1, le=5)] = 2
    buckets: Annotated[int, Field(ge=16, le=1 << 24)] = 10_000

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.documents is None) == (self.share is None):
            raise ValueError("either a number of documents or a share of them")
        return self

    def files(self, source: Reading, corpus: CorpusSettings) -> CorpusSettings:
        """The files of the domain, read as those of ``source`` in ``corpus`` are, whatever their format."""
        limits = {name: getattr(corpus, name) for name in ("unreadable", "max_line_bytes", "max_characters")}
        return CorpusSettings(path=self.like, format=self.format, text=self.text or source.text, parted=source.parted,
                              encoding=source.encoding, duplicates="keep", **limits)  # fmt: skip


class Tempering(Settings):
    """Documents of rare kinds come oftener: one of a kind with ``n`` characters, where the commonest has ``m``, comes
    ``(m / n) ** power`` times as often as one of the commonest. Kinds then have shares by their sizes to the power of
    ``1 - power``, the exponent of multilingual sampling (Conneau et al. 2020); an epoch stays as long as it is.

    Attributes:
        by: The column of jsonl and parquet that names a document's kind, its language, say; of a document of several
            rows that of the first.
        power: 0 takes the kinds as they are, 1 makes all alike.
        max_repeats: No document comes more than so many times as often as one of the commonest kind.
    """

    by: str
    power: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_repeats: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 10.0


class CorpusSource(Reading):
    """One of several sources of a corpus.

    Attributes:
        path: A file or a glob, or several of them. Relative to the recipe's folder.
        select: Which of its documents are kept, after filters and the search for duplicates; None: all.
        sampling: Which of its documents come oftener; None: all alike.
        share: Its part of the characters of an epoch. None: what the other shares leave, divided by `temperature`.
    """

    path: Paths
    select: Selection | None = None
    sampling: Tempering | None = None
    share: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the columns that its rows are to have, that of the text first."""
        by = None if self.sampling is None else self.sampling.by
        named = (self.text, self.document, self.pair, by)
        return list(dict.fromkeys(name for name in named if name is not None))

    @property
    def patterns(self) -> list[str]:
        """``path`` as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path)


class CorpusSettings(Reading):
    """Settings of ``data.corpus``.

    Attributes:
        path: A file or a glob, or several of them; or else
        select, sampling: As of a source, of ``path``.
        sources: name -> files of their own (see `CorpusSource`), to be mixed.
        temperature: Sources without a share come in by their size to the power of 1 / temperature: 1 as they are, more
            brings the small ones up, as inverse frequency does (Conneau et al. 2020).
        filters: What a document must be like to be kept, in this order: names, or ``{name: ..., min: ..., max: ...}``.
        duplicates: ``drop-exact`` keeps the first of equal documents, ``drop-near`` the first of nearly equal ones
            too, ``keep`` all.
        near: Estimated Jaccard similarity of their shingles from which two documents are nearly equal.
        shingle: Characters of a shingle.
        unreadable: What happens to binary files, lines that are in no such encoding or too long, and broken JSON:
            ``refuse`` ends the reading and names them, ``skip`` leaves them out and counts them.
        max_line_bytes: Longest line that is read.
        max_characters: A longer document is divided where a paragraph ends.
        shuffle_buffer: How many pieces of documents are shuffled together.
    """

    path: Paths | None = None
    select: Selection | None = None
    sampling: Tempering | None = None
    sources: dict[Name, CorpusSource] = {}
    temperature: Annotated[float, Field(ge=1)] = 1.0
    filters: list[Any] = []
    duplicates: Literal["drop-exact", "drop-near", "keep"] = "drop-exact"
    near: Annotated[float, Field(gt=0, le=1)] = 0.8
    shingle: Annotated[int, Field(ge=1)] = 5
    unreadable: Literal["refuse", "skip"] = "refuse"
    max_line_bytes: Annotated[int, Field(ge=1024)] = 1 << 24
    max_characters: Annotated[int, Field(ge=100)] = 1_000_000
    shuffle_buffer: Annotated[int, Field(ge=1)] = 1 << 16

    @field_validator("filters", mode="after")
    @classmethod
    def _decided(cls, value: list[Any]) -> list[Any]:
        return all_decided(value, FILTERS)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.path is None) == (not self.sources):
            raise ValueError("either a path or sources")
        own = [name for name in (*Reading.model_fields, "select", "sampling")
               if getattr(self, name) != type(self).model_fields[name].default]  # fmt: skip
        if self.sources and own:
            raise ValueError(f"{', '.join(own)} within each of the sources, not beside them")
        self._check_shares()
        free = sum(source.share is None for source in self.sources.values())
        readers = {
            "duplicates drop-near": () if self.duplicates == "drop-near" else ("near", "shingle"),
            "several sources without a share": () if free > 1 else ("temperature",),
        }
        if wrong := unread(self, readers):
            raise ValueError("; ".join(wrong))
        return self

    def _check_shares(self) -> None:
        shares = [source.share for source in self.sources.values()]
        total = sum(share for share in shares if share is not None)
        if None in shares and total > 1 - NEARLY:
            raise ValueError(f"shares that leave something for the sources without one, not {total:g} together")
        if shares and None not in shares and abs(total - 1) > NEARLY:
            raise ValueError(f"shares that make 1 together, where every source has one, not {total:g}")

    def held_out_faults(self, *, at: str) -> list[Fault]:
        """Settings that nothing reads of text that is held out, for it comes once and as it stands."""
        each = {at: self, **{f"{at}.sources.{name}": source for name, source in self.sources.items()}}
        return [
            Fault("recipe.unread", "a setting of an epoch, and text that is held out", wrong, field=place)
            for place, one in each.items()
            for wrong in unread(one, {"the corpus": [name for name in OF_AN_EPOCH if name in type(one).model_fields]})
        ]

    def under(self, root: Path) -> CorpusSettings:
        """The same, relative paths made absolute."""

        def placed(path: str | list[str]) -> str | list[str]:
            one = [str(root / Path(each).expanduser()) for each in ([path] if isinstance(path, str) else path)]
            return one[0] if isinstance(path, str) else one

        def moved(one: CorpusSettings | CorpusSource) -> dict[str, Any]:
            like = one.select and one.select.model_copy(update={"like": placed(one.select.like)})
            return {"path": one.path and placed(one.path), "select": like}

        sources = {name: source.model_copy(update=moved(source)) for name, source in self.sources.items()}
        return self.model_copy(update={**moved(self), "sources": sources})

    def named(self) -> dict[str, CorpusSource]:
        """Every source under its name; one alone has the name ``corpus``."""
        if self.sources:
            return dict(self.sources)
        reading = {name: getattr(self, name) for name in Reading.model_fields}
        return {"corpus": CorpusSource(path=self.path or [], select=self.select, sampling=self.sampling, **reading)}
