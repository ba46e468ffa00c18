"""Tables of a page: a grid's rows, and measures by part of the data. Each scrolls inside its own box."""

from __future__ import annotations

import html
from collections.abc import Sequence

from hone.core.measures import Measure
from hone.report import numbers
from hone.report.catalog import Language, reason_in, slice_name, word
from hone.report.report import Cell, Grid
from hone.report.visible import as_line, as_markup

FOLDED = 40  # rows; a longer table is folded
MOST_ROWS = 2000
MOST_CELLS = 12_000  # of a matrix
LONG_TEXT = 32  # characters from which a column may wrap


def grid_table(grid: Grid, *, title: str, language: Language) -> str:
    """The rows of ``grid``: open, or folded where they are many or a matrix shows them already."""
    cells = len(grid.rows) * len(grid.columns)
    if grid.show == "matrix" and cells > MOST_CELLS:
        return f'<p class="sub">{word("page.too_large", language, count=f"{cells:,}")}</p>'
    table = _boxed(_rows(grid, title, language=language), title)
    if len(grid.rows) > MOST_ROWS:
        rest = f"{len(grid.rows) - MOST_ROWS:,}"
        table += f'<p class="sub">{word("page.more_rows", language, count=rest)}</p>'
    if len(grid.rows) <= FOLDED and grid.show != "matrix":
        return f'<div class="side">{table}</div>'
    summary = word("page.all_rows", language, count=f"{len(grid.rows):,}")
    return f"<details><summary>{summary}</summary>{table}</details>"


def slice_table(measures: Sequence[Measure], language: Language) -> str:
    """One row a part of the data, one column a measure, each value with its interval."""
    names = list(dict.fromkeys(measure.name for measure in measures))
    slices = list(dict.fromkeys(measure.slice for measure in measures))
    found = {(measure.slice, measure.name): measure for measure in measures}
    sliced = slices != [""]
    heads = "".join(f'<th scope="col" class="num">{html.escape(as_line(word(name, language)))}</th>' for name in names)
    rows = []
    for part in slices:
        values = [found.get((part, name)) for name in names]
        n = max((value.n for value in values if value), default=0)
        first = f'<th scope="row" class="part">{as_markup(slice_name(part, language))}</th>' if sliced else ""
        rows.append(
            f'<tr>{first}<td class="num">{n:,}</td>{"".join(_measured(value, language) for value in values)}</tr>'
        )
    first = f'<th scope="col">{word("slice", language)}</th>' if sliced else ""
    caption = f'<caption class="heard">{word("page.slices" if sliced else "page.measures", language)}</caption>'
    table = (
        f'<table>{caption}<thead><tr>{first}<th scope="col" class="num">n</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
    return _boxed(table, word("page.slices", language))


def _measured(measure: Measure | None, language: Language) -> str:
    if measure is None or measure.value is None:
        reason = html.escape(as_line(reason_in(measure.reason, language)), quote=True) if measure else ""
        return f'<td class="num zero" title="{reason}">{word("page.nothing", language)}</td>'
    span = numbers.interval(measure, language=language)
    below = f'<span class="range">{span}</span>' if span else ""
    return f'<td class="num">{html.escape(numbers.number(measure.value, measure.unit, language=language))}{below}</td>'


def _boxed(table: str, title: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(as_line(title))}">{table}</div>'


def _rows(grid: Grid, title: str, *, language: Language) -> str:
    rows = grid.rows[:MOST_ROWS]
    columns = []
    classes = []
    for i, name in enumerate(grid.columns):
        cells = [row[i] for row in rows]
        named = "" if i and grid.show == "matrix" else name  # a label may be called like a unit
        texts = numbers.column(named, cells, language=language)
        if not i and grid.names == "words":
            texts = [word(text, language) for text in texts]
        kind = _kind(cells)
        classes.append(kind)
        columns.append(
            [
                _marked(cell, text, first=not i, kind=kind, language=language)
                for cell, text in zip(cells, texts, strict=True)
            ]
        )
    beside = classes.count("text") > 1  # texts to compare: on a phone one stands below the other, each with its name
    if beside:
        names = [html.escape(as_line(word(name, language)), quote=True) for name in grid.columns]
        columns = [
            [f'{cell[:3]} data-head="{name}"{cell[3:]}' for cell in column]  # behind "<th" or "<td"
            for name, column in zip(names, columns, strict=True)
        ]
    matrix = grid.show == "matrix"
    heads = "".join(
        f'<th scope="col" class="{kind}">{as_markup(name if i and matrix else word(name, language))}</th>'
        for i, (name, kind) in enumerate(zip(grid.columns, classes, strict=True))
    )
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*columns, strict=True))
    opening = '<table class="texts">' if beside else "<table>"
    return (
        f'{opening}<caption class="heard">{html.escape(as_line(title))}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _kind(cells: Sequence[Cell]) -> str:
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in known):
        return "num"
    longest = max((len(cell) for cell in known if isinstance(cell, str)), default=0)
    spaced = any(isinstance(cell, str) and (" " in cell or len(cell) > 60) for cell in known)
    return "text" if longest > LONG_TEXT and spaced else "short"


def _marked(cell: Cell, text: str, *, first: bool, kind: str, language: Language) -> str:
    content = (
        as_markup(text, more=word("page.more_characters", language)) if isinstance(cell, str) else html.escape(text)
    )
    if kind == "short":
        content = content.replace("_", "_<wbr>")  # where a long label may break on a phone
    if first:
        return f'<th scope="row" class="{kind}">{content}</th>'
    shade = " zero" if cell == 0 and isinstance(cell, int) else ""
    return f'<td class="{kind}{shade}">{content}</td>'
