"""What a row says of the text that is to be written: attributes and keywords, which a model learns to go by (control
codes, Keskar et al. 2019), and words that the search alone goes by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.core.errors import FAULTS_NAMED, Fault, did_you_mean
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.data.turns import SYSTEM
from hone.tasks.decoding import DecodingSettings
from hone.tasks.faulty import FaultyExamples
from hone.tasks.long_text import TextTooLong
from hone.tasks.rows import Rows
from hone.tasks.writing_settings import ROW_WORDS

if TYPE_CHECKING:
    from hone.tasks.protocol import Columns


def control_texts(settings: Any, columns: Columns) -> list[str] | None:
    """What is read of each row's attributes and keywords, before what it is written from; None where the task has none.

    It is plain text, so that a pretrained base reads it in tokens that it knows: ``sentiment: good; keywords: sea,
    boat | ``. A row without keywords has none in it.
    """
    names = [*settings.attributes, *([settings.keywords] if settings.keywords else [])]
    if not names:
        return None
    rows = zip(*(columns[name] for name in names), strict=True)
    each = [zip(names, map(_said, values), strict=True) for values in rows]
    return ["; ".join(f"{name}: {value}" for name, value in row if value) + " | " for row in each]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def with_control(turns: Sequence[Mapping[str, str]], text: str) -> list[Mapping[str, str]]:
    """The turns of a conversation with ``text`` at the beginning of its system text, which is never left out."""
    if turns and turns[0]["role"] == SYSTEM:
        return [{**turns[0], "text": text + turns[0]["text"]}, *turns[1:]]
    return [{"role": SYSTEM, "text": text.strip()}, *turns]


def learned_values(attributes: Mapping[str, Sequence[str]], train: Dataset) -> dict[str, list[str]]:
    """The values of each attribute: those named, and where none are those that the training rows have."""
    return {name: list(named) or sorted(train.distinct(name)) for name, named in attributes.items()}


def require_values(attributes: Mapping[str, Sequence[str]], columns: Columns, *, start: int) -> None:
    """Raise `FaultyExamples` where a row has a value of an attribute that is not among those learned; ``start`` is the
    index of the first example."""
    wrong: dict[int, Fault] = {}
    for name, known in attributes.items():
        for i, value in enumerate(columns[name] if known else (), start=start):
            if value not in known:
                found, expected = f"the unknown {name} {value!r:.60}", f"one of {', '.join(known)}"
                wrong[i] = Fault("data.attribute", found, expected, field=name, fix=did_you_mean(value, known))
    if wrong:
        raise FaultyExamples("attributes have values that were not learned", wrong)


class ControlsTooLong(TextTooLong):
    """Attributes and keywords that leave no room beside them, where ``long_text`` is ``truncate``."""

    what = "attributes and keywords, which are never left out, are longer than a row has room for"
    fix = "Give fewer keywords, or raise max_length as far as the base goes."


def add_words(out: dict[str, list[Any]], columns: Columns, *, start: int) -> None:
    """Give encoded rows the words of their own of their examples, of which the first is ``start``: none where a data
    set has none."""
    for field in ROW_WORDS:
        words = columns.get(field.name)
        out[field.name] = [[] if words is None else words[example - start] for example in out["example"]]


def rows_with_words(rows: Rows) -> list[int]:
    """Indices of the encoded rows that have words of their own."""
    counts = [np.diff(rows.lists(field.name).offsets) for field in ROW_WORDS]
    found: list[int] = np.flatnonzero(np.sum(counts, axis=0)).tolist()
    return found


def written_by(
    settings: DecodingSettings, words: Mapping[str, Sequence[str]]
) -> tuple[DecodingSettings | None, Fault | None]:
    """The settings that a text is written by which has words of its own beside those of ``settings``, or what is wrong
    with them: they do not go with the others, or with one another."""
    both = {name: [*getattr(settings, name), *own] for name, own in words.items()}
    made, faults = check_settings(DecodingSettings, {**settings.model_dump(), **both})
    if made is not None:
        return made, None
    what = " and ".join(words)
    return None, replace(faults[0], found=f"{what} beside the decoding", field=what)


def word_faults(
    settings: DecodingSettings, data: Dataset, *, unwritable: Callable[[DecodingSettings], Fault | None]
) -> list[Fault]:
    """What is wrong with the words of rows that are to be written by ``settings``, of the first rows with file and
    line.

    Args:
        unwritable: What keeps a tokenizer from writing the words of some settings.
    """
    names = [field.name for field in ROW_WORDS if field.name in data.columns]
    seen: dict[str, Fault | None] = {}
    faults: list[Fault] = []
    for row, values in enumerate(zip(*map(data.column, names), strict=True)):
        words = {name: own for name, own in zip(names, values, strict=True) if own}
        if not words or len(faults) == FAULTS_NAMED:
            continue
        key = json.dumps(words)
        if key not in seen:
            made, fault = written_by(settings, words)
            fault = fault if made is None else unwritable(made)
            seen[key] = None if fault is None else replace(fault, field=" and ".join(words))
        if (fault := seen[key]) is not None:
            file, line = data.place(row)
            faults.append(replace(fault, file=file, line=line))
    return faults


def words_of(rows: Rows, index: int) -> dict[str, list[str]]:
    """The words of its own of an encoded row, by the settings of decoding that they are beside; each that it has."""
    found = {field.name: rows.row(field.name, index).tolist() for field in ROW_WORDS}
    return {name: words for name, words in found.items() if words}
