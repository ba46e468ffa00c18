"""However many texts a reward or a judgment is asked for, few are encoded together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.evaluate.judged import labeled
from hone.predict import predictor as module
from hone.predict.predictor import Predictor, load
from hone.predict.rewards import Reward
from hone.tasks.written_scores import JUDGED

TEXTS = ["i want my money back", "help", "the screen is broken", "forgot my password", "thanks", "refund please"] * 3


@pytest.fixture
def reader(text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Predictor, list[int]]:
    """A bundle that labels texts, and how many texts it was given each time."""
    monkeypatch.setattr(module, "EXAMPLES_AT_ONCE", 4)
    one, sizes = load(text_bundle, device="cpu"), list[int]()
    encode = one.task.encode

    def counted(columns: Any, **settings: Any) -> Any:
        sizes.append(len(columns["text"]))
        return encode(columns, **settings)

    monkeypatch.setattr(one.task, "encode", counted)
    return one, sizes


def test_rewards_are_asked_for_in_parts(reader: tuple[Predictor, list[int]]) -> None:
    one, sizes = reader
    label = one.task.labels[0]
    found = Reward(one, label).of(TEXTS, TEXTS)
    assert sizes == [4, 4, 4, 4, 2]
    assert found.tolist() == pytest.approx([one.predict(text)[0]["scores"][label] for text in TEXTS], abs=1e-6)


def test_judgments_are_asked_for_in_parts(reader: tuple[Predictor, list[int]]) -> None:
    one, sizes = reader
    values = [answer["label"] for answer in one.predict(TEXTS)]
    sizes.clear()
    found = labeled(one, [{"text": text} for text in TEXTS])
    assert sizes == [4, 4, 4, 4, 2]
    assert [prediction[JUDGED] for prediction in found] == values
