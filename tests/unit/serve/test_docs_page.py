"""The page's script is one that a browser reads."""

from __future__ import annotations

from hone.serve.docs_page import SCRIPT


def test_no_string_of_the_script_goes_on_over_a_line() -> None:
    """JavaScript's may not: one line break in quotes, and nothing of the script is run."""
    assert [line for line in SCRIPT.splitlines() if line.count("'") % 2] == []
    assert r"split('\n\n')" in SCRIPT  # events part at an empty line, written as an escape
