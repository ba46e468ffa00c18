"""What may be wrong with rows that read well: duplicates, leaks, contradictions, odd characters, unknown labels.

Inputs are compared by a 128-bit hash, so memory is 16 bytes a row whatever the texts' length.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from hone.core.errors import DataError, Fault
from hone.data.dataset import Dataset
from hone.data.fields import TO_WRITE, Field
from hone.data.turns import texts_in
from hone.data.values import ONE_WRITING
from hone.text.bio import may_follow

ROWS_AT_ONCE = 4096
PLACES_NAMED = 5
LABELS_NAMED = 50
IntArray = NDArray[np.int64]

ZERO_WIDTH = re.compile("[\u200b-\u200d\u2060\ufeff\u00ad]")
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def input_hashes(dataset: Dataset, *fields: str) -> NDArray[np.void]:
    """A 16-byte hash of each row's input: its text, its texts, or its tokens."""
    out = np.empty(len(dataset), dtype="V16")
    for at in range(0, len(dataset), ROWS_AT_ONCE):
        part = dataset.slice(at, at + ROWS_AT_ONCE)
        for i, values in enumerate(zip(*(part[field] for field in fields), strict=True)):
            parts = [_raw(value) for value in values]
            raw = parts[0] if len(parts) == 1 else "".join(f"{len(part)}:{part}" for part in parts)
            out[at + i] = hashlib.blake2b(raw.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return out


def _raw(value: Any) -> str:
    """A text, words, turns or a span as one string, different ones differently."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\0".join(f"{turn['role']}={turn['text']}" for turn in value)
    return "\0".join(value) if isinstance(value, list) else "\0".join(f"{k}={v}" for k, v in value.items())


def _parts(dataset: Dataset, field: str) -> Iterator[tuple[int, list[Any]]]:
    for at in range(0, len(dataset), ROWS_AT_ONCE):
        yield at, dataset.slice(at, at + ROWS_AT_ONCE)[field]


def duplicates(dataset: Dataset, *fields: str) -> IntArray:
    """Rows whose input stood in an earlier row already, int64, ascending."""
    hashes = input_hashes(dataset, *fields)
    _, first = np.unique(hashes, return_index=True)
    return np.setdiff1d(np.arange(len(dataset)), first)


def leaked(train: Dataset, other: Dataset, *fields: str) -> IntArray:
    """Rows of ``train`` whose input occurs in ``other``, int64, ascending."""
    return np.flatnonzero(np.isin(input_hashes(train, *fields), input_hashes(other, *fields)))


def leaking(train: Dataset, other: Dataset, *fields: str) -> IntArray:
    """Rows of ``other`` whose input occurs in ``train``, int64, ascending."""
    return leaked(other, train, *fields)


def contradictions(dataset: Dataset, *fields: str, target: str) -> list[list[int]]:
    """Groups of rows with the same input and different targets, by their first row."""
    if target not in dataset.columns:
        return []
    _, inverse, counts = np.unique(input_hashes(dataset, *fields), return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[inverse] > 1)
    repeated = repeated[np.argsort(inverse[repeated], kind="stable")]  # group after group
    group = inverse[repeated]
    said = _value_hashes(dataset, target, repeated)
    differing = group[1:][(group[1:] == group[:-1]) & (said[1:] != said[:-1]).any(axis=1)]
    ends = (np.searchsorted(group, np.unique(differing), side=side) for side in ("left", "right"))
    return sorted(repeated[begin:end].tolist() for begin, end in zip(*ends, strict=True))


def _value_hashes(dataset: Dataset, field: str, rows: IntArray) -> NDArray[np.uint64]:
    """A hash of each row's value of a field, whatever its kind, uint64 [rows, 2]."""
    out = np.empty(len(rows), dtype="V16")
    for at in range(0, len(rows), ROWS_AT_ONCE):
        for i, value in enumerate(dataset.values(field, rows[at : at + ROWS_AT_ONCE]), start=at):
            out[i] = hashlib.blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return out.view(np.uint64).reshape(-1, 2)


def odd_texts(dataset: Dataset, *fields: str) -> dict[str, int]:
    """How many texts are empty, or hold zero-width, right-to-left or control characters, or only punctuation."""
    counts = dict.fromkeys(("empty", "zero_width", "right_to_left", "control", "only_punctuation", "over_1_mb"), 0)
    for _, values in itertools.chain.from_iterable(_parts(dataset, field) for field in fields):
        for value in values:
            text = value if isinstance(value, str) else " ".join(texts_in(value))
            counts["empty"] += not text.strip()
            counts["zero_width"] += bool(ZERO_WIDTH.search(text))
            counts["right_to_left"] += bool(BIDI.search(text) or RIGHT_TO_LEFT.search(text))
            counts["control"] += bool(CONTROL.search(text))
            counts["only_punctuation"] += bool(text.strip()) and not any(
                unicodedata.category(c)[0] in "LN" for c in text[:10_000]
            )
            counts["over_1_mb"] += len(text) > 1_000_000
    return counts


def illegal_bio(dataset: Dataset, field: str) -> list[tuple[int, int, str]]:
    """Places where an ``I-`` tag continues nothing: row, word (0-based) and tag."""
    found = []
    for at, values in _parts(dataset, field):
        for i, tags in enumerate(values):
            pairs = zip([None, *tags[:-1]], tags, strict=True)
            found += [(at + i, j, tag) for j, (before, tag) in enumerate(pairs) if not may_follow(before, tag)]
    return found


def label_counts(dataset: Dataset, target: str) -> Counter[str]:
    """How often each label, or tag, occurs, alone or in a list."""
    counts: Counter[str] = Counter()
    for _, values in _parts(dataset, target):
        for value in values:
            counts.update(labels_of(value))
    return counts


def label_sets(dataset: Dataset, target: str) -> Iterator[list[str]]:
    """The different labels, or tags, of each row in turn, in order."""
    for _, values in _parts(dataset, target):
        yield from (sorted(set(labels_of(value))) for value in values)


def single_labels(dataset: Dataset) -> int:
    """How many rows are the only ones with their ``label``; 0 where rows have none."""
    if "label" not in dataset.columns:
        return 0
    return sum(count == 1 for count in label_counts(dataset, "label").values())


def labels_of(value: Any) -> list[str]:
    """The labels of a target: itself, those of a list, or those of the entities in one; of answers none."""
    if isinstance(value, str | int):
        return [str(value)]
    each = (one.get("label") if isinstance(one, dict) else one for one in value) if isinstance(value, list) else ()
    return [one for one in each if isinstance(one, str)]


def require_teachable(train: Dataset, target: Field) -> None:
    """Raise unless the targets of ``train`` differ; where it has none and needs none, unless it has rows.

    Raises:
        DataError: There are none, or all are alike.
    """
    if target.name not in train.columns:
        _require_rows(train, "examples")
    elif target.kind in TO_WRITE:
        _require_rows(train, "texts to write")
    elif target.kind == "score":
        _require_two_numbers(train, target.name)
    elif target.kind == "choice":
        _require_rows(train, "questions with choices")
    elif target.kind in ("labels", "entities"):
        _require_a_label(train, target.name)
    elif target.kind == "answers":
        _require_an_answer(train, target.name)
    else:
        require_two_classes(train, target.name)


def require_known(
    known: Mapping[str, Sequence[str]],
    other: Dataset,
    *,
    chosen: bool = False,
    named: Mapping[str, str] | None = None,
) -> None:
    """Raise when a target of ``other`` has labels that are not among those ``known`` of it.

    Args:
        chosen: Whether the task may say which labels count.
        named: Of targets whose labels the task's settings name, their key that does.
    """
    for target, labels in known.items():
        if target in other.columns:
            require_known_labels(labels, other, target, chosen=chosen, named=(named or {}).get(target))


def _require_two_numbers(train: Dataset, target: str) -> None:
    _require_rows(train, "two different numbers")
    scores = train.numbers(target)
    if scores.min() == scores.max():
        raise DataError(
            f"every row of {train.origin} has the {target} {scores[0]:g}",
            expected="at least two different numbers",
            fix=f"Check the column: columns: {{{target}: NAME}}",
            code="data.one-score",
        )


def _require_a_label(train: Dataset, target: str) -> None:
    _require_rows(train, "labels")
    if not label_counts(train, target):
        raise DataError(
            f"no row of {train.origin} has any of {target}",
            expected="at least one label",
            fix=f"Check the column: columns: {{{target}: NAME}}",
            code="data.one-class",
        )


def _require_an_answer(train: Dataset, target: str) -> None:
    _require_rows(train, "questions and answers")
    if not any(pc.any(pc.greater(pc.list_value_length(part), 0)).as_py() for part in train.parts(target)):
        raise DataError(
            f"no row of {train.origin} has any of {target}",
            expected="at least one question with an answer",
            fix=f"Check the column: columns: {{{target}: NAME}}",
            code="data.one-class",
        )


def _require_rows(train: Dataset, expected: str) -> None:
    if not len(train):
        raise DataError(
            f"no row of {train.origin} is left to train on", expected=f"rows of {expected}", code="data.empty"
        )


def require_two_classes(train: Dataset, target: str) -> None:
    """Raise unless ``train`` teaches at least two labels.

    Raises:
        DataError: It has one label only, which is named.
    """
    _require_rows(train, "two labels")
    labels = sorted(label_counts(train, target))
    if len(labels) < 2:
        raise DataError(
            f"every row of {train.origin} has the {target} {labels[0]!r}",
            expected="at least two different labels",
            fix=f"Check the column: columns: {{{target}: NAME}}",
            code="data.one-class",
        )


def require_known_labels(
    labels: Sequence[str], other: Dataset, target: str, *, chosen: bool = False, named: str | None = None
) -> None:
    """Raise when ``other`` has labels that training never showed, or that the task's setting ``named`` leaves out.

    Raises:
        DataError: The first 50 labels are named, with the first lines they stand on; all are counted.
    """
    if named is not None:
        refuse_others(
            labels,
            other,
            target,
            found=f"labels that task.{named} does not have",
            expected=f"one of task.{named}",
            fix=f"Add them to task.{named}, or leave it out: then those of train count.",
            code="data.label-other",
        )
        return
    refuse_others(
        labels,
        other,
        target,
        found="labels that train never shows",
        expected="one that train has",
        fix="Add training rows with these labels, or take the rows out"
        + ("; or say which labels count: task.labels." if chosen else "."),
        code="data.label-unseen",
    )


def refuse_others(
    labels: Sequence[str], other: Dataset, target: str, *, found: str, expected: str, fix: str, code: str
) -> None:
    """Raise when ``other`` has labels that are not among ``labels``; the words say what that means.

    Raises:
        DataError: The first 50 labels are named, with the first lines they stand on; all are counted.
    """
    known = set(labels)
    places: dict[str, list[int]] = {}
    for at, values in _parts(other, target):
        for i, value in enumerate(values, start=at):
            for label in set(labels_of(value)) - known:
                seen = places.setdefault(label, [])
                if len(seen) < PLACES_NAMED:
                    seen.append(i)
    if not places:
        return
    unknown = sorted(places)
    faults = []
    for label in unknown[:LABELS_NAMED]:
        for i in places[label]:
            file, line = other.place(i)
            faults.append(Fault(code, f"the label {label!r}", expected, file=file, line=line, field=target))
    more = f" and {len(unknown) - LABELS_NAMED} more" if len(unknown) > LABELS_NAMED else ""
    raise DataError(
        f"{other.name} has {found}: {', '.join(map(repr, unknown[:LABELS_NAMED]))}{more}",
        faults=faults,
        fix=fix,
        code=code,
    )


def require_one_writing(datasets: Iterable[Dataset], target: str) -> None:
    """Raise where some rows have labels written as numbers and others as text: ``1`` and ``"1"`` would be one label.

    Raises:
        DataError: The first row of either kind is named with file and line.
    """
    firsts: dict[bool, Fault] = {}
    for dataset in datasets:
        for numbered in (True, False):
            row = None if numbered in firsts else dataset.first_numbered(numbered)
            if row is not None:
                file, line = dataset.place(row)
                (value,) = dataset.values(target, np.array([row]))
                label = labels_of(value)[0]
                found = f"the label {label} as a number" if numbered else f"the label {label!r} as text"
                firsts[numbered] = Fault("data.label-writing", found, ONE_WRITING,
                                         file=file, line=line, field=target)  # fmt: skip
    if len(firsts) == 2:
        raise DataError(
            "some labels are written as numbers and some as text",
            faults=list(firsts.values()),
            fix="Write them all in one way, in every file.",
            code="data.label-writing",
        )
