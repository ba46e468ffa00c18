"""Whether a raw value is what its field declares, and the value as hone keeps it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from hone.core.errors import Fault, did_you_mean
from hone.data.fields import Field, Kind

ARROW: dict[Kind, pa.DataType] = {
    "text": pa.large_string(),
    "label": pa.string(),
    "tokens": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
}
EXPECTED: dict[Kind, str] = {
    "text": "text",
    "label": "a label: text or a whole number",
    "tokens": "a list of at least one word",
    "tags": "a list of BIO tags",
}
_BIO = re.compile(r"O|[BI]-.+")
_OTHER_SCHEME = re.compile(r"[MESLU]-.+")


class RowChecker:
    """Checks raw rows against fields and gathers every fault.

    Args:
        fields: What each row must have.
        columns: Field name -> column name, where they differ.
        words_in_text: Whether lists come as one text of words parted by white space (csv, tsv).
    """

    def __init__(self, fields: Sequence[Field], *, columns: Mapping[str, str], words_in_text: bool = False) -> None:
        self.fields = fields
        self.names = {field.name: columns.get(field.name, field.name) for field in fields}
        self.words_in_text = words_in_text

    def check(self, raw: Mapping[str, Any], *, file: str, line: int) -> tuple[dict[str, Any], list[Fault]]:
        """The row's values by field name, and its faults."""
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for field in self.fields:
            column = self.names[field.name]
            if column not in raw:
                if field.required:
                    faults.append(
                        Fault(
                            "data.column-missing",
                            "no such column",
                            EXPECTED[field.kind],
                            file=file,
                            line=line,
                            field=column,
                            fix=did_you_mean(column, raw),
                        )
                    )
                continue
            value, wrong = self._value(raw[column], field.kind)
            if wrong:
                code = {"null": "data.null", "NaN": "data.nan"}.get(wrong, f"data.{field.kind}-kind")
                faults.append(Fault(code, wrong, EXPECTED[field.kind], file=file, line=line, field=column))
            else:
                values[field.name] = value
        if "tokens" in values and "tags" in values and len(values["tokens"]) != len(values["tags"]):
            faults.append(
                Fault(
                    "data.length-mismatch",
                    f"{len(values['tags'])} tags",
                    f"{len(values['tokens'])}, one a token",
                    file=file,
                    line=line,
                    field=self.names["tags"],
                )
            )
        return values, faults

    def _value(self, raw: Any, kind: Kind) -> tuple[Any, str]:
        """The value as kept, and what is wrong with it (empty when nothing is)."""
        if raw is None:
            return None, "null"
        if isinstance(raw, float) and math.isnan(raw):
            return None, "NaN"
        if kind == "text":
            return (raw, _broken(raw)) if isinstance(raw, str) else (None, _described(raw))
        if kind == "label":
            if isinstance(raw, int) and not isinstance(raw, bool):
                return str(raw), ""
            if isinstance(raw, str):
                return (raw, _broken(raw)) if raw.strip() else (None, "an empty label")
            return None, _described(raw)
        if self.words_in_text and isinstance(raw, str):
            raw = raw.split()
        return _words(raw, kind)


def _words(raw: Any, kind: Kind) -> tuple[Any, str]:
    if not isinstance(raw, list | tuple):
        return None, _described(raw)
    if not raw:
        return None, "an empty list"
    for i, word in enumerate(raw):
        if not isinstance(word, str):
            return None, f"{_described(word)} at place {i + 1} of the list"
        if broken := _broken(word):
            return None, f"{broken} at place {i + 1} of the list"
        if kind == "tags" and not _BIO.fullmatch(word):
            scheme = ", which looks like BMES or BIOES" if _OTHER_SCHEME.fullmatch(word) else ""
            return None, f"the tag {word!r} at place {i + 1}{scheme}"
    return list(raw), ""


def _broken(text: str) -> str:
    r"""What is wrong with the characters of ``text``: JSON can write half of a surrogate pair, such as ``\ud83d``."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"half a character ({text[error.start]!a}) at character {error.start + 1}"
    return ""


def _described(value: Any) -> str:
    kinds = {bool: "the truth value", int: "the number", float: "the number", str: "the text", dict: "an object",
             list: "a list"}  # fmt: skip
    kind = kinds.get(type(value), f"a {type(value).__name__}")
    return kind if isinstance(value, dict | list) else f"{kind} {value!r:.60}"
