"""The few SVG pieces that every plot is made of: the frame, text that fits, axes."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence

from hone.report.visible import as_line, text_width

WIDTH = 360.0  # px, of every plot: its text is then readable on a phone
BLUE, ORANGE = "var(--blue,#0072b2)", "var(--orange,#d55e00)"  # Okabe and Ito's color-blind safe set
SERIES = (BLUE, ORANGE, "var(--green,#009e73)", "var(--purple,#aa4499)", "currentColor")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2")

Format = Callable[[float], str]


def svg(height: float, body: str, *, title: str, desc: str) -> str:
    """The whole plot, ``height`` px high at its natural width."""
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH:g} {height:.1f}"><title>{html.escape(as_line(title))}</title>'
        f"<desc>{html.escape(as_line(desc))}</desc>{body}</svg>"
    )


def text(
    at: tuple[float, float],
    words: str,
    *,
    anchor: str = "start",
    size: float = 11.0,
    fill: str = "",
    faint: bool = False,
) -> str:
    """One line of text with its baseline at ``at``, (x, y)."""
    shade = f' fill="{fill or "currentColor"}"' + (' fill-opacity=".72"' if faint else "")
    return (
        f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" text-anchor="{anchor}"{shade}>'
        f"{html.escape(as_line(words))}</text>"
    )


def hover(words: str) -> str:
    """What a pointer sees over the group that this is put into."""
    return f"<title>{html.escape(as_line(words, limit=200))}</title>"


def width_of(words: str, size: float) -> float:
    """About how wide ``words`` are, px."""
    shown = as_line(words, limit=200)
    capitals = sum(letter.isupper() or letter in "_mwMW@%" for letter in shown)
    return (text_width(shown) * 0.56 + capitals * 0.14) * size


def fitted(words: str, room: float, *, size: float) -> str:
    """``words`` cut with an ellipsis so that they fit into ``room`` px."""
    shown = as_line(words, limit=200)
    if width_of(shown, size) <= room + 1:
        return shown
    while shown and width_of(shown + "…", size) > room:
        shown = shown[:-1]
    return shown + "…"


def frame(x: float, y: float, *, width: float, height: float) -> str:
    """A quiet outline."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" stroke="currentColor" '
        f'stroke-opacity=".25"/>'
    )


def ticks_over(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Three to six round numbers from at most ``low`` to at least ``high``; ``whole`` for integers only."""
    if high <= low:
        low, high = low - (abs(low) * 0.1 or 0.5), high + (abs(high) * 0.1 or 0.5)
    rough = (high - low) / 4
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1, 2, 2.5, 5, 10) if scale * m >= rough * 0.999)
    step = max(1.0, round(step)) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def levels(ticks: Sequence[float], form: Format, *, left: float, top: float, base: float) -> str:
    """Horizontal lines with their numbers, the first tick at ``base`` and the last at ``top``."""
    span = (ticks[-1] - ticks[0]) or 1.0
    parts = []
    for tick in ticks:
        y = base - (tick - ticks[0]) / span * (base - top)
        parts.append(
            f'<path d="M{left:.1f} {y:.1f}H{WIDTH - 2:g}" stroke="currentColor" stroke-opacity=".15"/>'
            + text((left - 6, y + 3.5), form(tick), anchor="end", size=10, faint=True)
        )
    return "".join(parts)
