"""Run the command in this process, on a bundle and a recipe that may be changed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ended import Ended, Hone

from hone.cli import main as command


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Iterator[Hone]:
    """Run the command in this process; logging is put back afterwards."""
    logger = logging.getLogger("hone")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def call(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            command.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, said.out, said.err)

    yield call
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def copy(text_bundle: Path, tmp_path: Path) -> Path:
    """A text bundle that may be written to."""
    return Path(shutil.copytree(text_bundle, tmp_path / "bundle"))


@pytest.fixture
def recipe(texts: dict[str, Path], tiny_base: Path) -> Path:
    path = texts["train"].parent / "recipe.yaml"
    path.write_text(
        f"version: 1\nname: small\ntask: text-classification\nbase: {tiny_base}\n"
        "data: {train: train.jsonl, test: test.jsonl}\nstages:\n  - {kind: finetune, max_steps: 1}\n  - evaluate\n"
    )
    return path
