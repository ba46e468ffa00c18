"""`Segmenter`: an entry of the table, and what it makes: words of a run of Han characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hone.core.settings import Settings

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")


class Segmenter(Protocol):
    """Cuts runs of Han characters into words.

    Attributes:
        digest: Of all that decides how it cuts.
    """

    digest: str

    def cut(self, run: str) -> Sequence[str]:
        """The words of a run, which put together are the run."""
        ...


@dataclass(frozen=True)
class SegmenterEntry:
    """An entry of the table.

    Attributes:
        settings: Its settings model.
        make: Makes, of settings and of texts that it may learn from, the segmenter. Texts are read once, as many as it
            wants.
        require: Raises `MissingExtra` where it needs a package that is not there.
    """

    settings: type[Settings]
    make: Callable[[Any, Iterable[str]], Segmenter]
    require: Callable[[], object] = lambda: None


def words_at(text: str, segmenter: Segmenter) -> list[int]:
    """Of each character of a text the number of its word, counted from 0 through the text; -1 of those that are no Han
    characters."""
    found, number = [-1] * len(text), 0
    for begin, run in runs(text):
        at = begin
        for word in segmenter.cut(run):
            found[at : at + len(word)] = [number] * len(word)
            at, number = at + len(word), number + 1
    return found


def runs(text: str) -> Iterator[tuple[int, str]]:
    """The runs of Han characters of a text, and where each begins."""
    for match in HAN.finditer(text):
        yield match.start(), match.group()
