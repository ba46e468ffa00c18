"""Plots draw to scale and survive the edges."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from hone.report import plots
from hone.report.numbers import tick
from hone.report.svg import WIDTH, fitted, ticks_over, width_of


def widths(drawn: str) -> list[float]:
    return [float(rect.attrib["width"]) for rect in ElementTree.fromstring(drawn).iter("rect")]


def test_bars_are_drawn_to_scale_in_the_given_order() -> None:
    drawn = plots.bars(["a", "b", "c"], [1.0, 2.0, None], title="t", desc="d", form=tick)
    one, two, none = widths(drawn)
    assert two == pytest.approx(2 * one, abs=0.2)
    assert none == 0
    assert drawn.index(">a<") < drawn.index(">b<")


@pytest.mark.parametrize("label", ["x" * 500, "W" * 60, "标" * 60, "\u202e", ""])
def test_labels_stay_inside_the_plot(label: str) -> None:
    root = ElementTree.fromstring(plots.bars([label], [0.0], title=label, desc="", form=tick))
    for text in root.iter("text"):
        x, size = float(text.attrib["x"]), float(text.attrib["font-size"])
        room = x if text.attrib["text-anchor"] == "end" else WIDTH - x
        assert width_of(text.text or "", size) <= room + 2


def test_the_diagonal_of_a_matrix_is_colored_apart() -> None:
    drawn = plots.matrix(["a", "b"], ["a", "b"], cells=[[3, 1], [0, 4]], title="t", desc="d")
    assert drawn.count('fill="var(--blue') == 2
    assert drawn.count('fill="var(--orange') == 1
    assert re.findall(r">(\d)</text>", drawn) == ["3", "1", "4"]


def test_a_missing_point_breaks_a_line() -> None:
    points = [(1.0, 0.5), (2.0, None), (3.0, 0.7), (4.0, 0.8)]
    drawn = plots.line({"loss": points}, title="t", desc="d", form=tick, x_form=tick)
    path = re.search(r'<path d="(M[^"]*L[^"]*)" fill="none"', drawn)
    assert path
    assert path.group(1).count("M") == 2
    assert drawn.count("<circle") == 3


def test_several_lines_differ_in_more_than_color() -> None:
    series = {name: [(0.0, 1.0), (1.0, float(i))] for i, name in enumerate("abc")}
    drawn = plots.line(series, title="t", desc="d", form=tick, x_form=tick)
    assert len(set(re.findall(r'stroke-dasharray="([^"]*)"', drawn))) == 3


def test_the_reliability_gap_spans_accuracy_and_confidence() -> None:
    drawn = plots.reliability([(0.5, 0.25, 4)], title="t", desc="d", names=["c", "a", "n", "gap"])
    heights = [float(rect.attrib["height"]) for rect in ElementTree.fromstring(drawn).iter("rect")]
    assert 0.25 * 260 in heights  # the side of the square is 260


def test_an_interval_is_drawn_to_scale() -> None:
    [band] = widths(plots.whisker(0.9, (0.85, 0.95), bounds=(0.8, 1.0), desc="d"))
    assert band == pytest.approx(210 / 2)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_every_plot_survives_one_constant_value(value: float) -> None:
    drawn = [
        plots.bars(["a"], [value], form=tick, title="t", desc="d"),
        plots.histogram(["a"], [abs(value)], form=tick, title="t", desc="d"),
        plots.matrix(["a"], ["a"], cells=[[0]], title="t", desc="d"),
        plots.line({"a": [(1.0, value)]}, form=tick, x_form=tick, title="t", desc="d"),
        plots.line({"a": [(1.0, None)]}, form=tick, x_form=tick, title="t", desc="d"),
        plots.reliability([(1.0, 1.0, 1)], names=["c", "a", "n", "gap"], title="t", desc="d"),
        plots.intervals([("a", None, value, None), ("b", None, None, None)], title="t", desc="d"),
    ]
    for one in drawn:
        assert ElementTree.fromstring(one).attrib["role"] == "img"
        assert "nan" not in one


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.913, 0.944), (0.0, 3081.0), (2.0, 2.0), (-5.0, 7.0), (0.0, 1e-7)]
)
def test_ticks_cover_the_range_with_few_round_numbers(low: float, high: float) -> None:
    ticks = ticks_over(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 3 <= len(ticks) <= 7


def test_whole_ticks_are_whole() -> None:
    assert all(value.is_integer() for value in ticks_over(1.0, 3.0, whole=True))


def test_fitted_text_keeps_what_fits() -> None:
    assert fitted("short", 100, size=11) == "short"
    assert fitted("a rather long label", 60, size=11).endswith("…")


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    points = [
        ("a", 3.0, 0.9, True),
        ("b", 1.0, 0.7, True),
        ("c", 2.0, 0.6, True),
        ("d", 3.0, 0.8, False),
        ("e", 4.0, 0.9, True),
    ]
    assert [label for label, *_ in plots.front(points)] == ["b", "a"]


def test_points_that_lie_together_share_one_label() -> None:
    points = [("0", 1.0, 0.9, True), ("1", 1.001, 0.9, True), ("2", 9.0, 0.5, True)]
    drawn = plots.pareto(points, title="t", desc="d", form=tick, x_form=tick, axes=("ms", "accuracy"))
    assert ">0, 1</text>" in drawn
    assert ">1</text>" not in drawn


def test_points_beyond_the_budget_are_hollow_and_the_front_is_joined() -> None:
    points = [("0", 3.0, 0.9, False), ("1", 1.0, 0.7, True), ("2", 2.0, 0.6, True)]
    drawn = plots.pareto(points, title="t", desc="d", form=tick, x_form=tick, axes=("ms", "accuracy"))
    assert drawn.count('fill="var(--paper') == 1
    assert drawn.count('fill="var(--blue,#0072b2)"') == 2
    path = re.search(r'<path d="(M[^"]*L[^"]*)" fill="none"', drawn)
    assert path
    assert path.group(1).count("L") == 1
    ElementTree.fromstring(drawn)


def test_of_a_quality_that_is_better_when_it_is_less_the_front_is_the_other_one() -> None:
    points = [("0", 1.0, 40.0, True), ("1", 2.0, 30.0, True), ("2", 2.0, 50.0, True), ("3", 3.0, 60.0, True)]
    assert [label for label, *_ in plots.front(points, less=True)] == ["0", "1"]
    assert [label for label, *_ in plots.front(points)] == ["0", "2", "3"]
    both = [plots.pareto(points, title="t", desc="d", form=tick, x_form=tick, axes=("ms", "x"), less=less)
            for less in (True, False)]  # fmt: skip
    assert both[0] != both[1]
