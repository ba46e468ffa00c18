"""Loading is silent, and what it silenced speaks again afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging as transformers_logging

from hone.models.quiet import quiet_loading


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger, bars = logging.getLogger("transformers"), transformers_logging.is_progress_bar_enabled()
    level = logger.level
    yield
    logger.setLevel(level)
    (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()


def test_loading_writes_nothing(tiny_base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    transformers_logging.enable_progress_bar()
    with quiet_loading():
        AutoModelForSequenceClassification.from_pretrained(tiny_base)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bars", [True, False])
def test_level_and_bars_are_put_back_even_after_an_error(bars: bool) -> None:
    (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()
    logging.getLogger("transformers").setLevel(logging.INFO)
    with pytest.raises(KeyError), quiet_loading():
        raise KeyError
    assert logging.getLogger("transformers").level == logging.INFO
    assert transformers_logging.is_progress_bar_enabled() is bars
