"""Every text of a batch gets another one of its label, each as likely."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hone.tasks.same_label import SameLabel

LABELS = np.array([5, 3, 5, 5, 9, 3])


def test_another_one_of_the_label_each_as_likely() -> None:
    same, rng = SameLabel(LABELS), np.random.default_rng(0)
    drawn = [same.others(np.arange(6), rng=rng).tolist() for _ in range(600)]
    assert {row[1] for row in drawn} == {5}
    assert {row[5] for row in drawn} == {1}
    counts = Counter(row[2] for row in drawn)
    assert counts.keys() == {0, 3}
    assert 250 < counts[0] < 350


def test_the_only_one_of_its_label_gets_itself() -> None:
    assert SameLabel(LABELS).others(np.array([4]), rng=np.random.default_rng(0)).tolist() == [4]


def test_the_same_generator_draws_the_same() -> None:
    first, second = (SameLabel(LABELS).others(np.arange(6), rng=np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist()
