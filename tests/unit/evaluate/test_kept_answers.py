"""Files of answers are there whole or not at all: a part of one would look like all of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hone.bundle.stage import Run
from hone.core.progress import Silent
from hone.evaluate import compare, evaluate
from hone.tasks.protocol import Scored

COUNT = 5
COLUMNS = {"text": ["some words"] * COUNT, "label": ["a"] * COUNT}


class Ended(KeyboardInterrupt):
    """Raised in the middle of writing."""


class Answers(list[dict[str, Any]]):
    """Answers of which the last but one ends the process."""

    def __getitem__(self, place: Any) -> Any:
        if place == COUNT - 2:
            raise Ended
        return super().__getitem__(place)


def test_predictions_that_were_not_finished_leave_the_earlier_ones(tmp_path: Path) -> None:
    answers = [{"label": "b"}] * COUNT
    scored = Scored({}, np.ones(COUNT), COLUMNS["text"], COLUMNS["label"], COLUMNS["label"])
    evaluate._write_predictions(tmp_path, COLUMNS, answers, scored)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(before) == ["bad_cases.jsonl", "predictions.jsonl"]
    with pytest.raises(Ended):
        evaluate._write_predictions(tmp_path, COLUMNS, Answers([{"label": "c"}] * COUNT), scored)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_differences_that_were_not_finished_are_not_there(tmp_path: Path) -> None:
    run = Run(seed=1, device="cpu", folder=tmp_path, target=tmp_path, cache=tmp_path, progress=Silent())
    first, second = (
        SimpleNamespace(columns=COLUMNS, predictions=kind([{"label": "b"}] * COUNT)) for kind in (list, Answers)
    )
    order, apart = np.arange(COUNT), np.ones(COUNT, dtype=bool)
    with pytest.raises(Ended):
        compare._write(run, first, second, order=order, apart=apart)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    compare._write(run, first, first, order=order, apart=apart)  # type: ignore[arg-type]
    assert len((tmp_path / "differences.jsonl").read_text().splitlines()) == COUNT
