"""What a caller gives to be answered, as columns of one of the sets of input fields that a task answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from hone.core.errors import DataError
from hone.data.fields import Field, required
from hone.data.stretches import misplaced, overlapping, span_of
from hone.data.turns import turns_of
from hone.data.values import EXPECTED


def columns_of(inputs: Any, choices: Sequence[Sequence[Field]]) -> dict[str, list[Any]]:
    """``inputs`` as columns of one of the ``choices`` of input fields (see `Predictor.predict`)."""
    if isinstance(inputs, str | Mapping):
        inputs = [inputs]
    if hasattr(inputs, "columns") and hasattr(inputs, "to_dict"):  # a DataFrame, of pandas or polars
        names = list(inputs.columns)
        rows: Any = {name: inputs[name].to_list() for name in names if names.count(name) == 1}
    else:
        if hasattr(inputs, "tolist"):
            inputs = inputs.tolist()
        if isinstance(inputs, bytes | Set) or not isinstance(inputs, Iterable):  # a set has no order to answer in
            raise _kind_error(f"{type(inputs).__name__} {inputs!r:.60}", choices)
        rows = _columns_of_items(list(inputs), choices)
    for fields in choices:
        if all(name in rows for name in required(fields)):
            there = [field for field in fields if field.name in rows]
            columns = {field.name: _kept(rows[field.name], field) for field in there}
            _check(columns, there)
            return columns
    raise _missing(rows, choices)


def _columns_of_items(items: list[Any], choices: Sequence[Sequence[Field]]) -> dict[str, list[Any]]:
    kinds: dict[str, Any] = {"text": str, "tokens": (list, tuple)}
    bare = {fields[0].name: kinds.get(fields[0].kind, ()) for fields in choices if len(required(fields)) == 1}
    for name, kind in bare.items():
        if all(isinstance(item, kind) for item in items):
            return {name: items}
    if all(isinstance(item, Mapping) for item in items):
        lacking = []
        for fields in choices:
            names = required(fields)
            without = next((i for i, item in enumerate(items) if not item.keys() >= set(names)), None)
            if without is None:
                _require_alike(items, names, choices)
                more = [f.name for f in fields if not f.required and any(f.name in item for item in items)]
                return {name: [item.get(name, ()) for item in items] for name in [*names, *more]}
            lacking.append(without)
        raise _missing(items[max(lacking)], choices, at=f" in row {max(lacking) + 1}")
    kind = next((kind for kind in (*bare.values(), Mapping) if isinstance(items[0], kind)), ())
    odd = next(i for i, item in enumerate(items) if not isinstance(item, kind))
    raise _kind_error(f"{type(items[odd]).__name__} {items[odd]!r:.60} in row {odd + 1}", choices)


def _require_alike(
    items: Sequence[Mapping[str, Any]], names: Sequence[str], choices: Sequence[Sequence[Field]]
) -> None:
    """Raise where some items have all fields of a set with more than ``names``, which all items have: what these have
    besides would not be read."""
    for fields in choices:
        more = set(required(fields))
        if more > set(names) and any(item.keys() >= more for item in items):
            odd = next(i for i, item in enumerate(items) if not item.keys() >= more)
            raise _missing(items[odd], [fields], at=f" in row {odd + 1}, and others have more")


def _kind_error(found: str, choices: Sequence[Sequence[Field]]) -> DataError:
    alone = {fields[0].kind for fields in choices if len(required(fields)) == 1}
    kinds = [word for kind, word in (("text", "texts"), ("tokens", "token lists")) if kind in alone]
    names = " or ".join(" and ".join(required(fields)) for fields in choices)
    return DataError(
        f"found {found}",
        expected=" or ".join([*kinds, f"objects with {names}"]) + (", all of one kind" if kinds else ""),
        code="data.input-kind",
    )


def _missing(had: Iterable[Any], choices: Sequence[Sequence[Field]], *, at: str = "") -> DataError:
    return DataError(
        f"found the columns {', '.join(sorted(map(str, had))) or 'none'}{at}",
        expected=" or ".join(" and ".join(required(fields)) for fields in choices),
        code="data.input-missing",
    )


def _kept(values: list[Any], field: Field) -> list[Any]:
    """The values; conversations as hone keeps them, whole numbers that are labels as text.

    Raises:
        DataError: One of those is none, or there is nothing to answer in it.
    """
    if field.kind == "label":
        return [str(value) if type(value) is int else value for value in values]
    if field.kind != "turns":
        return values
    kept = []
    for i, value in enumerate(values):
        turns, odd = turns_of(value, answered=False)
        if odd is not None:
            raise DataError(
                f"row {i + 1} has {field.name} with {odd.found}", expected=EXPECTED["turns"], fix=odd.fix, code=odd.code
            )
        kept.append(turns)
    return kept


def _check(columns: Mapping[str, Sequence[Any]], fields: Sequence[Field]) -> None:
    for field in fields:
        for i, value in enumerate(columns[field.name] if field.kind != "turns" else ()):
            wrong = _wrong(value, field, columns["text"][i] if "text" in columns else "")
            if wrong:
                raise DataError(
                    f"row {i + 1} has {field.name} {wrong}", expected=EXPECTED[field.kind], code="data.input-kind"
                )
    spans = [field.name for field in fields if field.kind == "span"]
    for i, both in enumerate(zip(*(columns[name] for name in spans), strict=True)):
        if overlap := overlapping(dict(zip(spans, both, strict=True))):
            raise DataError(
                f"row {i + 1} has {overlap}", expected="spans that do not overlap", code="data.spans-overlap"
            )


def _wrong(value: Any, field: Field, text: Any) -> str:
    """What a value is that its field does not take; empty where it takes it."""
    if field.kind == "span":
        span, wrong = span_of(value)
        return wrong or misplaced(span, text if isinstance(text, str) else "", stated=value)
    if field.kind in ("text", "label"):
        good = _is_text(value)
    else:
        good = isinstance(value, list | tuple) and all(_is_text(word) for word in value)
        good = good and (field.kind != "texts" or len(value) > 0)
        good = good and (field.kind != "words" or all(word.strip() for word in value))
    return "" if good else f"{value!r:.60}"


def _is_text(value: Any) -> bool:
    """Whether it is a text without halves of surrogate pairs, which no tokenizer takes."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
