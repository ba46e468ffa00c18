"""oneDNN keeps few primitives where nobody says how many."""

from __future__ import annotations

import os

import pytest

from hone.train.primitives import CAPACITY, KEPT, keep_few_primitives


def test_the_environment_decides_where_it_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPACITY, "7")
    keep_few_primitives()
    assert os.environ[CAPACITY] == "7"
    monkeypatch.delenv(CAPACITY)
    keep_few_primitives()
    assert os.environ[CAPACITY] == str(KEPT)
