"""What texts take over from their sources, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hone.metrics.copying import COPY_COLUMNS, copied_ngrams, copy_tally, novel_ngrams


def test_ngrams_of_the_source_are_copied_and_the_others_novel() -> None:
    counts = copy_tally([list("abcde"), list("xy")], [list("bcdbq"), list("z")])
    copied = copied_ngrams(counts)
    assert copied == {"copied_1": 4 / 6, "copied_2": 2 / 4, "copied_3": 1 / 3, "copied_4": 0}
    assert novel_ngrams(counts) == {
        f"novel_{n}": pytest.approx(1 - copied[f"copied_{n}"]) for n in (1, 2, 3, 4)
    }  # fmt: skip
    assert copied_ngrams(counts[1:])["copied_1"] == 0


def test_a_text_too_short_for_an_order_says_nothing_of_it() -> None:
    assert novel_ngrams(copy_tally([list("ab")], [list("ab")])) == {
        "novel_1": 0, "novel_2": 0, "novel_3": None, "novel_4": None,
    }  # fmt: skip
    assert set(copied_ngrams(np.zeros((0, COPY_COLUMNS))).values()) == {None}


def test_every_text_needs_a_source() -> None:
    with pytest.raises(ValueError, match="source"):
        copy_tally([], [["a"]])
