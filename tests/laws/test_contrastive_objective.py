"""What ``contrastive`` is held to: pairs stand beside their texts, and held-out figures are those of the texts, in
whatever batches they are read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from hone.core.choice import decided
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.contrastive import TOGETHER, compared
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining, text_rows
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.rows import Batch, Rows

TEXTS = ["the tide comes in", "nobody knows why", "we watched it from the pier"]
PAIRS = ["the sea comes in", "", "from the pier we watched it"]


class Told(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, words: str) -> None:
        self.said.append(words)


def learning_of(base: Path, *names: str) -> Pretraining:
    documents = Documents(load_tokenizer(base), max_tokens=40)
    return Pretraining([decided(name, OBJECTIVES) for name in names], documents)


def texts_of(learning: Pretraining, batch: Batch) -> list[str]:
    return learning.tokenizer.decode(batch["input_ids"].tolist())


def test_a_text_is_compared_with_its_pair_and_without_one_with_itself(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "contrastive")
    rows = Rows(learning.encode({"text": TEXTS, "pair": PAIRS}, purpose="learn"))
    batch = learning.draw(rows, np.arange(3), rng=np.random.default_rng(0))
    expected = learning.tokenizer.decode(learning.tokenizer.encode([*TEXTS, PAIRS[0], TEXTS[1], PAIRS[2]]))
    assert texts_of(learning, batch) == expected
    whole = learning.tokenizer.encode(TEXTS[1:2])[0]
    held = learning.collate(rows, np.arange(3))
    halves = learning.tokenizer.decode([whole[: len(whole) // 2], whole[len(whole) // 2 :]])
    assert texts_of(learning, held) == [expected[0], halves[0], expected[2], expected[3], halves[1], expected[5]]


def test_pairs_of_which_nothing_is_learned_are_told(tiny_base: Path, tmp_path: Path) -> None:
    long = " ".join(TEXTS * 3)
    data = Dataset.from_columns("corpus", {"text": [TEXTS[0], long, TEXTS[2]], "pair": [long, TEXTS[0], PAIRS[2]]})
    told = Told()
    rows = text_rows(learning_of(tiny_base, "contrastive"), data, cache=tmp_path, progress=told)
    assert [len(pair) > 0 for pair in Documents.pieces(rows, np.arange(len(rows)), "pair")] == [False] * (
        len(rows) - 1
    ) + [True]
    assert [said.split(" documents")[0] for said in told.said] == ["2"]
    text_rows(learning_of(tiny_base, "mlm"), data, cache=tmp_path, progress=told)
    assert "none of these objectives" in told.said[-1]


@pytest.mark.parametrize(("names", "share"), [(("contrastive",), 2), (("mlm", "contrastive"), 3)])
def test_rows_are_as_long_as_what_is_read_of_them(
    names: tuple[str, ...], share: int, tiny_base: Path, tmp_path: Path
) -> None:
    data = Dataset.from_columns("corpus", {"text": TEXTS, "pair": [TEXTS[2], "", TEXTS[0]]})
    learning = learning_of(tiny_base, *names)
    rows = text_rows(learning, data, cache=tmp_path, progress=Silent())
    text, pair = (np.diff(rows.lists(name).offsets) for name in ("input_ids", "pair"))
    read = (share - 1) * text + np.where(pair > 0, pair, text)  # of all times that a row is read
    assert np.abs(rows.lengths * share - read).max() < share
    assert rows.lengths.tolist() != text.tolist()
    assert text_rows(learning_of(tiny_base, "mlm"), data, cache=tmp_path, progress=Silent()).lengths.tolist() == (
        text.tolist()
    )


def test_held_out_figures_do_not_depend_on_the_batches(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "contrastive")
    count = 2 * TOGETHER + 5
    vectors = np.random.default_rng(0).standard_normal((count, 2, 4))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    tally = vectors.reshape(count, 8)
    other = np.random.default_rng(1).permutation(count)
    one = learning.settled([[tally[:100]], [tally[100:]]], np.arange(count))
    same = learning.settled([[tally[other[:9]]], [tally[other[9:]]]], other)
    assert np.array_equal(one, same)
    assert set(one[:, 5].tolist()) == {count // 3 - 1, count // 3}  # groups of nearly one size


def test_alignment_and_uniformity_are_those_of_wang_and_isola(tiny_base: Path) -> None:
    rng = np.random.default_rng(0)
    one, other = (value / np.linalg.norm(value, axis=1, keepdims=True) for value in rng.standard_normal((2, 40, 5)))
    learning = learning_of(tiny_base, "contrastive")
    found = learning.measures(learning.settled([[np.hstack([one, other])]], np.arange(40)))
    assert found["contrastive_alignment"] == pytest.approx(np.mean(np.linalg.norm(one - other, axis=1) ** 2))
    assert found["contrastive_uniformity"] == pytest.approx(math.log(np.mean(np.exp(-2 * pdist(one) ** 2))))
    lost = -np.log(np.exp(one @ other.T / 0.05).diagonal() / np.exp(one @ other.T / 0.05).sum(axis=1))
    assert np.allclose(compared(one, other, 0.05)[:, 0], lost)


def test_vectors_that_are_all_the_same_tell_nothing(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "contrastive")
    found = learning.measures(learning.settled([[np.tile([1.0, 0.0], (20, 2))]], np.arange(20)))
    assert found["nearest_accuracy"] == pytest.approx(1 / 20)
    assert (found["contrastive_alignment"], found["contrastive_uniformity"]) == (0.0, 0.0)


def test_a_text_alone_is_compared_with_none(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "contrastive")
    found = learning.measures(learning.settled([[np.array([[1.0, 0.0, 1.0, 0.0]])]], np.arange(1)))
    assert found["contrastive_uniformity"] is None
