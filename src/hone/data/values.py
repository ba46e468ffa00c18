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
    "labels": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
    "score": pa.float64(),
}
EXPECTED: dict[Kind, str] = {
    "text": "text",
    "label": "a label: text or a whole number",
    "tokens": "a list of at least one word",
    "labels": "a list of labels, none of them twice",
    "tags": "a list of BIO tags",
    "score": "a finite number",
}
_BIO = re.compile(r"O|[BI]-.+")
_OTHER_SCHEME = re.compile(r"[MESLU]-.+")


class RowChecker:
    """Checks raw rows against fields and gathers every fault.

    Args:
        fields: What each row must have.
        columns: Field name -> column name, where they differ.
        all_text: Whether every value comes as one text (csv, tsv): words and tags are parted by white space there,
            labels by ``|``, and numbers are written out.
    """

    def __init__(self, fields: Sequence[Field], *, columns: Mapping[str, str], all_text: bool = False) -> None:
        self.fields = fields
        self.names = {field.name: columns.get(field.name, field.name) for field in fields}
        self.all_text = all_text

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
            return _label(raw)
        if kind == "score":
            return _score(raw, written=self.all_text)
        if self.all_text and isinstance(raw, str):
            raw = [part.strip() for part in raw.split("|")] if kind == "labels" and raw.strip() else raw.split()
        return _label_set(raw) if kind == "labels" else _words(raw, kind)


def _label(raw: Any) -> tuple[Any, str]:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw), ""
    if isinstance(raw, str):
        return (raw, _broken(raw)) if raw.strip() else (None, "an empty label")
    return None, _described(raw)


def _label_set(raw: Any) -> tuple[Any, str]:
    """Labels, sorted, for a set has no order; none at all is an answer too."""
    if not isinstance(raw, list | tuple):
        return None, _described(raw)
    labels: list[str] = []
    for i, one in enumerate(raw):
        label, wrong = _label(one)
        if wrong or label in labels:
            return None, f"{wrong or f'the label {label!r} again'} at place {i + 1} of the list"
        labels.append(label)
    return sorted(labels), ""


def _score(raw: Any, *, written: bool) -> tuple[Any, str]:
    if written and isinstance(raw, str):
        try:
            raw = float(raw)
        except ValueError:
            return None, _described(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None, _described(raw)
    try:
        number = float(raw)
    except OverflowError:
        return None, "a whole number beyond float64"
    return (number, "") if math.isfinite(number) else (None, f"the number {number}")


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
