"""BIO tag sequences (Ramshaw and Marcus 1995): which may follow which, and how illegal ones are mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


def tag_set(tags: Iterable[str]) -> tuple[str, ...]:
    """Every tag the types seen in ``tags`` allow: ``O``, then ``B-X`` and ``I-X`` for each type in sorted order."""
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    return ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))


def may_follow(previous: str | None, tag: str) -> bool:
    """Whether ``tag`` may stand after ``previous`` (None: at the start of a text)."""
    if not tag.startswith("I-"):
        return True
    return previous is not None and previous != "O" and previous[2:] == tag[2:]


def legal_transitions(tags: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tags may begin a text, bool [tags], and which may follow which, bool [previous, next]."""
    start = np.array([may_follow(None, tag) for tag in tags])
    follow = np.array([[may_follow(previous, tag) for tag in tags] for previous in tags])
    return start, follow


def repaired(tags: Sequence[str]) -> list[str]:
    """``tags`` with every illegal ``I-X`` made ``B-X``: the reading of conlleval, written out."""
    out: list[str] = []
    for tag in tags:
        out.append(tag if may_follow(out[-1] if out else None, tag) else f"B-{tag[2:]}")
    return out
