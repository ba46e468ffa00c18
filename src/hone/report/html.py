"""`to_html`: a report as one self-contained page that needs neither the network nor JavaScript."""

from __future__ import annotations

import html
from collections.abc import Sequence

from hone.core.measures import Measure
from hone.report import numbers, plots
from hone.report.catalog import Language, explained, reason_in, slice_name, word
from hone.report.figures import figure
from hone.report.report import Cell, Grid, Report
from hone.report.style import CSS
from hone.report.tables import grid_table, slice_table
from hone.report.visible import as_line, as_markup

NARROW = 32  # characters of a fact that stands beside others
CARDS = 8  # further measures stand in a table
HIGHER = ((0.9, 1.0), (0.8, 1.0), (0.5, 1.0), (0.0, 1.0))  # scales that the cards of a page may share
LOWER = ((0.0, 0.05), (0.0, 0.1), (0.0, 0.2), (0.0, 0.5), (0.0, 1.0))
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def to_html(report: Report, *, language: Language = "en", title: str = "") -> str:
    """One HTML page of everything that a report holds.

    Args:
        report: What a stage found.
        language: Language of the fixed words; labels, texts and warnings stay as they are.
        title: The page's heading; the stage's name when empty.

    Returns:
        A whole document, UTF-8 text without lone surrogates; its content security policy forbids any request.
    """
    heading = title or word("page.title", language, stage=word(report.stage, language))
    sliced = [measure for measure in report.measures if measure.slice]
    one = len({measure.slice for measure in sliced}) == 1  # one part of the data makes no table of parts
    whole = [measure for measure in report.measures if one or not measure.slice]
    parts = [
        _measures(whole, language),
        _warnings(report.warnings, language),
        _facts(report, language),
        _slices([] if one else sliced, language),
        *(_table(name, grid, language=language) for name, grid in report.tables.items()),
    ]
    content = "".join(parts) or f"<section><p>{word('page.empty', language)}</p></section>"
    lang = {"en": "en", "zh": "zh-Hans"}[language]
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{html.escape(as_line(heading))} · hone</title><style>{CSS}</style></head><body>"
        f'<header><p class="brand">hone</p><h1>{as_markup(heading)}</h1>{_conclusion(report)}{_contents(report, language)}</header>'
        f"<main>{content}</main><footer><p>{word('page.footer', language)}</p></footer></body></html>\n"
    )


def _conclusion(report: Report) -> str:
    return f'<p class="conclusion">{as_markup(report.conclusion)}</p>' if report.conclusion else ""


def _contents(report: Report, language: Language) -> str:
    if len(report.tables) < 3:
        return ""
    links = "".join(
        f'<a href="#{_anchor(name)}">{html.escape(as_line(word(name, language)))}</a>' for name in report.tables
    )
    return f'<nav aria-label="{word("page.contents", language)}">{links}</nav>'


def _anchor(name: str) -> str:
    return "table-" + "".join(letter if letter.isalnum() else "-" for letter in name)


def _measures(measures: Sequence[Measure], language: Language) -> str:
    if not measures:
        return ""
    cards = "".join(_card(measure, _bounds(measure, measures), language=language) for measure in measures[:CARDS])
    rest = slice_table(measures[CARDS:], language) if len(measures) > CARDS else ""
    across = 3 if min(len(measures), CARDS) in (3, 5, 6) else 4
    name = word("page.measures", language)
    return f'<section><h2 class="heard">{name}</h2><ul class="cards" style="--across:{across}">{cards}</ul>{rest}</section>'


def _card(measure: Measure, bounds: tuple[float, float] | None, *, language: Language) -> str:
    name = word(measure.name, language)
    key = f' <code class="key">{html.escape(measure.name)}</code>' if name != measure.name and language != "en" else ""
    part = f" · {slice_name(measure.slice, language)}" if measure.slice else ""
    head = f"<h3>{html.escape(as_line(name + part))}{key}</h3>"
    over = explained("about.difference", language) if measure.slice == "difference" else ""
    about = f"{over} {explained(f'about.{measure.name}', language)}".strip()
    about = f'<p class="about">{html.escape(about)}</p>' if about else ""
    if measure.value is None:
        reason = f'<p class="about">{as_markup(reason_in(measure.reason, language))}</p>'
        return f'<li class="card">{head}<p class="value none">{word("page.nothing", language)}</p>{reason}</li>'
    figures = []
    drawn, span = "", numbers.interval(measure, language=language)
    if span:
        said = word("page.interval", language, level=numbers.level(measure.level))
        figures.append(f"{said} {span}")
        if bounds and measure.low is not None and measure.high is not None:
            desc = f"{name}: {said} {span}"
            drawn = plots.whisker(measure.value, (measure.low, measure.high), bounds=bounds, desc=desc)
    figures += [f"n = {measure.n:,}"] if measure.n else []
    figures += [word("page.lower_is_better", language)] if measure.better == "lower" else []
    beside = "".join(f"<span>{html.escape(part)}</span>" for part in figures)
    value = html.escape(numbers.number(measure.value, measure.unit, language=language))
    return f'<li class="card">{head}<div class="reading"><p class="value">{value}</p>{drawn}</div><p class="figures sub">{beside}</p>{about}</li>'


def _bounds(measure: Measure, measures: Sequence[Measure]) -> tuple[float, float] | None:
    """The scale that this measure's card shares with the others of its direction; None outside 0 to 1."""
    if measure.unit != "share":
        return None
    peers = [other for other in measures if other.unit == "share" and _rises(other) == _rises(measure)]
    ends = [end for other in peers for end in (other.low, other.value, other.high) if end is not None]
    scales = HIGHER if _rises(measure) else LOWER
    return next((scale for scale in scales if ends and scale[0] <= min(ends) and max(ends) <= scale[1]), None)


def _rises(measure: Measure) -> bool:
    return measure.better == "higher"


def _warnings(warnings: Sequence[str], language: Language) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{as_markup(warning, limit=2000)}</li>" for warning in warnings)
    return f'<section class="warnings"><h2>{word("page.warnings", language)}</h2><ul>{items}</ul></section>'


def _facts(report: Report, language: Language) -> str:
    known = {name: slice_name(value, language) if name == "data" and isinstance(value, str) else value
             for name, value in report.facts.items()}  # fmt: skip
    facts = [
        f"<div{_width(value)}><dt>{html.escape(as_line(word(name, language)))}</dt>"
        f"<dd>{as_markup(numbers.column(name, [value], language=language)[0])}</dd></div>"
        for name, value in known.items()
    ]
    if report.bundle:
        digest = f"<dd><code>{html.escape(report.bundle)}</code></dd>"
        facts.append(f'<div class="wide"><dt>{word("bundle", language)}</dt>{digest}</div>')
    if not facts:
        return ""
    return f'<section><h2>{word("page.facts", language)}</h2><dl class="facts">{"".join(facts)}</dl></section>'


def _width(value: Cell) -> str:
    return ' class="wide"' if isinstance(value, str) and len(value) > NARROW else ""


def _slices(measures: Sequence[Measure], language: Language) -> str:
    if not measures:
        return ""
    first = [measure for measure in measures if measure.name == measures[0].name]
    name = html.escape(as_line(word(first[0].name, language)))
    heading = word("page.beside" if measures[0].name == "times_as_fast" else "page.slices", language)
    title = f"{heading}: {name}"
    drawn = plots.intervals(
        [(slice_name(part.slice, language), part.low, part.value, part.high) for part in first],
        title=title,
        desc=word("plot.intervals", language, count=len(first)),
    )
    caption = f'<figcaption class="sub">{name}</figcaption>'
    beside = f'<figure class="narrow">{caption}{drawn}</figure>' if any(part.low is not None for part in first) else ""
    table = f'<div class="side wide">{slice_table(measures, language)}</div>'
    return f'<section><h2>{heading}</h2><div class="pair">{beside}{table}</div></section>'


def _table(name: str, grid: Grid, *, language: Language) -> str:
    title = word(name, language)
    note = grid.note or explained(f"note.{name}", language)
    said = f'<p class="note">{as_markup(note, limit=2000)}</p>' if note else ""
    if not grid.rows:
        body = f'<p class="sub">{word("page.empty_table", language)}</p>'
    else:
        drawn = figure(grid, title=title, language=language)
        body = f'<div class="pair">{drawn}{grid_table(grid, title=title, language=language)}</div>'
    return f'<section><h2 id="{_anchor(name)}">{html.escape(as_line(title))}</h2>{said}{body}</section>'
