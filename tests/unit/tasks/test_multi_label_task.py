"""``multi-label-classification``: sets of labels, and thresholds that are tuned, kept and applied."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from hone.compress.compare import measures
from hone.metrics.intervals import with_intervals
from hone.metrics.paired import Tallied, differences
from hone.tasks.make import make_task
from hone.tasks.multi_label import MultiLabelClassification
from hone.tasks.protocol import Deciding, LossOptions, weighing
from hone.tasks.rows import Rows
from hone.tasks.settings import MultiLabelSettings

LABELS = ("anger", "joy", "sadness")


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = MultiLabelSettings.model_validate(settings)
        return make_task("multi-label-classification", chosen, labels=LABELS, folder=tiny_base)

    return make


def answer(*scores: float) -> dict[str, Any]:
    return {"labels": [], "scores": dict(zip(LABELS, scores, strict=True)), "truncated": False}


def test_labels_of_all_rows_are_taught() -> None:
    assert MultiLabelClassification.labels_in({"labels": [["joy"], [], ["anger", "joy"]]}) == ("anger", "joy")


def test_targets_are_ones_where_a_label_is(make: Any) -> None:
    task = make()
    columns = {"text": ["a", "b", "c"], "labels": [["joy", "sadness"], [], ["anger"]]}
    rows = Rows(task.encode(columns, purpose="learn"))
    assert task.collate(rows, np.arange(3))["labels"].tolist() == [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert task.collate(rows, np.array([1]))["labels"].tolist() == [[0, 0, 0]]


def test_bce_is_the_mean_over_labels(make: Any) -> None:
    scores, gold = torch.randn(4, 3), torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    loss = make().loss({"logits": scores}, {"labels": gold}, options=LossOptions())
    assert float(loss.total) / loss.weight == pytest.approx(
        float(functional.binary_cross_entropy_with_logits(scores, gold)), abs=1e-6
    )


def test_class_weights_weigh_labels(make: Any) -> None:
    scores, gold = torch.randn(4, 3), torch.ones(4, 3)
    only = LossOptions(class_weights=torch.tensor([0.0, 2.0, 0.0]))
    loss = make().loss({"logits": scores}, {"labels": gold}, options=only)
    expected = functional.binary_cross_entropy_with_logits(scores[:, 1], gold[:, 1])
    assert float(loss.total) / loss.weight == pytest.approx(float(expected), abs=1e-6)


def test_focal_loss_is_that_of_the_paper(make: Any) -> None:
    chance, gold = torch.tensor([[0.9, 0.1, 0.6]]), torch.tensor([[1.0, 0.0, 0.0]])
    loss = make(loss="focal", focal_gamma=2.0).loss(
        {"logits": torch.logit(chance)}, {"labels": gold}, options=LossOptions()
    )
    truth = torch.tensor([0.9, 0.9, 0.4])
    assert float(loss.total) == pytest.approx(float((-((1 - truth) ** 2) * truth.log()).mean()), abs=1e-6)
    plain = make(loss="focal", focal_gamma=0.0).loss(
        {"logits": torch.logit(chance)}, {"labels": gold}, options=LossOptions()
    )
    assert float(plain.total) == pytest.approx(float((-truth.log()).mean()), abs=1e-6)


def test_extreme_scores_are_probabilities(make: Any) -> None:
    task = make()
    rows = Rows(task.encode({"text": ["a"]}, purpose="predict"))
    [found] = task.join({"text": ["a"]}, rows, [np.array([-2000.0, 0.0, 2000.0], dtype=np.float32)], constants={})
    assert found["scores"] == {"anger": 0.0, "joy": 0.5, "sadness": 1.0}
    assert found["labels"] == ["joy", "sadness"]


def test_thresholds_are_tuned_kept_and_applied(make: Any) -> None:
    task = make()
    assert isinstance(task, Deciding)
    gold = [["anger"]] * 6 + [[]] * 6
    said = [answer(0.3, 0.1, 0.9)] * 6 + [answer(0.2, 0.1, 0.9)] * 6
    decision = task.fit_decision(said, {"labels": gold})
    assert 0.2 < decision["thresholds"]["anger"] <= 0.3
    assert decision["thresholds"]["joy"] == 0.5  # too few examples to tune on
    decided = task.decided(decision)
    assert decided.answered(said[0])["labels"] == ["anger", "sadness"]
    assert decided.answered(said[-1])["labels"] == ["sadness"]
    assert task.answered(said[0])["labels"] == ["sadness"]  # the task itself is as it was


def test_measures_tell_what_the_thresholds_bring(make: Any) -> None:
    task = make()
    columns = {"labels": [["anger"]] * 6 + [[]] * 6}
    said = [answer(0.3, 0.1, 0.1)] * 6 + [answer(0.2, 0.1, 0.1)] * 6
    decided = task.decided(task.fit_decision(said, columns))
    measures = decided.measures(decided.tally([decided.answered(one) for one in said], columns))
    assert measures["macro_f1"] == 1.0
    assert measures["exact_match"] == 1.0
    assert measures["macro_f1_at_half"] == 0.0
    assert measures["mean_average_precision"] == 1.0


def test_bad_answers_are_those_with_wrong_labels_the_farthest_off_first(make: Any) -> None:
    task = make()
    columns = {"text": ["a", "b", "c"], "labels": [["joy"], ["joy"], ["joy"]]}
    said = [task.answered(one) for one in (answer(0.1, 0.9, 0.1), answer(0.1, 0.4, 0.1), answer(0.9, 0.1, 0.1))]
    scored = task.scored(said, columns)
    assert scored.badness.tolist() == pytest.approx([0.0, 0.1, 0.8])
    assert (scored.gold, scored.said) == (["joy"] * 3, ["joy", "–", "anger"])
    rows = {row[0]: row for row in scored.tables["per_label"].rows}
    assert rows["joy"][1:4] == pytest.approx([0.5, 1.0, 1 / 3])


@pytest.fixture
def tallies() -> tuple[Any, Any]:
    """Of two ways to answer the same 80 texts."""
    rng = np.random.default_rng(0)
    gold = rng.random((80, 3)) < [0.4, 0.2, 0.1]
    one, other = (np.clip(0.35 * gold + 0.3 * rng.random((80, 3)) + more, 0, 1).round(2) for more in (0.1, 0.25))
    first, second = (np.concatenate([gold, scores >= 0.4, scores], axis=1) for scores in (one, other))
    return first, second


def test_intervals_by_weights_are_those_of_copied_rows(make: Any, tallies: Any) -> None:
    task, (tally, _) = make(), tallies
    plain, weighed = (
        with_intervals(tally, task.measures, specs=task.measure_specs, additive=False, resamples=150, weighing=way)
        for way in (None, task.weighed)
    )
    assert [measure.name for measure in weighed] == [measure.name for measure in plain]
    for one, other in zip(plain, weighed, strict=True):
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=1e-12)


def test_differences_by_weights_are_those_of_copied_rows(make: Any, tallies: Any) -> None:
    task = make()
    plain, weighed = (
        differences(*(Tallied(tally, task.measures, way) for tally in tallies), additive=False, resamples=150)
        for way in (None, weighing(task))
    )
    assert plain.keys() == weighed.keys()
    for name, one in plain.items():
        assert astuple(weighed[name]) == pytest.approx(astuple(one), abs=1e-12)


def test_intervals_copy_no_rows(make: Any, tallies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task, measured, plain = make(), list[int](), MultiLabelClassification.measures
    monkeypatch.setattr(task, "measures", lambda tally: measured.append(len(tally)) or plain(task, tally))
    said = [answer(*scores) for scores in tallies[0][:, 6:].tolist()]
    columns = {"text": ["a"] * 80, "labels": [[]] * 40 + [["joy"]] * 40}
    found = {one.name: one for one in measures(task, [task.answered(one) for one in said], columns)}
    assert measured == [80]
    assert found["mean_average_precision"].low is not None
