"""Fixtures of all tests: a tiny base, tiny rows, a cache of their own, no network."""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: more threads only wait for one another

TEXTS = {
    "refund": ["i want my money back", "please refund my order", "refund not here yet", "need the refund for the card"],
    "password": ["forgot my password", "reset the password please", "password does not work", "new password email"],
    "broken": ["the screen is broken", "my laptop is broken", "printer broken again", "broken phone screen"],
}
ENDINGS = ["", " please", " thanks", " now", " today", " again", " help me", " asap"]


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, one after another; `mktemp` would look through all that there are for each, thousands at the end."""
    within = tmp_path_factory.mktemp("caches")

    def made() -> Iterator[Path]:
        for number in itertools.count():
            folder = within / str(number)
            folder.mkdir()
            yield folder

    return made()


@pytest.fixture(autouse=True)
def _own_cache(_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_CACHE", str(next(_caches)))


@pytest.fixture
def listener() -> type[Any]:
    """A kind of `Progress` that keeps what is said, as ``words``."""
    from hone.core.progress import Silent

    class Listener(Silent):
        def __init__(self) -> None:
            self.words: list[str] = []

        def say(self, words: str) -> None:
            self.words.append(words)

    return Listener


@pytest.fixture(scope="module")
def few_timings() -> Iterator[None]:
    """What was compressed is timed on 8 texts, not on up to 500: how fast a tiny model is asks no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hone.compress.compress.TIMED_TEXTS", 8)
        yield


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT base."""
    from hone.models.tiny import write_tiny_base

    return write_tiny_base(tmp_path_factory.mktemp("tiny") / "base")


def classification_rows() -> list[dict[str, object]]:
    """96 distinct rows over three labels."""
    return [
        {"text": text + ending, "label": label}
        for label, texts in TEXTS.items()
        for text in texts
        for ending in ENDINGS
    ]


def tagging_rows() -> list[dict[str, object]]:
    """40 rows with two entity types that case alone tells apart."""
    names = ["Ada", "Bob", "Eve", "Max", "Zoe", "Tim", "Kim", "Lea", "Ben", "Amy"]
    places = ["paris", "rome"]
    rows: list[dict[str, object]] = []
    for name in names:
        for place in places:
            rows.append({"tokens": [name, "is", "in", place, "."], "tags": ["B-PER", "O", "O", "B-LOC", "O"]})
            rows.append({"tokens": ["is", name, "Fox", "not", "here"], "tags": ["O", "B-PER", "I-PER", "O", "O"]})
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows; returns the path."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Path]:
    """Classification files: train and test."""
    rows = classification_rows()
    return {
        "train": write_jsonl(tmp_path / "train.jsonl", [row for i, row in enumerate(rows) if i % 4]),
        "test": write_jsonl(tmp_path / "test.jsonl", rows[::4]),
    }


@pytest.fixture
def tagged(tmp_path: Path) -> dict[str, Path]:
    """Tagging files: train and test."""
    rows = tagging_rows()
    return {
        "train": write_jsonl(tmp_path / "tagged-train.jsonl", [row for i, row in enumerate(rows) if i % 4]),
        "test": write_jsonl(tmp_path / "tagged-test.jsonl", rows[::4]),
    }


@pytest.fixture(scope="session")
def text_bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-classification bundle (mean pooling) trained on the tiny rows. Never write into it: copy it."""
    return _bundle("text-classification", classification_rows(), tiny_base, tmp_path_factory.mktemp("text-bundle"))


@pytest.fixture(scope="session")
def tag_bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token-classification bundle (crf, word shapes) trained on the tiny rows. Never write into it: copy it."""
    task = {"name": "token-classification", "head": "crf", "word_shape": True}
    return _bundle(task, tagging_rows(), tiny_base, tmp_path_factory.mktemp("tag-bundle"))


@pytest.fixture(scope="session")
def onnx_bundle(text_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text_bundle` as an ONNX graph. Never write into it: copy it."""
    from hone.cli.main import main

    folder = tmp_path_factory.mktemp("onnx-bundle")
    train = write_jsonl(folder / "train.jsonl", classification_rows()[::8])
    os.environ["HONE_CACHE"] = str(folder / "cache")
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(text_bundle), str(train), "--method", "onnx", "--out", str(folder / "bundle")])
    assert ended.value.code == 0
    return folder / "bundle"


def _bundle(task: object, rows: list[dict[str, object]], base: Path, folder: Path) -> Path:
    import hone

    train = write_jsonl(folder / "train.jsonl", rows)
    os.environ["HONE_CACHE"] = str(folder / "cache")
    stage = {"kind": "finetune", "num_train_epochs": 8, "learning_rate": 5e-3, "save_steps": None}
    values = {"version": 1, "task": task, "base": str(base), "data": {"train": str(train)}, "stages": [stage]}
    result = hone.run(values, out=folder / "run")
    assert result.bundle is not None
    return result.bundle.path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[object, str, str]]]:
    """Runs ``hone`` with arguments: exit code, standard output and standard error."""
    from hone.cli.main import main

    logger = logging.getLogger("hone")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def call(*arguments: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return (ended.value.code, *capsys.readouterr())

    yield call
    logger.handlers[:], logger.level, logger.propagate = before
