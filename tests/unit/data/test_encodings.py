"""UTF-8 and GB18030 are read; what is neither, or both, or no text at all, is refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hone.core.errors import Fault
from hone.data.encodings import MAGIC, detect

CHINESE = ["我想退款。", "忘记密码了，怎么办？", "屏幕坏了", "今天天气很好", "请帮我查一下订单"]


def found(folder: Path, content: bytes) -> tuple[str, list[Fault]]:
    file = folder / "file.txt"
    file.write_bytes(content)
    return detect(file, shown="file.txt")


def lines(texts: list[str], codec: str) -> bytes:
    return b"".join(f"{text}\n".encode(codec) for text in texts)


@pytest.mark.parametrize(
    "content",
    [b"plain\n", lines(CHINESE, "utf-8"), b"\xef\xbb\xbf" + lines(CHINESE, "utf-8"), lines(["naïve", "😀"], "utf-8")],
    ids=["ascii", "utf-8", "bom", "emoji"],
)
def test_utf8_with_and_without_bom(tmp_path: Path, content: bytes) -> None:
    assert found(tmp_path, content) == ("utf-8-sig", [])


def test_gb18030_is_recognized_by_everyday_chinese(tmp_path: Path) -> None:
    assert found(tmp_path, b"text\n" + lines(CHINESE, "gb18030")) == ("gb18030", [])


def test_a_gb18030_line_that_is_utf8_by_chance_does_not_spoil_the_file(tmp_path: Path) -> None:
    chance = "隆".encode("gb18030")  # 0xC2 0xA1, which is also the UTF-8 of an inverted exclamation mark
    assert chance.decode("utf-8") == "¡"
    assert found(tmp_path, lines(CHINESE * 40, "gb18030") + chance + b"\n") == ("gb18030", [])


def test_lines_in_latin_1_are_refused_by_line(tmp_path: Path) -> None:
    codec, faults = found(tmp_path, b"fine\n" + lines(["caf\xe9 ol\xe9", "plain", "\xfcber"], "latin-1"))
    assert codec == ""
    assert [(fault.code, fault.file, fault.line) for fault in faults] == [
        ("data.encoding", "file.txt", 2),
        ("data.encoding", "file.txt", 4),
    ]


def test_mixed_encodings_name_the_lines_of_the_rarer_one(tmp_path: Path) -> None:
    mixed = lines(CHINESE, "utf-8") + lines(CHINESE[:1], "gb18030") + lines(CHINESE, "utf-8")
    codec, faults = found(tmp_path, mixed)
    assert codec == ""
    assert [(fault.code, fault.line) for fault in faults] == [("data.mixed-encodings", 6)]


def test_few_utf8_lines_among_many_others_are_the_ones_named(tmp_path: Path) -> None:
    mixed = lines(CHINESE, "gb18030") + lines(["naïve 😀"], "utf-8")
    assert [(fault.code, fault.line) for fault in found(tmp_path, mixed)[1]] == [("data.mixed-encodings", 6)]


def test_five_lines_at_most_are_named(tmp_path: Path) -> None:
    _, faults = found(tmp_path, lines(["\xe9t\xe9"] * 20, "latin-1"))
    assert [fault.line for fault in faults] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("magic", MAGIC, ids=repr)
def test_what_begins_like_a_binary_file_is_called_by_its_name(tmp_path: Path, magic: bytes) -> None:
    codec, (fault,) = found(tmp_path, magic + b"rest\n")
    assert (codec, fault.code, fault.found, fault.file) == ("", "data.binary", MAGIC[magic], "file.txt")


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf16_is_refused(tmp_path: Path, codec: str) -> None:
    assert [fault.code for fault in found(tmp_path, "text\n".encode(codec))[1]] == ["data.binary"]


def test_a_nul_byte_makes_a_file_binary_and_its_line_is_named(tmp_path: Path) -> None:
    _, (fault,) = found(tmp_path, b"one\ntwo\nth\0ree\n")
    assert (fault.code, fault.line) == ("data.binary", 3)
