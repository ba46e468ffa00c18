"""Memory that is free again, handed back to the machine."""

from __future__ import annotations

import ctypes
import functools
from typing import Any


def give_back() -> None:
    """Have the C library hand back what it keeps of freed memory, where it can (glibc's ``malloc_trim``).

    Arrays of ever other sizes leave gaps that later ones do not fit, and glibc keeps them all. It takes some
    milliseconds, and what is needed again has to be asked for anew: something for between long pieces of work.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library
        return None
