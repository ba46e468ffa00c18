"""Weights of labels: by inverse frequency, by the effective number of examples, or as named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hone.data.dataset import Dataset
from hone.tasks.make import make_task
from hone.tasks.settings import MultiLabelSettings
from hone.train.label_weights import BETA, effective, inverse, loss_options
from hone.train.settings import FinetuneSettings


def test_inverse_weights_give_every_label_the_same_total() -> None:
    counts = np.array([1.0, 10.0, 89.0])
    assert (inverse(counts) * counts).tolist() == pytest.approx([100 / 3] * 3)


def test_effective_weights_lie_between_none_and_inverse() -> None:
    counts = np.array([1.0, 100.0, 100_000.0])
    found = effective(counts)
    assert found.mean() == pytest.approx(1.0)
    number = [sum(BETA**i for i in range(int(n))) for n in counts[:2]]  # 1, b, b^2, ...: what each example adds
    assert found[0] / found[1] == pytest.approx(number[1] / number[0])
    assert 1 < found[1] / found[2] < 100_000 / 100


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("balanced", [7 / 6, 7 / 8]), ({"b": 3.0}, [1.0, 3.0]), ("none", None)],
)
def test_sets_of_labels_are_counted_label_by_label(
    tiny_base: Path, chosen: object, expected: list[float] | None
) -> None:
    train = Dataset.from_columns("train", {"text": ["x"] * 5, "labels": [["a", "b"], ["a"], ["b"], ["a", "b"], ["b"]]})
    task = make_task("multi-label-classification", MultiLabelSettings(), labels=("a", "b"), folder=tiny_base)
    settings = FinetuneSettings.model_validate({"class_weights": chosen})
    weights = loss_options(settings, task, train=train, device=torch.device("cpu")).class_weights
    assert weights is None if expected is None else weights.tolist() == pytest.approx(expected)  # type: ignore[union-attr]
