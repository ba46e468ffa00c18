"""Embeddings kept while an index is made: where the file system has no locks that is said, and they are kept."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.core.errors import BundleError
from hone.core.progress import Silent
from hone.retrieval.kept import kept_vectors


def require_refused(target: Path) -> None:
    with (
        pytest.raises(BundleError, match="another process"),
        kept_vectors(target, {}, precision="float32", progress=Silent()),
    ):
        pass


def test_a_folder_without_locks_is_told_and_one_that_is_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "index"
    with kept_vectors(target, {}, precision="float32", progress=Silent()) as kept:
        kept.add(np.ones((2, 3), dtype=np.float32))
        require_refused(target)

    def none_here(lock: Any, how: int) -> None:
        raise OSError(os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", none_here)
    with (
        caplog.at_level(logging.WARNING, logger="hone"),
        kept_vectors(target, {}, precision="float32", progress=Silent()) as kept,
    ):
        kept.add(np.ones((2, 3), dtype=np.float32))
        assert kept.rows == 2
    assert f"{target} cannot be locked" in caplog.text


def test_a_lock_that_was_just_removed_is_not_taken_for_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process is done between this one's opening of the file and its locking."""
    target, flock, calls = tmp_path / "index", fcntl.flock, list[int]()

    def ends_first(lock: Any, how: int) -> None:
        if not calls:
            shutil.rmtree(tmp_path / ".index.unfinished")
        calls.append(how)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", ends_first)
    with kept_vectors(target, {}, precision="float32", progress=Silent()) as kept:
        kept.add(np.ones((2, 3), dtype=np.float32))
        require_refused(target)
        assert kept.rows == 2
    assert list(tmp_path.iterdir()) == []
