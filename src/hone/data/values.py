"""Whether a raw value is what its field declares, and the value as hone keeps it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from hone.core.errors import Fault, did_you_mean
from hone.data.choices import ONE_WAY, Naming, parted, place_of
from hone.data.described import described
from hone.data.fields import Field, Kind
from hone.data.pairs import ANSWERS
from hone.data.stretches import astray, misplaced, overlapping, span_of, whole_number
from hone.data.turns import turns_of

ARROW: dict[Kind, pa.DataType] = {
    "text": pa.large_string(),
    "written": pa.large_string(),
    "references": pa.list_(pa.large_string()),
    "label": pa.string(),
    "tokens": pa.list_(pa.string()),
    "labels": pa.list_(pa.string()),
    "tags": pa.list_(pa.string()),
    "score": pa.float64(),
    "span": pa.struct([("start", pa.int64()), ("end", pa.int64())]),
    "answers": pa.list_(pa.struct([("text", pa.string()), ("start", pa.int64())])),
    "texts": pa.list_(pa.string()),
    "words": pa.list_(pa.string()),
    "choice": pa.int64(),
    "turns": pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())])),
    "answered": pa.list_(pa.struct([("role", pa.string()), ("text", pa.string())])),
    "entities": pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())])),
}
NO_OBJECTS = "A cell cannot hold that; write JSON lines."
EXPECTED: dict[Kind, str] = {
    "text": "text",
    "written": "a text to write, which is not empty",
    "references": "a list of at least one text, none of them empty",
    "label": "a label: text or a whole number",
    "tokens": "a list of at least one word",
    "labels": "a list of labels",
    "tags": "a list of BIO tags",
    "score": "a finite number",
    "span": "an object with start and end, in characters of the text, end exclusive",
    "answers": "a list of objects with text and start, as they stand in the context; empty where there is no answer",
    "texts": "a list of at least one text",
    "words": "a list of words, none of them empty",
    "choice": "the place of one of the choices, from 0, or its text",
    "entities": "a list of objects with start and end, in characters of the text, end exclusive, and a label",
    "turns": "a list of objects with a role (user, assistant, or first system) and a text; a user's is the last",
    "answered": "a list of objects with a role (user, assistant, or first system) and a text, one by the assistant",
}
NUMBERED = "_numbered"  # among a row's values: whether its labels were written as numbers
LABELED: tuple[Kind, ...] = ("label", "labels", "entities")  # kinds whose labels may be written as numbers
ONE_WRITING = "all labels as text, or all as whole numbers"
_BIO = re.compile(r"O|[BI]-.+")
_OTHER_SCHEME = re.compile(r"[MESLU]-.+")


class RowChecker:
    """Checks raw rows against fields and gathers every fault.

    Args:
        fields: What each row must have.
        columns: Field name -> column name, where they differ.
        all_text: Whether every value comes as one text (csv, tsv): words and tags are parted by white space there,
            labels by ``|``, and numbers are written out.
        late: What no row may have, for the first one has it not, and it would not be read.
        naming: How a text names one of a row's choices.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        *,
        columns: Mapping[str, str],
        all_text: bool = False,
        late: Sequence[Field] = (),
        naming: Naming = "text",
    ) -> None:
        self.fields = fields
        self._late = [columns.get(field.name, field.name) for field in late]
        self.names = {field.name: columns.get(field.name, field.name) for field in fields}
        self.all_text, self._naming = all_text, naming

    def check(self, raw: Mapping[str, Any], *, file: str, line: int) -> tuple[dict[str, Any], list[Fault]]:
        """The row's values by field name, and its faults."""
        values: dict[str, Any] = {}
        found, expected = "a column that the first row does not have", "it in every row, or in none"
        faults = [
            Fault("data.column-late", found, expected, file=file, line=line, field=column)
            for column in self._late
            if raw.get(column) is not None
        ]
        for field in self.fields:
            column = self.names[field.name]
            if raw.get(column) is None and not field.required:
                continue
            if column not in raw:
                fix = did_you_mean(column, raw, taken=self.names.values())
                faults.append(Fault("data.column-missing", "no such column", EXPECTED[field.kind], file=file, line=line,
                                    field=column, fix=fix))  # fmt: skip
                continue
            if field.kind in ("turns", "answered") and raw[column] is not None:
                values[field.name], odd = turns_of(raw[column], answered=field.kind == "answered")
                if odd is not None:
                    faults.append(Fault(odd.code, odd.found, EXPECTED[field.kind], file=file, line=line, field=column,
                                        fix=odd.fix))  # fmt: skip
                continue
            given = (
                _one_answer(raw[column]) if field.name in ANSWERS else raw[column]
            )  # may be the one turn that answers
            value, wrong = self._value(given, field.kind)
            if wrong:
                code = {"null": "data.null", "NaN": "data.nan"}.get(wrong, f"data.{field.kind}-kind")
                fix = NO_OBJECTS if self.all_text and field.kind in ("span", "answers", "entities") else ""
                faults.append(Fault(code, wrong, EXPECTED[field.kind], file=file, line=line, field=column, fix=fix))
            else:
                values[field.name] = value
                if field.kind in LABELED and not self.all_text:
                    ways = _writings(raw[column])
                    values[NUMBERED] = next(iter(ways), None)
                    if len(ways) > 1:
                        faults.append(Fault("data.label-writing", "labels as numbers and labels as text", ONE_WRITING,
                                            file=file, line=line, field=column))  # fmt: skip
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
        faults += self._spans(raw, values, file=file, line=line)
        faults += self._answers(values, file=file, line=line)
        faults += self._entities(raw, values, file=file, line=line)
        faults += self._choice(values, file=file, line=line)
        if "chosen" in values and values["chosen"] == values.get("rejected"):
            expected, column = "another text than the chosen one", self.names["rejected"]
            faults.append(Fault("data.pair-equal", "the same text", expected, file=file, line=line, field=column))
        return values, faults

    def _spans(self, raw: Mapping[str, Any], values: Mapping[str, Any], *, file: str, line: int) -> list[Fault]:
        """What is wrong with the spans of a row beside its text and beside each other."""
        names = [field.name for field in self.fields if field.kind == "span" and field.name in values]
        found = []
        for name in names:
            wrong = misplaced(values[name], values["text"], stated=raw[self.names[name]]) if "text" in values else ""
            if wrong:
                found.append((name, "data.span-place", wrong, EXPECTED["span"]))
        if not found and (overlap := overlapping({name: values[name] for name in names})):
            found.append((names[-1], "data.spans-overlap", overlap, "spans that do not overlap"))
        return [
            Fault(code, wrong, expected, file=file, line=line, field=self.names[name])
            for name, code, wrong, expected in found
        ]

    def _answers(self, values: Mapping[str, Any], *, file: str, line: int) -> list[Fault]:
        """Answers that do not stand in the context where the row says."""
        if "context" not in values:
            return []
        return [
            Fault("data.answer-place", wrong, EXPECTED["answers"], file=file, line=line, field=self.names[field.name])
            for field in self.fields
            if field.kind == "answers"
            for answer in values.get(field.name, [])
            if (wrong := astray(answer, values["context"]))
        ]

    def _entities(self, raw: Mapping[str, Any], values: Mapping[str, Any], *, file: str, line: int) -> list[Fault]:
        """Entities that do not lie in the text, or are not what the row says stands there."""
        return [
            Fault("data.entity-place", f"{wrong} at place {i + 1} of the list", EXPECTED["entities"], file=file,
                  line=line, field=self.names[field.name])
            for field in self.fields
            if field.kind == "entities" and "text" in values and field.name in values
            for i, entity in enumerate(raw[self.names[field.name]])
            if (wrong := misplaced(entity, values["text"], stated=entity))
        ]  # fmt: skip

    def _choice(self, values: dict[str, Any], *, file: str, line: int) -> list[Fault]:
        """A choice as its place; what is wrong where it is none of the row's."""
        names = [field.name for field in self.fields if field.kind == "choice"] if "choices" in values else []
        found = []
        for name in (name for name in names if name in values):
            said, choices = values[name], values["choices"]
            values[name] = place_of(said, choices, naming=self._naming)
            if values[name] < 0:
                way = f", and the labels of this file are read as {self._naming}s" if self.all_text else ""
                wrong = f"{described(said)}, and the row has {len(choices)} choices{way}"
                found.append(Fault("data.choice-place", wrong, EXPECTED["choice"], file=file, line=line,
                                   field=self.names[name], fix=ONE_WAY if way else ""))  # fmt: skip
        return found

    def _value(self, raw: Any, kind: Kind) -> tuple[Any, str]:
        """The value as kept, and what is wrong with it (empty when nothing is)."""
        if raw is None and self.all_text and kind == "labels":
            return [], ""  # an empty cell is a set of none
        if raw is None:
            return None, "null"
        if isinstance(raw, float) and math.isnan(raw):
            return None, "NaN"
        if kind == "text":
            return (raw, _broken(raw)) if isinstance(raw, str) else (None, described(raw))
        if kind == "written":
            wrong = "an empty text" if isinstance(raw, str) and not raw.strip() else ""
            return (raw, wrong or _broken(raw)) if isinstance(raw, str) else (None, described(raw))
        if kind == "label":
            return _label(raw)
        if kind == "score":
            return _score(raw, written=self.all_text)
        if kind == "span":
            return span_of(raw)
        if kind == "answers":
            return _answer_list(raw)
        if kind == "entities":
            return _entity_list(raw)
        if kind == "choice":
            good = isinstance(raw, int | str) and not isinstance(raw, bool)
            return (raw, "") if good else (None, described(raw))
        if self.all_text and isinstance(raw, str):
            barred = kind in ("labels", "texts", "references", "words") and raw.strip()
            raw = parted(raw) if barred else raw.split()
        return _label_set(raw) if kind == "labels" else _words(raw, kind)


def _one_answer(raw: Any) -> Any:
    """The text of an answer that is written as a list with one turn, the assistant's; else what it is."""
    if not isinstance(raw, list) or len(raw) != 1:
        return raw
    turns, odd = turns_of(raw, answered=True)
    return raw if odd is not None else turns[0]["text"]


def _writings(raw: Any) -> set[bool]:
    """Whether labels were written as numbers, of each of those in a value."""
    each = [raw] if isinstance(raw, str | int) else raw
    labels = (one.get("label", one.get("type")) if isinstance(one, Mapping) else one for one in each)
    return {not isinstance(label, str) for label in labels}


def _label(raw: Any) -> tuple[Any, str]:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw), ""
    if isinstance(raw, str):
        return (raw, _broken(raw)) if raw.strip() else (None, "an empty label")
    return None, described(raw)


def _label_set(raw: Any) -> tuple[Any, str]:
    """Labels, sorted and each once, for that is a set; none at all is an answer too."""
    if not isinstance(raw, list | tuple):
        return None, described(raw)
    labels: set[str] = set()
    for i, one in enumerate(raw):
        label, wrong = _label(one)
        if wrong:
            return None, f"{wrong} at place {i + 1} of the list"
        labels.add(label)
    return sorted(labels), ""


def _answer_list(raw: Any) -> tuple[Any, str]:
    """Answers as a list of objects, whose starts SQuAD calls ``answer_start``, or as the hub's copies of it have them:
    texts beside starts."""
    if isinstance(raw, Mapping) and isinstance(raw.get("text"), list | tuple):
        starts = raw.get("answer_start")
        if not isinstance(starts, list | tuple) or len(starts) != len(raw["text"]):
            return None, "an object without an answer_start for each text"
        raw = [{"text": text, "start": start} for text, start in zip(raw["text"], starts, strict=True)]
    if not isinstance(raw, list | tuple):
        return None, described(raw)
    found = []
    for i, one in enumerate(raw):
        answer, wrong = _answer(one)
        if wrong:
            return None, f"{wrong} at place {i + 1} of the list"
        found.append(answer)
    return found, ""


def _answer(raw: Any) -> tuple[Any, str]:
    if not isinstance(raw, Mapping):
        return None, described(raw)
    text = raw.get("text")
    if not isinstance(text, str):
        return None, "no text" if text is None else f"{described(text)} as text"
    if wrong := "an empty text" if not text.strip() else _broken(text):
        return None, wrong
    start, wrong = whole_number(raw, "answer_start" if "answer_start" in raw and "start" not in raw else "start")
    return {"text": text, "start": start}, wrong


def _entity_list(raw: Any) -> tuple[Any, str]:
    """Labeled spans in the order of the text, each once; the label may be called ``type``."""
    if not isinstance(raw, list | tuple):
        return None, described(raw)
    found: set[tuple[int, int, str]] = set()
    for i, one in enumerate(raw):
        span, wrong = span_of(one)
        label, odd = ("", wrong) if wrong else _label(one.get("label", one.get("type", "")))
        if odd:
            return None, f"{odd} at place {i + 1} of the list"
        found.add((span["start"], span["end"], label))
    return [{"start": start, "end": end, "label": label} for start, end, label in sorted(found)], ""


def _score(raw: Any, *, written: bool) -> tuple[Any, str]:
    if written and isinstance(raw, str):
        try:
            raw = float(raw)
        except ValueError:
            return None, described(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None, described(raw)
    try:
        number = float(raw)
    except OverflowError:
        return None, "a whole number beyond float64"
    return (number, "") if math.isfinite(number) else (None, f"the number {number}")


def _words(raw: Any, kind: Kind) -> tuple[Any, str]:
    if not isinstance(raw, list | tuple):
        return None, described(raw)
    if not raw and kind != "words":
        return None, "an empty list"
    for i, word in enumerate(raw):
        if not isinstance(word, str):
            return None, f"{described(word)} at place {i + 1} of the list"
        if broken := _broken(word):
            return None, f"{broken} at place {i + 1} of the list"
        if kind in ("references", "words") and not word.strip():
            return None, f"an empty {'text' if kind == 'references' else 'word'} at place {i + 1} of the list"
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
