"""Embeddings kept while an index is made: where the file system has no locks that is said, and they are kept."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.core.errors import BundleError
from hone.core.progress import Silent
from hone.retrieval.kept import kept_vectors


def test_a_folder_without_locks_is_told_and_one_that_is_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "index"
    with kept_vectors(target, {}, precision="float32", progress=Silent()) as kept:
        kept.add(np.ones((2, 3), dtype=np.float32))
        with (
            pytest.raises(BundleError, match="another process"),
            kept_vectors(target, {}, precision="float32", progress=Silent()),
        ):
            pass

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
