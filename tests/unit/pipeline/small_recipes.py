"""Recipes over a few texts, and what is said while one runs: what the tests of runs share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hone.core.progress import Silent


class Said(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


def values(files: dict[str, Path], **more: Any) -> dict[str, Any]:
    data = {name: str(path) for name, path in files.items()}
    return {"version": 1, "task": "text-classification", "data": data, "stages": ["inspect"], **more}


def rows(path: Path, lines: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in lines))
    return path
