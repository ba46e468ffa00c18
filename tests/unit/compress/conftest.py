"""Fixtures of the compression tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def _times_little(few_timings: None) -> None:
    pass
