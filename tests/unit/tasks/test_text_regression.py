"""``text-regression``: scores on their own scale, learned on a standard one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.data.dataset import Dataset
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.regression import TextRegression
from hone.tasks.rows import Rows
from hone.tasks.settings import TextRegressionSettings


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = TextRegressionSettings.model_validate(settings)
        return make_task("text-regression", chosen, labels=("score",), folder=tiny_base)

    return make


def test_the_scale_is_that_of_the_training_scores() -> None:
    train = Dataset.from_columns("train", {"text": ["a", "b", "c", "d"], "score": [1.0, 1.0, 5.0, 5.0]})
    settled = TextRegression.settled(TextRegressionSettings(), train)
    assert (settled.center, settled.scale) == (3.0, 2.0)
    chosen = TextRegression.settled(TextRegressionSettings(center=0.5), train)
    assert (chosen.center, chosen.scale) == (0.5, 2.0)


def test_what_is_learned_and_what_is_answered_are_on_one_scale(make: Any) -> None:
    task = make(center=100.0, scale=20.0)
    columns = {"text": ["a", "b c"], "score": [100.0, 140.0]}
    rows = Rows(task.encode(columns, purpose="learn"))
    batch = task.collate(rows, np.arange(2))
    assert batch["score"].tolist() == [0.0, 2.0]
    assert batch["score"].dtype == torch.float32
    answers = task.join(columns, rows, [np.array([0.0]), np.array([2.0])], constants={})
    assert [answer["score"] for answer in answers] == [100.0, 140.0]


@pytest.mark.parametrize(("loss", "each"), [("mse", [1.0, 9.0]), ("mae", [1.0, 3.0]), ("huber", [0.5, 2.5])])
def test_each_loss_is_what_it_is_called(make: Any, loss: str, each: list[float]) -> None:
    task = make(loss=loss)
    batch = {"score": torch.tensor([0.0, 0.0])}
    found = task.loss({"logits": torch.tensor([[1.0], [3.0]])}, batch, options=LossOptions())
    assert float(found.total) == pytest.approx(sum(each))
    assert found.weight == 2.0


def test_the_measures_of_a_known_case(make: Any) -> None:
    task = make()
    tally = task.tally([{"score": s} for s in (2.0, 4.0, 7.0)], {"score": [1.0, 2.0, 3.0]})
    assert tally.tolist() == [[1.0, 2.0], [2.0, 4.0], [3.0, 7.0]]
    measures = task.measures(tally)
    assert measures["spearman"] == pytest.approx(1.0)
    assert measures["mae"] == pytest.approx(7 / 3)
    assert measures["rmse"] == pytest.approx(np.sqrt(21 / 3))


def test_the_farthest_misses_are_the_worst(make: Any) -> None:
    task = make()
    columns = {"text": ["a", "b", "c"], "score": [1.0, 2.0, 3.0]}
    scored = task.scored([{"score": 1.05}, {"score": 5.0}, {"score": 2.0}], columns)
    assert scored.badness.tolist() == [0.0, 3.0, 1.0]  # the first is as good as right
    assert (scored.gold, scored.said) == (["1", "2", "3"], ["1.05", "5", "2"])


def test_answers_are_told_by_what_was_annotated(make: Any) -> None:
    task = make()
    gold = [0.0] * 10 + [1.0] * 5 + [2.0] * 5
    said = [{"score": g + 0.5} for g in gold]
    grid = task.scored(said, {"text": ["x"] * 20, "score": gold}).tables["by_gold_score"]
    assert [(row[0], row[1], row[2], row[4]) for row in grid.rows] == [
        ("0", 0.0, 0.5, 10), ("1", 1.0, 1.5, 5), ("2", 2.0, 2.5, 5)]  # fmt: skip


def test_answers_agree_within_a_tenth_of_the_scale(make: Any) -> None:
    task = make(scale=2.0)
    assert task.agrees({"score": 1.0}, {"score": 1.19})
    assert not task.agrees({"score": 1.0}, {"score": 1.21})
