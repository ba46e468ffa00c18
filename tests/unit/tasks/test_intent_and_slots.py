"""``intent-and-slots``: one loss over both, answers of both, and which rows are right in all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from hone.data.dataset import Dataset
from hone.models import crf
from hone.models.crf import ChainParameters
from hone.tasks.intent_and_slots import IntentAndSlots
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.settings import IntentAndSlotsSettings

INTENTS = ("alarm", "fly", "play")
TAGS = ("O", "B-city", "I-city")
COLUMNS = {
    "tokens": [["fly", "to", "New", "York"], ["wake", "me"]],
    "tags": [["O", "O", "B-city", "I-city"], ["O", "O"]],
    "label": ["fly", "alarm"],
}


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = IntentAndSlotsSettings.model_validate({"slots": ["city"], **settings})
        return make_task("intent-and-slots", chosen, labels=INTENTS, folder=tiny_base)

    return make


def test_slots_are_the_types_that_training_shows() -> None:
    train = Dataset.from_columns("train", COLUMNS)
    settled = IntentAndSlots.settled(IntentAndSlotsSettings(), train)
    assert (settled.slots, settled.split) == (["city"], "words")
    stated = IntentAndSlots.settled(IntentAndSlotsSettings(slots=["city", "day"]), train)
    assert stated.slots == ["city", "day"]
    known = IntentAndSlots.known(settled.model_copy(update={"unknown_label": "oos"}), INTENTS)
    assert known == {"label": (*INTENTS, "oos"), "tags": TAGS}


@pytest.mark.parametrize("head", ["linear", "crf"])
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_the_loss_is_that_of_the_intents_and_of_whole_taggings(make: Any, head: str, weight: float) -> None:
    task = make(head=head, slot_weight=weight)
    rows = Rows(task.encode(COLUMNS, purpose="learn"))
    batch = task.collate(rows, np.arange(2))
    torch.manual_seed(0)
    logits, chain = torch.randn(2, 5, 3), ChainParameters(TAGS).chain()
    loss = task.loss({"logits": logits, **chain._asdict()}, batch, options=LossOptions())
    expected = functional.cross_entropy(logits[:, 0], torch.tensor([1, 0]), reduction="sum")
    for row, count in enumerate((4, 2)):
        words, tags = logits[row, 1 : 1 + count], batch["tags"][row, :count]
        if head == "crf":
            mask = torch.ones(1, count, dtype=torch.bool)
            slots = crf.negative_log_likelihood(words[None], mask, chain, tags[None]).sum()
        else:
            slots = functional.cross_entropy(words, tags, reduction="sum")
        expected = expected + weight * slots
    assert float(loss.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert loss.weight == 2


def test_answers_hold_the_intent_and_the_slots(make: Any) -> None:
    task = make(head="linear", word_shape=False)
    rows = Rows(task.encode({"text": ["fly to New York"]}, purpose="predict"))
    scores = np.full((5, 3), -9.0, dtype=np.float32)
    scores[[0, 1, 2, 3, 4], [1, 0, 0, 1, 2]] = 9.0
    [answer] = task.join({"text": ["fly to New York"]}, rows, [scores], constants={})
    assert answer["label"] == "fly"
    assert list(answer["scores"]) == list(INTENTS)
    [slot] = answer["entities"]
    assert (slot["label"], slot["start"], slot["end"], slot["text"]) == ("city", 7, 15, "New York")


def test_a_row_is_right_where_its_intent_and_all_its_slots_are(make: Any) -> None:
    task = make()
    empty = {"score": 0.9, "scores": dict.fromkeys(INTENTS, 0.3), "entities": [], "truncated": False}
    said = [
        {**empty, "label": "fly", "tags": ["O", "O", "B-city", "I-city"]},
        {**empty, "label": "fly", "tags": ["O", "O", "B-city", "O"]},
        {**empty, "label": "play", "tags": ["O", "O", "B-city", "I-city"]},
    ]
    columns = {name: [values[0]] * 3 for name, values in COLUMNS.items()}
    found = task.measures(task.tally(said, columns))
    assert found["frame_accuracy"] == pytest.approx(1 / 3)
    assert found["intent_accuracy"] == pytest.approx(2 / 3)
    assert found["slot_f1"] == pytest.approx(2 / 3)


def test_slots_that_are_stated_are_told_by_their_key() -> None:
    assert IntentAndSlots.named(IntentAndSlotsSettings(slots=["city"])) == {"tags": "slots"}
    assert IntentAndSlots.named(IntentAndSlotsSettings()) == {}
