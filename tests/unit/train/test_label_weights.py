"""Weights of labels: by inverse frequency, by the effective number of examples, or as named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from hone.data.checks import label_counts
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.sampling import by_label, drawn_examples
from hone.tasks.settings import MultiLabelSettings, TokenClassificationSettings
from hone.tasks.tagging import TokenClassification
from hone.train.label_weights import BETA, FloatArray, effective, inverse, loss_options
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


@pytest.mark.parametrize("weigh", [inverse, effective])
def test_labels_without_examples_weigh_nothing_and_change_no_other_weight(
    weigh: Callable[[FloatArray], FloatArray],
) -> None:
    weights = weigh(np.array([8.0, 0.0, 2.0, 0.0]))
    assert weights.tolist() == pytest.approx([weigh(np.array([8.0, 2.0]))[0], 0, weigh(np.array([8.0, 2.0]))[1], 0])


@pytest.mark.parametrize("chosen", ["balanced", "effective"])
def test_smoothing_pulls_no_word_to_a_tag_that_no_row_has(tiny_base: Path, chosen: str) -> None:
    tags = [["O", "B-city", "O"], ["O", "O", "O"]]
    train = Dataset.from_columns("train", {"tokens": [["to", "rome", "now"], ["go", "home", "now"]], "tags": tags})
    labels = TokenClassification.labels_in({"tags": train.distinct("tags")})
    assert labels == ("O", "B-city", "I-city")
    task = make_task("token-classification", TokenClassificationSettings(), labels=labels, folder=tiny_base)
    settings = FinetuneSettings.model_validate({"class_weights": chosen, "label_smoothing_factor": 0.1})
    options = loss_options(settings, task, train=train, device=torch.device("cpu"))
    scores = torch.zeros(1, 3, 3, requires_grad=True)
    batch = {"word_mask": torch.ones(1, 3, dtype=torch.bool), "tags": torch.tensor([[0, 1, 0]])}
    found = task.loss({"logits": scores}, batch, options=options)
    assert found.weight > 0
    (pull,) = torch.autograd.grad(found.total / found.weight, scores)
    assert (pull[:, :, 2] > 0).all()  # down from a third, as any wrong tag


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


def test_weights_correct_what_sampling_leaves() -> None:
    """Of 90 and 10 examples, each read in two windows, 90 and 30 are drawn by the root of their frequency."""
    train = Dataset.from_columns("train", {"text": ["x"] * 100, "label": ["a"] * 90 + ["b"] * 10})
    windows = 200
    columns: dict[str, Any] = {"example": np.repeat(np.arange(100), 2), "truncated": [False] * windows,
                               "text_tokens": [1] * windows, "input_ids": [[1]] * windows}  # fmt: skip
    rows = Rows(pa.table(columns))
    passes = by_label(rows, train, Field("label", "label"), power=0.5, most=10, seed=1)
    assert label_counts(train.take(drawn_examples(passes, rows)), "label") == {"a": 90, "b": 30}
