"""A measure has a value or says why not; a silent progress says nothing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hone.core.measures import Measure
from hone.core.progress import Progress, Silent


def test_a_measure_without_value_must_give_the_reason() -> None:
    with pytest.raises(ValidationError, match="macro_f1"):
        Measure(name="macro_f1", value=None)
    assert Measure(name="macro_f1", value=None, reason="no rows").value is None


def test_a_measure_cannot_be_changed() -> None:
    measure = Measure(name="accuracy", value=0.5)
    with pytest.raises(ValidationError):
        measure.value = 0.9  # type: ignore[misc]


def test_a_value_of_zero_is_a_value() -> None:
    assert Measure(name="accuracy", value=0.0).value == 0.0


def test_silent_progress_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress: Progress = Silent()
    progress.say("hello")
    progress.begin("training", total=3, unit="steps")
    progress.advance(1, loss=0.5)
    progress.finish()
    assert capfd.readouterr() == ("", "")
