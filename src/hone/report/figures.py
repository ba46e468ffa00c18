"""`figure`: the plot that a grid asks for, as a ``<figure>``; nothing for a plain table."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Protocol

from hone.report import numbers, plots
from hone.report.catalog import Language, word
from hone.report.report import Cell, Grid
from hone.report.visible import as_line

LONG = 40  # rows of bars; beyond, they stand in columns of COLUMN
COLUMN = 26


def figure(grid: Grid, *, title: str, language: Language) -> str:
    """The grid's plot in a ``<figure>``; empty when the grid is only a table or has no rows."""
    draw = _DRAWN.get(grid.show)
    return draw(grid, title, language=language) if draw and grid.rows else ""


def _bars(grid: Grid, title: str, *, language: Language) -> str:
    if {"low", "high"} <= set(grid.columns) and len(grid.rows) <= LONG:
        return _spans(grid, title, language=language)
    labels, values = _labels(grid, language), [_number(row[1]) for row in grid.rows]
    known = [value for value in values if value is not None] or [0.0]
    texts = numbers.column(grid.columns[1], [row[1] for row in grid.rows], language=language)
    form = dict(
        zip(known, (text for text, value in zip(texts, values, strict=True) if value is not None), strict=False)
    )
    shares = any(isinstance(row[1], float) for row in grid.rows) and max(known) <= 1
    top = 1.0 if shares else max(known)
    size = COLUMN if len(labels) > LONG else len(labels)
    desc = word("plot.bars", language, count=len(labels), low=form.get(min(known), ""), high=form.get(max(known), ""))
    drawn = [
        plots.bars(
            labels[begin : begin + size],
            values[begin : begin + size],
            title=f"{title}: {_head(grid.columns[1], language)}",
            desc=desc,
            form=lambda value: form[value],
            top=top,
        )
        for begin in range(0, len(labels), size)
    ]
    plain = f"{_caption(grid, language)}{''.join(drawn)}"
    return f'<figure class="{"wide" if len(drawn) > 1 else "one"}">{plain}</figure>'


def _spans(grid: Grid, title: str, *, language: Language) -> str:
    """Bars that have an interval, as values with their intervals on one scale."""
    low, high = grid.columns.index("low"), grid.columns.index("high")
    rows = [
        (label, _number(row[low]), _number(row[1]), _number(row[high]))
        for label, row in zip(_labels(grid, language), grid.rows, strict=True)
    ]
    drawn = plots.intervals(rows, title=title, desc=word("plot.intervals", language, count=len(rows)))
    return f'<figure class="one">{_caption(grid, language)}{drawn}</figure>'


def _histogram(grid: Grid, title: str, *, language: Language) -> str:
    counts = [_number(row[1]) for row in grid.rows]
    form = _form(grid.columns[1], language)
    high = form(max((count for count in counts if count is not None), default=0.0))
    desc = word("plot.histogram", language, count=len(counts), high=high)
    drawn = plots.histogram(_labels(grid, language), counts, title=title, desc=desc, form=form)
    return f'<figure class="one">{_caption(grid, language)}{drawn}</figure>'


def _matrix(grid: Grid, title: str, *, language: Language) -> str:
    labels, heads = _labels(grid, language), grid.columns[1:]
    cells = [[_number(cell) or 0.0 for cell in row[1:]] for row in grid.rows]
    whole = sum(map(sum, cells)) or 1.0
    agreed = sum(
        cell
        for label, row in zip(labels, cells, strict=True)
        for head, cell in zip(heads, row, strict=True)
        if label == head
    )
    desc = word("plot.matrix", language, count=len(labels), share=f"{agreed / whole:.3f}")
    return f'<figure class="square">{plots.matrix(labels, heads, cells=cells, title=title, desc=desc)}</figure>'


def _line(grid: Grid, title: str, *, language: Language) -> str:
    series = {
        _head(name, language): [(_number(row[0]) or 0.0, _number(row[i])) for row in grid.rows]
        for i, name in enumerate(grid.columns)
        if i
    }
    ys = [y for run in series.values() for _, y in run if y is not None] or [0.0]
    form, x_form = _form(grid.columns[1], language), _form(grid.columns[0], language)
    desc = word("plot.line", language, count=len(grid.rows), low=form(min(ys)), high=form(max(ys)))
    drawn = plots.line(series, title=title, desc=desc, form=form, x_form=x_form)
    return f'<figure class="one">{drawn}</figure>'


def _pareto(grid: Grid, title: str, *, language: Language) -> str:
    """One plot for each of the costs in the second and the third column, over the quality in the fourth."""
    drawn, less = [], grid.better == "lower"
    within, quality = grid.columns.index("within_budget"), grid.columns[3]
    for i in (1, 2):
        cost = grid.columns[i]
        points = [
            (str(row[0]).partition(" ")[0], float(row[i] or 0.0), float(row[3]), bool(row[within]))
            for row in grid.rows
            if isinstance(row[3], (int, float))
        ]
        best = ", ".join(label for label, *_ in plots.front(points, less=less))
        axes = (_head(cost, language), _head(quality, language))
        drawn.append(
            plots.pareto(
                points,
                title=f"{title}: {axes[0]}",
                desc=word("plot.pareto", language, count=len(points), best=best),
                form=_form(quality, language),
                x_form=_form(cost, language),
                axes=axes,
                less=less,
            )
            if points
            else ""
        )
    return f'<figure class="wide">{"".join(drawn)}</figure>'


def _reliability(grid: Grid, title: str, *, language: Language) -> str:
    rows = [(_number(row[0]) or 0.0, _number(row[1]) or 0.0, int(_number(row[2]) or 0)) for row in grid.rows]
    names = [*(word(key, language) for key in ("confidence", "accuracy", "count")), word("page.gap", language)]
    desc = word("plot.reliability", language, count=len(rows))
    return f'<figure class="one">{plots.reliability(rows, title=title, desc=desc, names=names)}</figure>'


def _caption(grid: Grid, language: Language) -> str:
    """Which column is drawn, where more than one could be."""
    if len(grid.columns) < 3:
        return ""
    return f'<figcaption class="sub">{html.escape(as_line(_head(grid.columns[1], language)))}</figcaption>'


def _labels(grid: Grid, language: Language) -> list[str]:
    first = numbers.column(grid.columns[0], [row[0] for row in grid.rows], language=language)
    return [word(cell, language) for cell in first] if grid.names == "words" else first


def _head(name: str, language: Language) -> str:
    return word(name, language)


def _form(name: str, language: Language) -> Callable[[float], str]:
    unit = numbers.unit_of(name)

    def form(value: float) -> str:
        return numbers.number(value, unit, language=language) if unit else numbers.tick(value)

    return form


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, (int, float)) else None


class _Draw(Protocol):
    def __call__(self, grid: Grid, title: str, *, language: Language) -> str: ...


_DRAWN: dict[str, _Draw] = {
    "bars": _bars,
    "histogram": _histogram,
    "matrix": _matrix,
    "line": _line,
    "pareto": _pareto,
    "reliability": _reliability,
}
