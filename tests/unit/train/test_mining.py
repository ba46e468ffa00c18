"""Mined negatives: near, not too near, and never what belongs to the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.errors import DataError
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.models.model import build_model
from hone.predict.engine import TorchEngine
from hone.predict.vectors import vectors_of
from hone.tasks.make import make_task
from hone.tasks.settings import SentenceEmbeddingSettings
from hone.train.mining import with_negatives

COLUMNS = {
    "text_a": ["my card", "my card", "the screen", "a refund please", "new password"],
    "text_b": ["the card is new", "a card", "my card", "the refund", "password reset"],
}


def mined(base: Path, margin: float) -> tuple[Dataset, Any]:
    settings = SentenceEmbeddingSettings(negatives="mined", mined_margin=margin)
    task = make_task("sentence-embedding", settings, labels=(), folder=base)
    torch.manual_seed(0)
    model = build_model(base, task.head)
    train = Dataset.from_columns("train", COLUMNS)
    device = torch.device("cpu")
    found = with_negatives(train, task, model, progress=Silent(), device=device)
    return found, lambda texts: vectors_of(task, TorchEngine(model, device), texts)


def test_a_negative_is_the_nearest_that_is_far_enough(tiny_base: Path) -> None:
    found, embed = mined(tiny_base, 0.05)
    own = {"my card": {"the card is new", "a card", "my card"}}
    for a, b, negative in zip(*(found.column(name) for name in ("text_a", "text_b", "negative")), strict=True):
        others = [text for text in COLUMNS["text_b"] if text not in own.get(a, {b}) | {b}]
        assert negative in others
        query, positive, *near = embed([a, b, *others])
        scores = np.array([query @ one for one in near])
        allowed = scores <= query @ positive - 0.05
        best = np.where(allowed, scores, -np.inf).argmax() if allowed.any() else scores.argmin()
        assert negative == others[int(best)]


def test_the_rest_of_the_rows_stays(tiny_base: Path) -> None:
    found, _ = mined(tiny_base, 0.5)
    assert {name: found.column(name) for name in COLUMNS} == COLUMNS


def test_pairs_are_gone_through_some_at_a_time(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = mined(tiny_base, 0.05)
    monkeypatch.setattr("hone.train.mining.COSINES_AT_ONCE", 1)
    parts, _ = mined(tiny_base, 0.05)
    assert parts.column("negative") == whole.column("negative")


def test_a_row_that_goes_with_every_text_has_no_negative(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COLUMNS, "text_a", ["my card"] * 5)
    with pytest.raises(DataError, match="goes with every text_b"):
        mined(tiny_base, 0.05)
