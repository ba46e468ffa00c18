"""Which encoding a text file is in: UTF-8, UTF-8 with BOM, or GB18030; anything else is refused, line by line."""

from __future__ import annotations

from pathlib import Path

from hone.core.errors import Fault

MAGIC = {
    b"PK\x03\x04": "a zip archive (or an Excel or Word file)",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
LINES_NAMED = 5
COMMON_SHARE = 0.9  # of the characters beyond ASCII that real Chinese text has within GB 2312


def detect(path: Path, *, shown: str) -> tuple[str, list[Fault]]:
    """The codec to read ``path`` with, or the faults that forbid it.

    Args:
        shown: The file's name in messages.

    Returns:
        Codec name (``utf-8-sig`` or ``gb18030``; empty with faults) and faults.
    """
    with path.open("rb") as file:
        head = file.read(8)
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            return "", [_fault("data.binary", shown, what)]
    lines = Lines()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if b"\0" in line:
                return "", [_fault("data.binary", shown, "a NUL byte: a binary file", line=number)]
            lines.add(number, line)
    if not lines.broken:
        return "utf-8-sig", []
    if lines.chinese.plausible and lines.fine <= lines.broken // 100:  # a few GB18030 words are valid UTF-8 by chance
        return "gb18030", []
    if lines.fine:
        code, expected = "data.mixed-encodings", "one encoding throughout"
        found = f"{lines.fine} lines in UTF-8 and {lines.broken} lines that are not"
        few = lines.first_broken if lines.broken <= lines.fine else lines.first_fine
    else:
        code, expected = "data.encoding", "UTF-8"
        found, few = "bytes that are neither UTF-8 nor GB18030", lines.first_broken
    fix = "Convert the file to UTF-8."
    return "", [Fault(code, found, expected, file=shown, line=line, fix=fix) for line in few]


class Lines:
    """Lines beyond ASCII, counted by whether they are UTF-8.

    Attributes:
        fine, broken: How many are UTF-8, and how many are not.
        first_fine, first_broken: Numbers of the first few of each.
        chinese: What the broken ones are as GB18030.
    """

    def __init__(self) -> None:
        self.fine = self.broken = 0
        self.first_fine: list[int] = []
        self.first_broken: list[int] = []
        self.chinese = Share()

    def add(self, number: int, line: bytes) -> None:
        """Count one line."""
        if line.isascii():
            return
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            self.broken += 1
            self.first_broken += [number] if len(self.first_broken) < LINES_NAMED else []
            self.chinese.add(line)
        else:
            self.fine += 1
            self.first_fine += [number] if len(self.first_fine) < LINES_NAMED else []


class Share:
    """How much of the lines, read as GB18030, is everyday Chinese."""

    def __init__(self) -> None:
        self.all = self.common = 0
        self.decodes = True

    def add(self, line: bytes) -> None:
        """Count one line."""
        try:
            text = line.decode("gb18030")
        except UnicodeDecodeError:
            self.decodes = False
            return
        beyond = [character for character in text if not character.isascii()]
        self.all += len(beyond)
        self.common += len("".join(beyond).encode("gb2312", "ignore")) // 2

    @property
    def plausible(self) -> bool:
        """Whether all lines decode and nearly all characters are common ones."""
        return self.decodes and self.all > 0 and self.common >= COMMON_SHARE * self.all


def _fault(code: str, file: str, found: str, *, line: int | None = None) -> Fault:
    return Fault(
        code,
        found,
        "text in UTF-8 or GB18030",
        file=file,
        line=line,
        fix="Unpack or export it to jsonl, csv, tsv or parquet first.",
    )
