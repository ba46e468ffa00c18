"""How the labels of a file name one of their rows' choices: by its text, or by its place, from 0.

In JSON a number is a place and a text is a text. In csv and tsv both are characters, and where choices are numbers
``1`` may be either: so all labels of a file are read in one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from hone.core.errors import Fault
from hone.data.fields import Field

Naming = Literal["text", "place"]
ONE_WAY = 'Write JSON lines, in which 1 is a place and "1" is a text; or give the choices texts that are no numbers.'


def parted(cell: str) -> list[str]:
    """The parts of a cell, which ``|`` stands between."""
    return [part.strip() for part in cell.split("|")]


def place_of(said: int | str, choices: Sequence[str], *, naming: Naming = "text") -> int:
    """The place among ``choices`` that a label names; of a text, ``naming`` says how. -1 where it names none."""
    if isinstance(said, str) and naming == "text":
        return choices.index(said) if said in choices else -1
    if isinstance(said, str) and not (said.isascii() and said.isdecimal()):
        return -1
    return int(said) if 0 <= int(said) < len(choices) else -1


def naming_of(
    rows: Iterable[tuple[int, Mapping[str, Any]] | Fault],
    fields: Sequence[Field],
    columns: Mapping[str, str],
    file: str,
) -> tuple[Naming, list[Fault]]:
    """How the labels of a csv or tsv file name choices: that by which more of them name one. A fault where both ways
    give one for every label, and not the same."""
    names = {field.kind: columns.get(field.name, field.name) for field in fields}
    if "choice" not in names or "texts" not in names:
        return "text", []
    named = {"text": 0, "place": 0}
    count, odd = 0, list[Fault]()
    for row in rows:
        cells = ("", "") if isinstance(row, Fault) else (row[1].get(names["texts"]), row[1].get(names["choice"]))
        if isinstance(row, Fault) or not all(isinstance(cell, str) for cell in cells):
            continue
        choices, said = parted(str(cells[0])), str(cells[1])
        places = {"text": place_of(said, choices), "place": place_of(said, choices, naming="place")}
        count += 1
        for way, place in places.items():
            named[way] += place >= 0
        if not odd and -1 not in places.values() and places["text"] != places["place"]:
            both = f"the label {said!r}, the text of the choice at place {places['text']}, and a place itself"
            odd.append(Fault("data.choice-naming", both, "labels of a file of which some can be read in one way only",
                             file=file, line=row[0], field=names["choice"], fix=ONE_WAY))  # fmt: skip
    both_ways = named["text"] == named["place"] == count
    return ("place" if named["place"] > named["text"] else "text"), odd if both_ways else []
