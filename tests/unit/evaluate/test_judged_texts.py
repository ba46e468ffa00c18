"""Another bundle says what each written text is like, and that is counted beside what its row asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.evaluate.judged import by_value, labeled
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import load
from hone.tasks.make import make_task
from hone.tasks.pairs import over
from hone.tasks.table import SETTINGS

REFUND, PASSWORD, BROKEN = "please refund my order", "forgot my password", "the screen is broken"
TOPICS = ["broken", "password", "refund"]
TWO = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
TURNS = [[{"role": role, "text": text} for role, text in said] for said in (TWO, TWO[:2])]
COLUMNS: dict[str, Any] = {"turns": TURNS, "topic": ["refund", "broken"]}


def answer(*texts: str) -> dict[str, Any]:
    return {"text": texts[-1], "truncated": False, "answers": [{"text": text, "ended": "stop"} for text in texts]}


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = write_tiny_writer(tmp_path_factory.mktemp("judged") / "gpt2", kind="gpt2", layers=1)
    settings = SETTINGS["dialogue"].model_validate({"attributes": {"topic": TOPICS}})
    return over(make_task("dialogue", settings, labels=(), folder=folder).judging("topic"), ["turns", "topic"])  # type: ignore[attr-defined]


def test_every_answer_of_a_conversation_is_judged(task: Any, text_bundle: Path) -> None:
    said = labeled(load(text_bundle), [answer(REFUND, PASSWORD), answer(BROKEN)])
    assert [[one["judged"] for one in each["answers"]] for each in said] == [["refund", "password"], ["broken"]]
    assert [each["judged"] for each in said] == ["password", "broken"]
    tally = task.tally(said, COLUMNS)
    assert task.measures(tally)["attribute_accuracy"] == pytest.approx(2 / 3)
    assert task.measure_specs["attribute_accuracy"].interval == "bootstrap"  # answers of one are no independent trials
    rows = by_value(task, tally, COLUMNS["topic"], resamples=100).rows
    assert [(row[0], row[1], row[-1]) for row in rows] == [("broken", 1.0, 1), ("refund", 0.5, 1)]


def test_a_text_alone_is_one_trial(text_bundle: Path) -> None:
    said = labeled(load(text_bundle), [{"text": REFUND, "ended": "stop"}, {"text": BROKEN, "ended": "stop"}])
    assert [each["judged"] for each in said] == ["refund", "broken"]
