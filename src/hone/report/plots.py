"""Plots as SVG text: one pure function for each way a `hone.report.report.Grid` can be shown.

Each returns one ``<svg role="img">`` with a title and a description, drawn for a width of 360 px so that its text is
readable on a phone. Colors are CSS variables with fallbacks and ``currentColor``: one plot serves light and dark pages.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence

from hone.report.svg import (
    BLUE,
    DASHES,
    ORANGE,
    SERIES,
    WIDTH,
    Format,
    fitted,
    frame,
    hover,
    levels,
    svg,
    text,
    ticks_over,
    width_of,
)

LABELED_CLASSES = 15  # a matrix of more classes shows colors only
Point = tuple[float, float | None]
Placed = tuple[float, float, float, float]  # x and y of the data, x and y on the plot


def bars(
    labels: Sequence[str], values: Sequence[float | None], *, title: str, desc: str, form: Format, top: float = 0.0
) -> str:
    """Horizontal bars in the given order; ``top`` is the value of a full bar (their maximum when 0)."""
    size = 11.0
    room = min(150.0, max((width_of(label, size) for label in labels), default=0.0))
    longest = max((width_of(form(value), size) for value in values if value is not None), default=0.0)
    left, right = room + 8, longest + 8
    top = top or max((value for value in values if value is not None), default=1.0) or 1.0
    step = 19.0 if len(labels) <= 20 else 16.0
    parts = []
    for i, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = i * step
        length = 0.0 if value is None else max(0.0, min(1.0, value / top)) * (WIDTH - left - right)
        shown = "–" if value is None else form(value)
        parts.append(
            f"<g>{hover(f'{label}: {shown}')}{text((left - 6, y + step * 0.68), fitted(label, room, size=size), anchor='end')}"
            f'<rect x="{left:.1f}" y="{y + 3:.1f}" width="{length:.1f}" height="{step - 6:.1f}" rx="1.5" fill="{BLUE}"/>'
            f"{text((left + length + 5, y + step * 0.68), shown, faint=True)}</g>"
        )
    axis = f'<path d="M{left:.1f} 0V{len(labels) * step:.1f}" class="axis" stroke="currentColor" stroke-opacity=".35"/>'
    return svg(len(labels) * step + 2, axis + "".join(parts), title=title, desc=desc)


def histogram(labels: Sequence[str], counts: Sequence[float | None], *, title: str, desc: str, form: Format) -> str:
    """Vertical bars side by side, bins in the given order; as many bin labels as fit."""
    known = [count or 0.0 for count in counts]
    ticks = ticks_over(0.0, max(known, default=1.0) or 1.0)
    left = max(width_of(form(tick), 10) for tick in ticks) + 8
    height, base = 190.0, 160.0
    step = (WIDTH - left - 4) / max(1, len(known))
    parts = [levels(ticks, form, left=left, top=10.0, base=base)]
    every = max(1, math.ceil((max((width_of(label, 10) for label in labels), default=0) + 6) / step))
    for i, (label, count) in enumerate(zip(labels, known, strict=True)):
        length = count / ticks[-1] * (base - 10)
        x = left + i * step
        parts.append(
            f'<g>{hover(f"{label}: {form(count)}")}<rect x="{x + step * 0.06:.1f}" y="{base - length:.1f}" '
            f'width="{step * 0.88:.1f}" height="{length:.1f}" fill="{BLUE}"/>'
            f'<rect x="{x:.1f}" y="10" width="{step:.1f}" height="{base - 10:.1f}" fill-opacity="0"/></g>'
        )
        if i % every == 0:
            parts.append(text((x + step / 2, base + 15), label, anchor="middle", size=10, faint=True))
    return svg(height - 8, "".join(parts), title=title, desc=desc)


def matrix(
    labels: Sequence[str], heads: Sequence[str], *, cells: Sequence[Sequence[float]], title: str, desc: str
) -> str:
    """Heat map by share of the row: the diagonal blue, everything beside it orange.

    Args:
        labels: Row labels.
        heads: Column labels; where they equal ``labels`` there is a diagonal.
        cells: Counts [rows, columns].
        title, desc: What it shows, for readers who do not see it.
    """
    small = max(len(labels), len(heads)) <= LABELED_CLASSES
    size = 9.0
    room = min(110.0, max((width_of(label, size) for label in labels), default=0.0)) + 6 if small else 1.0
    above = min(90.0, max((width_of(head, size) for head in heads), default=0.0)) * 0.72 + 10 if small else 1.0
    spare = above - 6 if small else 1.0  # the last slanted head leans out to the right as far as it rises
    side = min(34.0, (WIDTH - room - spare) / max(1, len(heads)))
    parts = [frame(room, above, width=side * len(heads), height=side * len(labels))]
    for r, (label, row) in enumerate(zip(labels, cells, strict=True)):
        whole = sum(row) or 1.0
        for c, count in enumerate(row):
            if count:
                corner, color = (room + c * side, above + r * side), BLUE if label == heads[c] else ORANGE
                drawn = _cell(count, count / whole, corner=corner, side=side, color=color, numbered=small)
                parts.append(f"<g>{hover(f'{label} → {heads[c]}: {count:,.0f}')}{drawn}</g>")
    if small:
        parts += [
            text((room - 5, above + (r + 0.5) * side + 3), fitted(label, room - 6, size=size), anchor="end", size=size)
            for r, label in enumerate(labels)
        ]
        parts += [
            f'<g transform="translate({room + (c + 0.55) * side:.1f} {above - 5:.1f}) rotate(-45)">'
            f"{text((0, 0), fitted(head, 90, size=size), size=size)}</g>"
            for c, head in enumerate(heads)
        ]
    return svg(above + side * len(labels) + 1, "".join(parts), title=title, desc=desc)


def _cell(count: float, share: float, *, corner: tuple[float, float], side: float, color: str, numbered: bool) -> str:
    (x, y), depth = corner, 0.12 + 0.88 * math.sqrt(share)
    square = (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{side:.2f}" height="{side:.2f}" fill="{color}" '
        f'fill-opacity="{depth:.2f}"/>'
    )
    if not numbered:
        return square
    digits = f"{count:,.0f}" if count < 10_000 else f"{count / 1000:,.0f}k"
    size = min(10.0, side * 1.6 / max(2, len(digits)))
    ink = "var(--on-color,#fff)" if depth > 0.6 else "currentColor"
    return square + text((x + side / 2, y + side / 2 + 3.3), digits, anchor="middle", size=size, fill=ink)


def line(series: Mapping[str, Sequence[Point]], *, title: str, desc: str, form: Format, x_form: Format) -> str:
    """One line for each name of ``series``, (x, y) by rising x; a None leaves a gap."""
    points = [point for run in series.values() for point in run]
    ys = [y for _, y in points if y is not None] or [0.0, 1.0]
    xs = [x for x, _ in points] or [0.0, 1.0]
    ticks = ticks_over(min(ys), max(ys))
    left, top, base = max(width_of(form(tick), 10) for tick in ticks) + 8, 10.0, 168.0
    first, span = min(xs), (max(xs) - min(xs)) or 1.0
    low, reach = ticks[0], (ticks[-1] - ticks[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return left + 6 + (x - first) / span * (WIDTH - left - 18), base - (y - low) / reach * (base - top)

    parts = [levels(ticks, form, left=left, top=top, base=base)]
    for tick in ticks_over(min(xs), max(xs), whole=all(float(x).is_integer() for x in xs)):
        if min(xs) <= tick <= max(xs):
            parts.append(text((place(tick, 0)[0], base + 15), x_form(tick), anchor="middle", size=10, faint=True))
    for i, (name, run) in enumerate(series.items()):
        parts.append(
            _run(name, [None if y is None else (x, y, *place(x, y)) for x, y in run], i=i, form=form, x_form=x_form)
        )
    legend = _legend(list(series), y=base + 34) if len(series) > 1 else ("", 0.0)
    return svg(base + 22 + legend[1], "".join(parts) + legend[0], title=title, desc=desc)


def reliability(rows: Sequence[tuple[float, float, int]], *, title: str, desc: str, names: Sequence[str]) -> str:
    """Reliability diagram (Niculescu-Mizil and Caruana 2005) with a strip of counts beneath.

    Args:
        rows: Mean confidence, accuracy and count of each bin.
        title, desc: What it shows.
        names: The words for confidence, accuracy, count and the gap to the diagonal.
    """
    left, top, side, strip = 38.0, 8.0, 260.0, 44.0
    base = top + side
    parts = [frame(left, top, width=side, height=side)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(text((left - 6, base - tick * side + 3.5), f"{tick:g}", anchor="end", size=10, faint=True))
        parts.append(text((left + tick * side, base + strip + 22), f"{tick:g}", anchor="middle", size=10, faint=True))
    near = min((b[0] - a[0] for a, b in itertools.pairwise(rows)), default=1.0)
    wide = max(3.0, min(1 / 18, near * 0.9) * side)
    most = max((count for _, _, count in rows), default=1)
    for confidence, right, count in rows:
        x, y, ideal = left + confidence * side - wide / 2, base - right * side, base - confidence * side
        x = min(max(x, left), left + side - wide)
        tall = max(1.0, count / most * (strip - 8))
        said = f"{names[0]} {confidence:.3f}, {names[1]} {right:.3f}, {names[2]} {count:,}"
        lower = max(y, ideal)  # the blue part ends at the nearer of accuracy and diagonal; the rest is the gap
        parts.append(
            f'<g>{hover(said)}<rect x="{x:.1f}" y="{lower:.1f}" width="{wide:.1f}" height="{base - lower:.1f}" '
            f'fill="{BLUE}"/><rect x="{x:.1f}" y="{min(y, ideal):.1f}" width="{wide:.1f}" '
            f'height="{abs(y - ideal):.1f}" fill="{ORANGE}" fill-opacity=".5"/>'
            f'<path d="M{x:.1f} {y:.1f}h{wide:.1f}" stroke="currentColor" stroke-width="2"/>'
            f'<rect x="{x:.1f}" y="{base + strip + 6 - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
            f'fill="currentColor" fill-opacity=".45"/></g>'
        )
    parts.append(
        f'<path d="M{left} {base}L{left + side} {top}" stroke="currentColor" stroke-dasharray="4 3" fill="none"/>'
        f"{text((left + side / 2, base + strip + 38), names[0], anchor='middle')}"
        f'<g transform="translate(10 {top + side / 2}) rotate(-90)">{text((0, 0), names[1], anchor="middle")}</g>'
        f'<rect x="{left + 10}" y="{top + 10}" width="10" height="10" fill="{ORANGE}" fill-opacity=".5"/>'
        f"{text((left + 25, top + 19), names[3], size=10)}"
        f"{text((left + side + 6, base + strip + 5), names[2], size=10, faint=True)}"
    )
    return svg(base + strip + 44, "".join(parts), title=title, desc=desc)


def intervals(rows: Sequence[tuple[str, float | None, float | None, float | None]], *, title: str, desc: str) -> str:
    """One line a row: a label, and the interval (low, value, high) on a common scale."""
    size, step = 11.0, 22.0
    room = min(130.0, max((width_of(row[0], size) for row in rows), default=0.0))
    known = [number for row in rows for number in row[1:] if number is not None] or [0.0, 1.0]
    ticks = ticks_over(min(known), max(known))
    left, base = room + 12, len(rows) * step + 4

    def place(value: float) -> float:
        return left + (value - ticks[0]) / ((ticks[-1] - ticks[0]) or 1.0) * (WIDTH - left - 14)

    parts = []
    for tick in ticks:
        parts.append(
            f'<path d="M{place(tick):.1f} 0V{base:.1f}" stroke="currentColor" stroke-opacity=".15"/>'
            + text((place(tick), base + 14), f"{tick:.6g}", anchor="middle", size=10, faint=True)
        )
    for i, (label, low, value, high) in enumerate(rows):
        y = i * step + step / 2
        parts.append(text((room + 4, y + 4), fitted(label, room, size=size), anchor="end"))
        if low is not None and high is not None:
            width = max(1.0, place(high) - place(low))
            parts.append(
                f'<rect x="{place(low):.1f}" y="{y - 4:.1f}" width="{width:.1f}" height="8" rx="4" fill="{BLUE}" '
                f'fill-opacity=".35"/>'
            )
        if value is not None:
            parts.append(f'<circle cx="{place(value):.1f}" cy="{y:.1f}" r="4" fill="{BLUE}"/>')
    return svg(base + 20, "".join(parts), title=title, desc=desc)


def pareto(
    points: Sequence[tuple[str, float, float, bool]],
    *,
    title: str,
    desc: str,
    form: Format,
    x_form: Format,
    axes: tuple[str, str],
    less: bool = False,
) -> str:
    """Points of a cost, less of it better, and a quality, joined where none is better in both.

    Args:
        points: A short label, cost, quality, and whether it is drawn full: the others are hollow.
        title, desc: What it shows.
        form, x_form: How qualities and costs are written.
        axes: The names of cost and quality.
        less: Whether less of the quality is better, as of a perplexity.
    """
    xs, ys = [x for _, x, _, _ in points], [y for _, _, y, _ in points]
    ticks, x_ticks = ticks_over(min(ys), max(ys)), ticks_over(min(xs), max(xs))
    left, top, base = max(width_of(form(tick), 10) for tick in ticks) + 8, 22.0, 190.0
    first, span = x_ticks[0], (x_ticks[-1] - x_ticks[0]) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + 6 + (x - first) / span * (WIDTH - left - 22)
        return across, base - (y - ticks[0]) / ((ticks[-1] - ticks[0]) or 1.0) * (base - top)

    parts = [levels(ticks, form, left=left, top=top, base=base), text((0, 9), axes[1], size=10, faint=True)]
    parts += [
        text((place(tick, 0)[0], base + 15), x_form(tick), anchor="middle", size=10, faint=True) for tick in x_ticks
    ]
    parts.append(text((WIDTH - 2, base + 30), axes[0], anchor="end", size=10, faint=True))
    best = [place(x, y) for _, x, y, _ in front(points, less=less)]
    path = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(best))
    parts.append(f'<path d="{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for label, x, y, full in points:
        (px, py), fill = place(x, y), BLUE if full else "var(--paper,#fff)"
        parts.append(
            f"<g>{hover(f'{label}: {x_form(x)}, {form(y)}')}"
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{fill}" stroke="{BLUE}" stroke-width="1.5"/></g>'
        )
    parts += _labels([(label, *place(x, y)) for label, x, y, _ in points])
    return svg(base + 34, "".join(parts), title=title, desc=desc)


def _labels(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """The labels of points at x and y on the plot; those of near points in one."""
    placed: list[tuple[float, float, str]] = []
    for label, px, py in points:
        near = next((i for i, (x, y, _) in enumerate(placed) if abs(x - px) < 16 and abs(y - py) < 10), None)
        if near is None:
            placed.append((px, py, label))
        else:
            x, y, said = placed[near]
            placed[near] = (max(x, px), min(y, py), f"{said}, {label}")
    drawn = []
    for x, y, label in placed:
        right = x > WIDTH - 20 - width_of(label, 10)
        at = (x - 7 if right else x + 7, y - 4)
        drawn.append(text(at, label, anchor="end" if right else "start", size=10))
    return drawn


def front(
    points: Sequence[tuple[str, float, float, bool]], *, less: bool = False
) -> list[tuple[str, float, float, bool]]:
    """Those that no other has at no more cost and no worse quality, better in one of them; by rising cost. ``less``:
    as of `pareto`."""
    best: list[tuple[str, float, float, bool]] = []
    sign = -1.0 if less else 1.0
    for point in sorted(points, key=lambda point: (point[1], -sign * point[2])):
        if not best or sign * point[2] > sign * best[-1][2]:
            best.append(point)
    return best


def whisker(value: float, interval: tuple[float, float], *, bounds: tuple[float, float], desc: str) -> str:
    """The interval of one measure, low to high with its value marked, to scale between ``bounds``."""
    low, high = interval
    width = 220.0

    def place(number: float) -> float:
        return 5 + (number - bounds[0]) / (bounds[1] - bounds[0]) * (width - 10)

    band = max(2.0, place(high) - place(low))
    return (
        f'<svg class="whisker" role="img" viewBox="0 0 {width:g} 30"><title>{html.escape(desc)}</title>'
        f'<path d="M5 9H{width - 5:g}" stroke="currentColor" stroke-opacity=".25" stroke-width="2"/>'
        f'<rect x="{place(low):.1f}" y="4" width="{band:.1f}" height="10" rx="2" fill="{BLUE}" fill-opacity=".4"/>'
        f'<path d="M{place(value):.1f} 1V17" stroke="{BLUE}" stroke-width="3"/>'
        f"{text((5, 28), f'{bounds[0]:g}', size=9.5, faint=True)}"
        f"{text((width - 5, 28), f'{bounds[1]:g}', anchor='end', size=9.5, faint=True)}</svg>"
    )


def _run(name: str, points: Sequence[Placed | None], *, i: int, form: Format, x_form: Format) -> str:
    """One line with its points; a None breaks it."""
    color, dash = SERIES[i % len(SERIES)], DASHES[i % len(DASHES)]
    known = [point for point in points if point]
    steps, pen = [], "M"
    for point in points:
        steps.append(f"{pen}{point[2]:.1f} {point[3]:.1f}" if point else "")
        pen = "L" if point else "M"
    dots = "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{3 if len(known) <= 40 else 1.5}" fill="{color}">'
        f"{hover(f'{name} {form(y)} ({x_form(x)})')}</circle>"
        for x, y, px, py in known
    )
    drawn = f'<path d="{"".join(steps)}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'
    return drawn + dots if known else ""


def _legend(names: Sequence[str], *, y: float) -> tuple[str, float]:
    """The legend's lines and the height that they take."""
    parts, x, row = [], 8.0, 0
    for i, name in enumerate(names):
        room = width_of(name, 11) + 40
        if x + room > WIDTH and x > 8:
            x, row = 8.0, row + 1
        at = y + row * 18
        parts.append(
            f'<path d="M{x:.1f} {at:.1f}h22" stroke="{SERIES[i % len(SERIES)]}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[i % len(DASHES)]}"/>{text((x + 27, at + 4), name)}'
        )
        x += room
    return "".join(parts), (row + 1) * 18.0
