"""Memory that is free again: handed back to the machine, or kept for what needs as much at once."""

from __future__ import annotations

import ctypes
import functools
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
LARGEST_KEPT = 1 << 25  # bytes of an array; glibc takes no more
MOST_KEPT = (1 << 31) - 1  # bytes at the end of the heap


def give_back() -> None:
    """Have the C library hand back what it keeps of freed memory, where it can (glibc's ``malloc_trim``).

    Arrays of ever other sizes leave gaps that later ones do not fit, and glibc keeps them all. It takes some
    milliseconds, and what is needed again has to be asked for anew: something for between long pieces of work.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


def keep() -> None:
    """Have the C library keep freed memory until `give_back`, where it can (glibc's ``mallopt``).

    A training step frees at its end what the next one asks for again. By itself glibc hands all of it back, and the
    machine clears and maps page by page what it takes right afterwards. For the rest of the process.
    """
    option = _from_c("mallopt")
    if option is not None:
        option(M_MMAP_THRESHOLD, LARGEST_KEPT)
        option(M_TRIM_THRESHOLD, MOST_KEPT)


def _trim() -> Any:
    return _from_c("malloc_trim")


@functools.cache
def _from_c(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # another C library
        return None
