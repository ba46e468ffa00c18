"""How numbers are written: shares with three digits, counts grouped, times and sizes in a unit that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hone.core.measures import Measure
from hone.report.catalog import Language, word

Cell = str | int | float | bool | None
UNGROUPED = {"line", "seed"}
NOTHING = "–"


def number(value: float, unit: str = "share", *, language: Language = "en") -> str:
    """``value`` with the digits that its unit deserves, and the unit."""
    if unit in _SECONDS:
        return _time(value * _SECONDS[unit], language)
    fixed = _BY_UNIT.get(unit)
    if fixed is not None:
        return fixed(value)
    named = word(f"unit.{unit}", language) if unit else ""
    return f"{_plain(value)} {named.removeprefix('unit.')}".strip()


def interval(measure: Measure, *, language: Language = "en") -> str:
    """``0.928 – 0.945``; empty where the measure has no interval."""
    if measure.low is None or measure.high is None:
        return ""
    return f"{number(measure.low, measure.unit, language=language)} – {number(measure.high, measure.unit, language=language)}"


def level(value: float) -> str:
    """A confidence level as ``95%``."""
    return f"{100 * value:g}%"


def column(name: str, cells: Sequence[Cell], *, language: Language = "en") -> list[str]:
    """The cells of one column as text; its numbers share one number of decimals, or the unit that its name ends in.
    Numbers of several kinds, a perplexity above a share, have each its own: with those of the largest nothing would be
    left of the smallest."""
    unit = unit_of(name)
    floats = [cell for cell in cells if isinstance(cell, float)]
    decimals = _decimals(floats)
    return [_cell(cell, name, unit=unit, decimals=decimals, language=language) for cell in cells]


def unit_of(name: str) -> str:
    """The unit that a column's name ends in (``peak_memory_bytes``), or nothing."""
    return next((unit for unit in ("bytes", "seconds", "ms") if name == unit or name.endswith(f"_{unit}")), "")


def tick(value: float) -> str:
    """A number on an axis or in a plot: as few digits as say it."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def _cell(cell: Cell, name: str, *, unit: str, decimals: int | None, language: Language) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, bool):
        return word("page.yes" if cell else "page.no", language)
    if isinstance(cell, str):
        return cell
    if unit:
        return number(cell, unit, language=language)
    if isinstance(cell, int):
        return str(cell) if name in UNGROUPED else f"{cell:,}"
    return _digits(cell) if decimals is None else _fixed(cell, decimals)


def _decimals(values: Sequence[float]) -> int | None:
    """Decimals for a whole column; None when its values are too small for fixed ones, or lie too far apart."""
    sizes = [abs(value) for value in values if value]
    largest = max(sizes, default=0.0)
    if 0 < largest < 0.001:
        return None
    if 0 < largest < 0.01:
        return 4
    if largest <= 1:
        return 3
    decimals = 2 if largest < 10 else 1 if largest < 1000 else 0
    return None if min(sizes) < 10.0 ** (1 - decimals) else decimals


def _fixed(value: float, decimals: int) -> str:
    """So many decimals; two digits of what would be 0 with these and is not."""
    shown = f"{value or 0.0:,.{decimals}f}"  # of what is -0.0, too
    return f"{value:.2g}" if value and not shown.strip("-0.,") else shown


def _digits(value: float) -> str:
    """Three digits, and all before the point."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def _share(value: float) -> str:
    if 0 < abs(value) < 0.001:
        return f"{value:.2g}"
    shown = f"{value:.3f}"
    return f"{value:.5f}".rstrip("0") if shown == "1.000" and value < 0.999995 else shown


def _plain(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _time(seconds: float, language: Language) -> str:
    amount, unit = (
        (f"{1000 * seconds:.3g}", "ms")
        if seconds < 0.9995
        else (f"{seconds:.3g}", "s")
        if seconds < 120
        else (f"{seconds / 60:.0f}", "min")
        if seconds < 7200
        else (f"{seconds / 3600:.1f}", "h")
    )
    return f"{amount} {word(f'unit.{unit}', language)}"


def _bytes(value: float) -> str:
    for name in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.3g} {name}"
        value /= 1000
    return f"{_plain(value)} TB"


_BY_UNIT: dict[str, Callable[[float], str]] = {
    "share": _share,
    "count": _plain,
    "points": lambda value: _fixed(value, 1),
    "bytes": _bytes,
}
_SECONDS = {"seconds": 1.0, "s": 1.0, "ms": 0.001}
