"""What is stored is made once, damage is mended by making it again, and a failure leaves nothing behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from hone.core.errors import HoneError
from hone.data.cache import default_cache, stored
from hone.data.corpus.card import Part, keep_card

SCHEMA = pa.schema([("text", pa.large_string()), ("count", pa.int64())])


class Maker:
    """Builds one batch and counts how often it was asked to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[pa.RecordBatch]:
        self.calls += 1
        yield pa.record_batch([["one", "two"] * 500, list(range(1000))], schema=SCHEMA)


def test_a_table_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    make = Maker()
    first = stored(tmp_path, "key", SCHEMA, make)
    again = stored(tmp_path, "key", SCHEMA, make)
    assert make.calls == 1
    assert first.equals(again)
    assert again.column("text")[1].as_py() == "two"


def test_another_key_is_another_table(tmp_path: Path) -> None:
    make = Maker()
    stored(tmp_path, "one", SCHEMA, make)
    stored(tmp_path, "two", SCHEMA, make)
    assert make.calls == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.arrow", "two.arrow"]


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_file_cut_short_is_made_again(tmp_path: Path, left: int) -> None:
    make = Maker()
    whole = stored(tmp_path, "key", SCHEMA, make).to_pydict()
    file = tmp_path / "key.arrow"
    data = file.read_bytes()
    file.write_bytes(data[:left])
    assert stored(tmp_path, "key", SCHEMA, make).to_pydict() == whole
    assert make.calls == 2
    assert file.read_bytes() == data


def test_a_file_damaged_inside_is_made_again(tmp_path: Path) -> None:
    make = Maker()
    whole = stored(tmp_path, "key", SCHEMA, make).to_pydict()
    file = tmp_path / "key.arrow"
    data = file.read_bytes()
    at = data.index(b"onetwoonetwo")
    file.write_bytes(data[:at] + b"\xff\xfe" + data[at + 2 :])
    assert stored(tmp_path, "key", SCHEMA, make).to_pydict() == whole
    assert make.calls == 2


def test_damaged_offsets_are_found_before_anyone_follows_them(tmp_path: Path) -> None:
    make = Maker()
    whole = stored(tmp_path, "key", SCHEMA, make).to_pydict()
    file = tmp_path / "key.arrow"
    data = file.read_bytes()
    third = (6).to_bytes(8, "little") + (9).to_bytes(8, "little")
    assert third in data
    file.write_bytes(data.replace(third, (1 << 40).to_bytes(8, "little") * 2, 1))
    assert stored(tmp_path, "key", SCHEMA, make).to_pydict() == whole
    assert make.calls == 2


def test_a_file_with_other_columns_is_made_again(tmp_path: Path) -> None:
    other = pa.schema([("text", pa.large_string())])
    stored(tmp_path, "key", other, lambda: [pa.record_batch([["x"]], schema=other)])
    assert stored(tmp_path, "key", SCHEMA, Maker()).schema.equals(SCHEMA)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_failing_build_leaves_nothing(tmp_path: Path, kind: type[BaseException]) -> None:
    def build() -> Iterator[pa.RecordBatch]:
        yield next(Maker()())
        raise kind("no more")

    with pytest.raises(kind):
        stored(tmp_path / "cache", "key", SCHEMA, build)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_failing_build_keeps_what_other_keys_hold(tmp_path: Path) -> None:
    stored(tmp_path, "good", SCHEMA, Maker())

    def build() -> Iterator[pa.RecordBatch]:
        raise ValueError("nothing")
        yield

    with pytest.raises(ValueError, match="nothing"):
        stored(tmp_path, "bad", SCHEMA, build)
    assert [path.name for path in tmp_path.iterdir()] == ["good.arrow"]


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HONE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.delenv("HONE_CACHE")
    assert default_cache() == tmp_path / "xdg" / "hone"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "hone"


def test_a_cache_folder_that_cannot_be_made_is_named_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HoneError) as caught:
        stored(tmp_path / "file" / "data", "key", SCHEMA, Maker())
    assert (caught.value.code, caught.value.exit_code) == ("cache.not-writable", 1)
    assert str(tmp_path / "file" / "data") in str(caught.value)
    assert "HONE_CACHE" in caught.value.fix


def test_a_disk_that_is_full_is_told_and_what_gives_the_batches_speaks_for_itself(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(HoneError) as caught:
            stored(tmp_path, "key", SCHEMA, Maker())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.code, caught.value.exit_code) == ("cache.not-writable", 1)
    assert str(tmp_path) in str(caught.value)

    def build() -> Iterator[pa.RecordBatch]:
        raise FileNotFoundError("texts.txt")
        yield

    with pytest.raises(FileNotFoundError, match=r"texts\.txt"):
        stored(tmp_path, "key", SCHEMA, build)
    assert list(tmp_path.iterdir()) == []


def test_so_is_a_card_of_a_corpus_that_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(HoneError) as caught:
        keep_card(tmp_path / "gone" / "card.json", Part(name="corpus", files=1, bytes=2))
    assert caught.value.code == "cache.not-writable"
    assert str(tmp_path / "gone") in str(caught.value)
