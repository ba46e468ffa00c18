"""Text as data: escaped, and its invisible characters made visible.

Zero-width, direction-changing and control characters are written as their code points, so that what a reader sees is
what the model read. Joiners inside emoji stay as they are.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

TEXT_LIMIT = 600  # characters of one text on a page; a 5 MB text must not make a 5 MB page
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_JOINER = "\u200d"


def as_markup(text: str, *, limit: int = TEXT_LIMIT, more: str = "+{count}") -> str:
    """HTML of ``text``: escaped, isolated from the page's direction, hidden characters boxed, cut at ``limit``.

    Args:
        text: Any text.
        limit: Most characters shown.
        more: What is said of the rest; ``{count}`` is how many characters.
    """
    shown, rest = text[:limit], len(text) - limit
    parts, last = [], 0
    for match in _hidden(shown):
        code, name = _named(match.group())
        parts += [html.escape(shown[last : match.start()]), f'<span class="mark" title="{name}">{code}</span>']
        last = match.end()
    parts.append(html.escape(shown[last:]))
    tail = f' <span class="more">… {html.escape(more.format(count=f"{rest:,}"))}</span>' if rest > 0 else ""
    return f"<bdi>{''.join(parts)}</bdi>{tail}"


def shortened(text: str, *, most: int) -> str:
    """``text``, or its first ``most`` characters and a mark that there are more: what a table holds of it."""
    return text if len(text) <= most else text[:most] + " […]"


def as_line(text: str, *, limit: int | None = None) -> str:
    """One line of plain text: hidden characters as ``⟨200B⟩``, line ends as ``⏎``, cut at ``limit`` with ``…``."""
    cut = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    cut = cut.replace("\r\n", "⏎").replace("\n", "⏎").replace("\t", " ")
    return _replaced(cut, lambda character: f"⟨{ord(character):04X}⟩")


def as_plain(text: str) -> str:
    """Text for a terminal, in its own lines, whose hidden characters command nothing: they are written ``⟨001B⟩``."""
    return _replaced(text, lambda character: f"⟨{ord(character):04X}⟩")


def text_width(text: str) -> int:
    """Columns that ``text`` takes in a terminal: two for East Asian wide characters, none for combining marks."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _hidden(text: str) -> list[re.Match[str]]:
    return [match for match in _HIDDEN.finditer(text) if not _joins_emoji(text, match)]


def _joins_emoji(text: str, match: re.Match[str]) -> bool:
    before = text[match.start() - 1 : match.start()]
    return match.group() == _JOINER and bool(before) and (ord(before) >= 0x1F000 or before == "\ufe0f")


def _replaced(text: str, change: Callable[[str], str]) -> str:
    parts, last = [], 0
    for match in _hidden(text):
        parts += [text[last : match.start()], change(match.group())]
        last = match.end()
    return "".join([*parts, text[last:]])


def _named(character: str) -> tuple[str, str]:
    return f"U+{ord(character):04X}", html.escape(unicodedata.name(character, "control character").lower())
