"""Freed memory goes back to the machine, or is kept for the next that needs it."""

from __future__ import annotations

import platform
import resource
from pathlib import Path

import numpy as np
import pytest

from hone.core.memory import give_back, keep


def held_bytes() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) * 1024


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep other things")
def test_gaps_between_what_is_still_held_are_given_back() -> None:
    arrays = [np.ones(64_000, dtype=np.uint8) for _ in range(1600)]
    kept = arrays[::200]
    del arrays
    before = held_bytes()
    give_back()
    assert before - held_bytes() > 40_000_000
    assert all(array.all() for array in kept)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such option")
def test_what_is_kept_is_not_mapped_anew() -> None:
    keep()
    pages = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        arrays = [b"x" * (1 << 24) for _ in range(6)]
        del arrays
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    assert pages[1] < 1000  # of 24,576
