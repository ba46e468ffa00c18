"""What cannot be seen is shown, what can is left alone."""

from __future__ import annotations

import pytest

from hone.report.visible import as_line, as_markup, text_width


@pytest.mark.parametrize("text", ["plain", "naïve café", "中文，标点", "שלום", "👨\u200d👩\u200d👧", "a\u00a0b"])
def test_ordinary_text_is_only_isolated(text: str) -> None:
    assert as_markup(text) == f"<bdi>{text}</bdi>"
    assert as_line(text) == text


@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u202e", "\u2066", "\ufeff", "\x00", "\x85", "\u00ad", "\u2028", "\udc00"]
)
def test_hidden_characters_are_named(hidden: str) -> None:
    assert f"U+{ord(hidden):04X}" in as_markup(f"a{hidden}b")
    assert hidden not in as_markup(f"a{hidden}b")
    assert as_line(f"a{hidden}b") == f"a⟨{ord(hidden):04X}⟩b"


def test_a_joiner_outside_emoji_is_shown() -> None:
    assert as_line("a\u200db") == "a⟨200D⟩b"


def test_markup_is_escaped() -> None:
    assert as_markup("<b>&\"'") == "<bdi>&lt;b&gt;&amp;&quot;&#x27;</bdi>"


def test_a_cut_says_how_much_is_missing() -> None:
    assert as_markup("abcdef", limit=4).startswith("<bdi>abcd</bdi>")
    assert "+2" in as_markup("abcdef", limit=4)
    assert as_line("abcdef", limit=4) == "abc…"


def test_width_counts_terminal_columns() -> None:
    assert text_width("ab中e\u0301") == 5
