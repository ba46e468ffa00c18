"""Windows over word pieces that are cut between words only, and scores of several windows made one again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hone.tasks.rows import IntArray

WORDS_AT_ONCE = 20_000  # words handed to the tokenizer in one go: bounds its memory on texts of megabytes


def word_windows(pieces: IntArray, *, room: int, stride: int) -> list[tuple[int, int]]:
    """Word ranges ``(first, end)`` whose pieces fit ``room``; neighbors share about ``stride`` pieces.

    Args:
        pieces: Number of pieces of each word, int64 [words], each at most ``room``.
    """
    ends = np.concatenate([[0], np.cumsum(pieces)])  # ends[i]: pieces before word i
    count = len(pieces)
    windows: list[tuple[int, int]] = []
    first = 0
    while True:
        end = int(np.searchsorted(ends, ends[first] + room, side="right")) - 1
        windows.append((first, end))
        if end >= count:
            return windows
        back = int(np.searchsorted(ends, ends[end] - min(stride, room // 2), side="left"))
        with_next = int(np.searchsorted(ends, ends[end + 1] - room, side="left"))  # else a window holds nothing new
        first = max(first + 1, min(back, end), with_next)


def stitched(parts: Sequence[tuple[int, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """One score row a word from overlapping windows: each word is read where it stands farthest from an edge.

    Args:
        parts: For each window, in order, its first word and its scores [words in it, labels].

    Returns:
        Float32 [words up to the end of the last window, labels].
    """
    words = parts[-1][0] + len(parts[-1][1])
    out = np.zeros((words, parts[0][1].shape[1]), dtype=np.float32)
    depth = np.full(words, -1)
    for first, scores in parts:
        size = len(scores)
        inside = np.minimum(np.arange(size) + (words if first == 0 else 0), size - 1 - np.arange(size))
        if first + size == words:
            inside = np.arange(size) + (words if first == 0 else 0)  # the text's own end is no edge
        here = slice(first, first + size)
        better = inside > depth[here]
        out[here][better] = scores[better]
        depth[here][better] = inside[better]
    return out
