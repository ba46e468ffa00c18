"""Digests change with the content, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.core.lineage import CHUNK_BYTES, canonical_json, digest_bytes, digest_file, digest_value

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of nothing, FIPS 180-4


def test_the_digest_of_nothing_is_the_published_one() -> None:
    assert digest_bytes(b"") == EMPTY


def test_a_file_has_the_digest_of_its_bytes_however_many_chunks_it_takes(tmp_path: Path) -> None:
    data = bytes(range(256)) * (CHUNK_BYTES // 256) + b"and more"
    file = tmp_path / "file.bin"
    file.write_bytes(data)
    assert digest_file(file) == digest_bytes(data)


def test_canonical_json_has_sorted_keys_no_spaces_and_utf8() -> None:
    assert canonical_json({"b": [1, 2.5], "a": {"d": None, "c": "北京"}}) == (
        '{"a":{"c":"北京","d":null},"b":[1,2.5]}'.encode()
    )


def test_equal_values_have_one_digest_whatever_the_order_of_their_keys() -> None:
    assert digest_value({"a": 1, "b": 2}) == digest_value({"b": 2, "a": 1})
    assert digest_value([1, 2]) != digest_value([2, 1])


def test_a_value_that_json_cannot_hold_has_no_digest() -> None:
    with pytest.raises(ValueError):
        digest_value({"a": float("nan")})
