"""``jieba``: the words of jieba's dictionary, with the frequencies that it has. Only its file is read, none of its code
is run: that keeps what it has read in a file of the temporary folder that anybody may write, as ``marshal``."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from hone.core.errors import MissingExtra
from hone.core.settings import Settings
from hone.text.segmenters.lexicon import Lexicon
from hone.text.segmenters.segmenter import SegmenterEntry

FILE = "dict.txt"


class DictionarySettings(Settings):
    """``jieba`` has no settings."""


def read(settings: DictionarySettings, texts: Iterable[str]) -> Lexicon:
    """The lexicon of the dictionary.

    Raises:
        MissingExtra: jieba is not installed.
    """
    return _lexicon(_file())


@functools.cache
def _lexicon(path: Path) -> Lexicon:
    rows = (line.split(" ") for line in path.read_text(encoding="utf-8").splitlines())
    return Lexicon({word: float(count) for word, count, *_ in rows})


def _file() -> Path:
    spec = find_spec("jieba")
    if spec is None or spec.origin is None:
        raise MissingExtra("jieba", extra="jieba", needed_for="the segmenter jieba")
    return Path(spec.origin).parent / FILE


JIEBA = SegmenterEntry(DictionarySettings, read, require=_file)
