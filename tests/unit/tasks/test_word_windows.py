"""Windows are cut between words; where they overlap, each word is read farther from the cut."""

from __future__ import annotations

import numpy as np
import pytest

from hone.tasks.word_windows import stitched, word_windows


@pytest.mark.parametrize(
    ("pieces", "room", "stride", "windows"),
    [
        ([], 4, 1, [(0, 0)]),
        ([1, 1, 1, 1], 4, 1, [(0, 4)]),
        ([1, 1, 1, 1, 1], 4, 1, [(0, 4), (3, 5)]),
        ([3, 3, 3], 4, 2, [(0, 1), (1, 2), (2, 3)]),  # no word fits into what is shared
        ([2, 2, 2, 2], 4, 2, [(0, 2), (1, 3), (2, 4)]),
        ([1, 1, 4], 4, 2, [(0, 2), (2, 3)]),  # a window from the second word could not hold the third
        ([4], 4, 0, [(0, 1)]),
    ],
)
def test_windows_are_cut_between_words(
    pieces: list[int], room: int, stride: int, windows: list[tuple[int, int]]
) -> None:
    assert word_windows(np.array(pieces, dtype=np.int64), room=room, stride=stride) == windows


def scores(*values: float) -> np.ndarray:
    return np.array([[value] for value in values], dtype=np.float32)


def test_overlapping_words_are_read_farther_from_the_cut() -> None:
    found = stitched([(0, scores(1, 1, 1, 1)), (2, scores(2, 2, 2, 2))])
    assert found.ravel().tolist() == [1, 1, 1, 2, 2, 2]


def test_a_words_own_text_has_no_cut_at_its_ends() -> None:
    found = stitched([(0, scores(1, 1, 1)), (1, scores(2, 2, 2)), (2, scores(3, 3, 3))])
    assert found.ravel().tolist() == [1, 1, 2, 3, 3]


def test_what_no_window_reaches_is_not_there() -> None:
    assert stitched([(0, scores(1, 1))]).shape == (2, 1)


def test_no_words_have_no_scores() -> None:
    assert stitched([(0, np.zeros((0, 5), dtype=np.float32))]).shape == (0, 5)
