"""One label a text, or none of those known: what is answered, and the threshold that validation sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from hone.metrics.intervals import with_intervals
from hone.tasks.label_answers import LabelAnswers, scope_measures
from hone.tasks.make import make_task
from hone.tasks.protocol import Deciding, LossOptions
from hone.tasks.settings import IntentAndSlotsSettings, TextClassificationSettings


def scores(a: float, b: float, **more: float) -> dict[str, float]:
    return {"a": a, "b": b, **more}


def predictions(*given: dict[str, float]) -> list[dict[str, Any]]:
    return [{"scores": each} for each in given]


def test_without_an_unknown_label_the_likeliest_is_answered() -> None:
    said = LabelAnswers(("a", "b"), unknown=None).of(scores(0.3, 0.7))
    assert (said["label"], said["score"]) == ("b", 0.7)
    assert LabelAnswers(("a", "b"), unknown=None).fit(predictions(scores(0.3, 0.7)), ["b"], drop=0.5) is None


def test_below_the_threshold_a_text_is_unknown() -> None:
    answers = LabelAnswers(("a", "b"), unknown="oos", decision={"threshold": 0.6})
    assert answers.names == ("a", "b", "oos")
    assert answers.of(scores(0.4, 0.6))["label"] == "b"
    said = answers.of(scores(0.45, 0.55))
    assert (said["label"], said["score"]) == ("oos", pytest.approx(0.45))


def test_an_unknown_label_that_was_learned_is_answered_where_it_is_likeliest() -> None:
    answers = LabelAnswers(("a", "b", "oos"), unknown="oos")
    assert answers.names == ("a", "b", "oos")
    said = answers.of(scores(0.2, 0.3, oos=0.5))
    assert (said["label"], said["score"]) == ("oos", 0.7)
    assert answers.of(scores(0.2, 0.5, oos=0.3))["label"] == "b"


def test_the_threshold_ignores_rows_of_the_unknown_label() -> None:
    answers = LabelAnswers(("a", "b"), unknown="oos")
    known = predictions(*(scores(chance, 1 - chance) for chance in (0.6, 0.7, 0.8, 0.9)))
    decision = answers.fit(known, ["a"] * 4, drop=0.25)
    assert decision == {"threshold": pytest.approx(0.65)}
    assert answers.fit([*known, *predictions(scores(0.99, 0.01))], [*"aaaa", "oos"], drop=0.25) == decision


def test_where_nothing_known_is_right_there_is_no_threshold() -> None:
    answers = LabelAnswers(("a", "b"), unknown="oos")
    assert answers.fit(predictions(scores(0.9, 0.1)), ["b"], drop=0.1) is None
    assert answers.fit(predictions(scores(0.9, 0.1)), ["oos"], drop=0.1) is None


@given(st.dictionaries(st.integers(501, 999), st.sampled_from("abu"), max_size=40), st.floats(0, 0.9))
def test_the_threshold_costs_all_that_it_may_and_no_more(rows: dict[int, str], drop: float) -> None:
    answers = LabelAnswers(("a", "b"), unknown="u")
    said = predictions(*(scores(chance / 1000, 1 - chance / 1000) for chance in rows))
    decision = answers.fit(said, list(rows.values()), drop=drop)
    right = [one for one, label in zip(said, rows.values(), strict=True) if label == "a"]
    assert (decision is None) == (not right)
    if decision is not None:
        tuned = LabelAnswers(("a", "b"), unknown="u", decision=decision)
        lost = sum(tuned.of(one["scores"])["label"] == "u" for one in right)
        known = sum(label != "u" for label in rows.values())
        assert lost == min(int(drop * known + 1e-9), len(right) - 1)


def test_scope_is_measured_apart() -> None:
    gold, said = np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 2, 0])
    found = scope_measures(gold, said, ["a", "b", "oos"], unknown="oos")
    assert found == {"in_scope_accuracy": pytest.approx(2 / 3), "out_of_scope_recall": 0.5}
    assert scope_measures(gold[:2], said[:2], ["a", "oos"], unknown="oos")["out_of_scope_recall"] is None


@pytest.fixture
def task(tiny_base: Path) -> Any:
    settings = TextClassificationSettings(unknown_label="oos", max_in_scope_drop=0.5)
    return make_task("text-classification", settings, labels=("a", "b"), folder=tiny_base)


def test_a_classifier_answers_by_the_decision_it_is_given(task: Any) -> None:
    assert isinstance(task, Deciding)
    given = [{"label": "a", "score": c, "scores": scores(c, 1 - c), "truncated": False} for c in (0.6, 0.8)]
    decision = task.fit_decision(given, {"label": ["a", "a"]})
    tuned = task.decided(decision)
    assert [tuned.answered(one)["label"] for one in given] == ["oos", "a"]
    assert [task.answered(one)["label"] for one in given] == ["a", "a"]
    measured = tuned.measures(tuned.tally([tuned.answered(one) for one in given], {"label": ["oos", "a"]}))
    assert (measured["accuracy"], measured["out_of_scope_recall"]) == (1.0, 1.0)


@pytest.mark.parametrize("name", ["text-classification", "intent-and-slots"])
def test_measures_of_one_scope_rest_on_its_rows_alone(name: str, tiny_base: Path) -> None:
    kind, more = (IntentAndSlotsSettings, {"slots": ["x"]}) if name == "intent-and-slots" else (None, {})
    settings = (kind or TextClassificationSettings)(unknown_label="oos", **more)
    task: Any = make_task(name, settings, labels=("a", "b"), folder=tiny_base)
    said = [{"label": label, "score": 0.9, "entities": [], "tags": []} for label in ("a", "oos", "oos", "b", "a")]
    columns = {"label": ["a", "b", "oos", "b", "oos"], "tags": [[]] * 5}
    tally = task.tally(said, columns)
    found = {
        one.name: (one.value, one.n)
        for one in with_intervals(tally, task.measures, specs=task.measure_specs, additive=task.additive)
    }
    assert found["in_scope_accuracy"] == (pytest.approx(2 / 3), 3)
    assert found["out_of_scope_recall"] == (0.5, 2)
    assert found["accuracy" if name == "text-classification" else "intent_accuracy"] == (0.6, 5)


def test_rows_of_a_label_that_was_never_shown_teach_nothing(task: Any) -> None:
    logits, label = torch.randn(3, 2), torch.tensor([0, 2, 1])
    loss = task.loss({"logits": logits}, {"label": label}, options=LossOptions())
    expected = functional.cross_entropy(logits[[0, 2]], label[[0, 2]], reduction="sum")
    assert float(loss.total) == pytest.approx(float(expected), abs=1e-6)
    assert loss.weight == 2
    assert task.known(task.settings, task.labels) == {"label": ("a", "b", "oos")}
