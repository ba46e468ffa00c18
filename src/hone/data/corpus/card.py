"""`Card`: what a corpus holds, and what was taken from it by what; kept beside the corpus, never silent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from hone.core.disk import appearing, not_writable
from hone.core.errors import Fault

SAMPLED = 4096  # values of a filter that its quantiles are taken from
NAMED = 10  # places that the card names


class Part(BaseModel):
    """What there is of something, in files or of documents."""

    model_config = ConfigDict(frozen=True)
    name: str
    files: int = 0
    bytes: int = 0
    documents: int = 0
    characters: int = 0


class Taken(BaseModel):
    """What one filter, or the search for duplicates, took of the documents that came to it.

    Attributes:
        name: Of the filter; ``exact_duplicates`` or ``near_duplicates``.
        seen: Documents that came to it.
        documents, characters: Those it took.
        min, max: Its bounds, None where there is none.
        low, median, high: The quantiles 0.05, 0.5 and 0.95 of what it measures, from a sample; None where it measured
            nothing.
        example: Place of the first document taken.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    seen: int
    documents: int
    characters: int
    min: float | None = None
    max: float | None = None
    low: float | None = None
    median: float | None = None
    high: float | None = None
    example: str = ""


class Selected(BaseModel):
    """What was selected of a source for being like another domain (see `hone.data.corpus.importance`).

    Attributes:
        name: Of the source.
        like: Documents of that domain.
        seen: Documents of the source.
        documents: Those that are kept.
        effective: How many of all, drawn evenly, the importance weights tell as much as.
        before, after: Kullback-Leibler divergence of the domain's n-grams from those of as many documents drawn evenly,
            and of those kept, in nats.
        left_out: Files, lines and rows of that domain that could not be read.
        named: The first of those, as sentences.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    like: int
    seen: int
    documents: int
    effective: float
    before: float
    after: float
    left_out: int = 0
    named: list[str] = []


class Card(BaseModel):
    """What a corpus holds.

    Attributes:
        read: What was read, by source.
        kept: What is left, by source.
        taken: What each filter and the search for duplicates took, in the order they stand in.
        selected: What was selected of which source.
        unreadable: Code of a fault -> how many files, folders, lines and rows were left out for it.
        named: The first of those, as sentences.
        empty_files: How many files hold nothing.
        divided: How many documents are parts of one that was too long.
    """

    model_config = ConfigDict(frozen=True)
    read: list[Part]
    kept: list[Part]
    taken: list[Taken]
    selected: list[Selected] = []
    unreadable: dict[str, int]
    named: list[str]
    empty_files: int
    divided: int

    @property
    def left_out(self) -> int:
        """How many files, lines and rows were left out because they could not be read."""
        return sum(self.unreadable.values())

    def besides(self, left_out: Sequence[Fault]) -> Card:
        """The same, and what was left out of the files before any was read."""
        counts = Counter(self.unreadable) + Counter(fault.code for fault in left_out)
        named = [*self.named, *map(str, left_out)][:NAMED]
        return self.model_copy(update={"unreadable": dict(counts), "named": named})

    @property
    def documents(self) -> int:
        """How many documents are left."""
        return sum(part.documents for part in self.kept)

    @property
    def characters(self) -> int:
        """How many characters they have together."""
        return sum(part.characters for part in self.kept)


Kept = TypeVar("Kept", bound=BaseModel)


def kept_card(path: Path, kind: type[Kept]) -> Kept | None:
    """What `keep_card` left there; None where nothing is, or nothing of that kind."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def keep_card(path: Path, card: BaseModel) -> None:
    """Write it there, whole or not at all.

    Raises:
        HoneError: The folder cannot be written to, or is full.
    """
    try:
        with appearing(path, mode=0o600) as file:
            file.write(card.model_dump_json().encode())
    except OSError as error:
        raise not_writable(path.parent, error) from error


class Tally:
    """Counts what one filter takes, and keeps a sample of what it measures."""

    def __init__(self, name: str, *, low: float | None = None, high: float | None = None) -> None:
        self.name, self.seen, self.documents, self.characters, self.example = name, 0, 0, 0, ""
        self._bounds, self._values, self._measured = (low, high), list[float](), 0
        self._random = random.Random(0)  # which values are sampled is the same for the same documents

    def see(self, value: float | None) -> None:
        """A document came; what the filter measured of it."""
        self.seen += 1
        if value is None:
            return
        self._measured += 1
        if len(self._values) < SAMPLED:
            self._values.append(value)
        elif (at := self._random.randrange(self._measured)) < SAMPLED:
            self._values[at] = value

    def take(self, characters: int, *, place: str) -> None:
        """It was taken."""
        self.documents += 1
        self.characters += characters
        self.example = self.example or place

    def result(self) -> Taken:
        """What has been counted so far."""
        low, median, high = np.quantile(self._values, (0.05, 0.5, 0.95)).tolist() if self._values else (None,) * 3
        return Taken(
            name=self.name, seen=self.seen, documents=self.documents, characters=self.characters,
            min=self._bounds[0], max=self._bounds[1], low=low, median=median, high=high, example=self.example,
        )  # fmt: skip


@dataclass
class Notes:
    """What reading came upon, beside documents.

    Attributes:
        read: By source: documents and characters.
        tallies: One a filter.
    """

    read: dict[str, Part]
    tallies: Sequence[Tally]
    unreadable: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)
    empty_files: int = 0
    divided: int = 0

    def leave_out(self, fault: Fault) -> None:
        """Count what cannot be read."""
        self.unreadable[fault.code] += 1
        if len(self.named) < NAMED:
            self.named.append(str(fault))

    def card(self) -> Card:
        """As a card, of which nothing has been taken but by filters."""
        return Card(
            read=list(self.read.values()), kept=[], taken=[tally.result() for tally in self.tallies],
            unreadable=dict(self.unreadable), named=self.named, empty_files=self.empty_files, divided=self.divided,
        )  # fmt: skip
