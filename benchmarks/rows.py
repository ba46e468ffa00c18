"""Rows of files of JSON lines. Texts may hold other separators of lines (U+2028, U+0085), at which `str.splitlines`
breaks, too: a line of such a file ends with a newline alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def lines_of(file: Path) -> list[str]:
    """The lines of a file, without their ends."""
    return file.read_text(encoding="utf-8").rstrip("\n").split("\n")


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in lines_of(file)]
