"""One run at a time in a folder: what happens where runs end, and begin, at the same moment."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from small_recipes import values

from hone.core.errors import RecipeError
from hone.pipeline import alone
from hone.pipeline.alone import LAUNCHED, LOCK, alone_in
from hone.pipeline.curve import learning_curve
from hone.pipeline.yaml_file import to_yaml


def test_a_lock_that_its_run_has_just_removed_is_not_taken_for_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends between this one's opening of the file and its locking."""
    flock = fcntl.flock
    calls: list[int] = []

    def ends_first(lock: Any, how: int) -> None:
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(how)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", ends_first)
    with alone_in(tmp_path):
        assert len(calls) == 2
        with pytest.raises(RecipeError, match="another run"), alone_in(tmp_path):
            pass


def test_processes_that_are_started_again_wait_for_the_lost_ones_to_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LAUNCHED, "one")
    began, ends = threading.Event(), threading.Event()

    def first() -> None:
        with alone_in(tmp_path):
            began.set()
            ends.wait()

    thread = threading.Thread(target=first)
    thread.start()
    began.wait()
    threading.Timer(0.2, ends.set).start()
    with alone_in(tmp_path):
        assert ends.is_set()
    thread.join()
    monkeypatch.setattr(alone, "LEASE_SECONDS", 0.0)
    with alone_in(tmp_path), pytest.raises(RecipeError, match="another run"), alone_in(tmp_path):
        pass


def test_a_folder_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_here(lock: Any, how: int) -> None:
        raise OSError(os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", none_here)
    with caplog.at_level(logging.WARNING, logger="hone"), alone_in(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked" in caplog.text


def test_a_second_curve_removes_nothing_of_the_first(texts: dict[str, Path], tmp_path: Path, tiny_base: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(to_yaml(values(texts, base=str(tiny_base), stages=["finetune"])))
    with alone_in(tmp_path / "out"), pytest.raises(RecipeError) as raised:
        learning_curve(recipe, out=tmp_path / "out", points=1)
    assert raised.value.code == "run.in-use"
    assert not list((tmp_path / "out").glob("share-*"))
