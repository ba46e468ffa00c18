"""Methods that put something before a text, and the heads that they cannot feed: told before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from hone.bundle.stage import Inputs, TaskChoice
from hone.tasks.table import SETTINGS
from hone.train.faults import tuning_faults
from hone.train.settings import FinetuneSettings


@pytest.mark.parametrize(
    ("task", "chosen", "refused"),
    [
        ("text-classification", {}, False),
        ("text-classification", {"pooling": "cls"}, True),
        ("sentence-embedding", {"pooling": "cls"}, True),
        ("token-classification", {}, True),
        ("token-classification", {"word_shape": True}, False),
        ("token-classification", {"head": "crf"}, False),
        ("intent-and-slots", {"head": "linear"}, False),
        ("multiple-choice", {}, True),
        ("fill-mask", {}, True),
        ("question-answering", {}, False),
    ],
)
def test_a_head_that_cannot_be_fed_is_refused(task: str, chosen: dict[str, Any], refused: bool) -> None:
    inputs = Inputs(task=TaskChoice(task, SETTINGS[task](**chosen)), base=None, data={})
    faults = tuning_faults(FinetuneSettings(method="prompt"), inputs)
    assert [fault.code for fault in faults] == (["recipe.method-head"] if refused else [])
