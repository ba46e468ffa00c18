"""Words counted in all runs at once are those that each run is cut into by itself."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hone.text.segmenters import counting
from hone.text.segmenters.counting import Cuts
from hone.text.segmenters.lexicon import Lexicon

LONGEST = 4


def counted(runs: list[str], words: dict[str, float]) -> dict[str, int]:
    """What `Cuts` counts, by words."""
    text = "\n".join(["", *runs, ""])
    kinds = [sorted({text[i : i + n] for i in range(len(text)) if "\n" not in text[i : i + n]}) for n in range(1, 5)]
    kinds = [[one for one in each if len(one) == n] for n, each in enumerate(kinds, start=1)]
    places = [{one: i for i, one in enumerate(each)} for each in kinds]
    numbers = [
        np.array([place.get(text[i : i + n], -1) for i in range(len(text))]) for n, place in enumerate(places, start=1)
    ]
    total = np.log(sum(words.values()))
    scores = [np.array([np.log(words[one]) - total if one in words else -np.inf for one in each]) for each in kinds]
    found = Cuts(np.array([character != "\n" for character in text]), numbers).count(scores)
    return {
        one: int(n) for each, many in zip(kinds, found, strict=True) for one, n in zip(each, many, strict=True) if n
    }


def drawn(seed: int) -> tuple[list[str], dict[str, float]]:
    """Runs of three characters, some of them a single one, and a lexicon of some of their stretches."""
    rng = np.random.default_rng(seed)
    runs = ["".join(rng.choice(list("天地人"), size=rng.integers(1, 30))) for _ in range(20)]
    words: dict[str, float] = {one: float(rng.integers(1, 9)) for one in "天地人"}
    for run in runs:
        at, size = int(rng.integers(len(run))), int(rng.integers(2, LONGEST + 1))
        words[run[at : at + size]] = float(rng.integers(1, 99))
    return runs, words


@pytest.mark.parametrize("seed", range(8))
def test_all_runs_at_once_are_cut_as_one_by_one(seed: int) -> None:
    runs, words = drawn(seed)
    lexicon = Lexicon(words)
    assert counted(runs, words) == dict(Counter(word for run in runs for word in lexicon.cut(run)))


def test_a_run_without_end_is_cut_in_pieces_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PIECE", 7)
    runs, words = drawn(3)
    lexicon, pieces = Lexicon(words), Counter[str]()
    for run in runs:
        first = len(run) % 7 or 7
        for begin, end in [(0, first), *((at, at + 7) for at in range(first, len(run), 7))]:
            pieces.update(lexicon.cut(run[begin:end]))
    assert counted(runs, words) == dict(pieces)
