"""Files appear whole or not at all; room on the disk is there before a file is mapped."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hone.core.disk import appearing, reserve, write_atomically


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file may grow beyond so many bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield 1 << 16
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("encoding", "content"), [(None, b"\xff new"), ("utf-8", "新的")])
def test_a_file_appears_when_it_is_whole(tmp_path: Path, encoding: str | None, content: Any) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with appearing(target, encoding=encoding) as file:
        file.write(content)
        file.flush()
        assert target.read_text() == "old"
    assert target.read_bytes() == (content if encoding is None else content.encode())
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_was_not_finished_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def write_half() -> None:
        with appearing(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_disk_that_is_full_at_the_end_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_who_may_read_it_is_said(tmp_path: Path) -> None:
    write_atomically(tmp_path / "open", b"")
    with appearing(tmp_path / "own", mode=0o600):
        pass
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("open", "own")] == [0o644, 0o600]


def test_a_name_as_long_as_the_disk_takes_has_a_sibling(tmp_path: Path) -> None:
    target = tmp_path / ("名" * 85)
    write_atomically(target, b"x")
    assert target.read_bytes() == b"x"


@pytest.fixture(params=["at once", "as zeros", "none of this system"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the room is had: file systems and systems differ."""

    def unknown(*args: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if request.param == "as zeros":
        monkeypatch.setattr(os, "posix_fallocate", unknown)
    elif request.param == "none of this system":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    return str(request.param)


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_room_is_zeros_that_the_disk_holds(tmp_path: Path, way: str, size: int) -> None:
    path = tmp_path / "file"
    with path.open("w+b") as file:
        reserve(file, size)
    assert path.read_bytes() == bytes(size), way
    assert path.stat().st_blocks * 512 >= size


def test_a_disk_without_room_is_told(tmp_path: Path, way: str, small_disk: int) -> None:
    with (tmp_path / "file").open("w+b") as file, pytest.raises(OSError, match=r"File too large"):
        reserve(file, 2 * small_disk)
    assert (tmp_path / "file").stat().st_size <= small_disk, way
