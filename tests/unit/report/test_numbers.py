"""Numbers are written with the digits that they deserve."""

from __future__ import annotations

import pytest

from hone.report.numbers import Cell, column, number


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.93664, "share", "0.937"),
        (1.0, "share", "1.000"),
        (0.99969, "share", "0.99969"),
        (0.00042, "share", "0.00042"),
        (0.0, "share", "0.000"),
        (12345, "count", "12,345"),
        (0.0042, "seconds", "4.2 ms"),
        (93.4, "seconds", "93.4 s"),
        (600, "seconds", "10 min"),
        (9000, "seconds", "2.5 h"),
        (1.25e9, "bytes", "1.25 GB"),
        (999, "bytes", "999 B"),
        (12.34, "ms", "12.3 ms"),
        (5120.0, "MB", "5,120 MB"),
        (3.0, "widgets", "3 widgets"),
        (999.6, "count", "1,000"),
        (0.9996, "seconds", "1 s"),
        (1.5e15, "bytes", "1,500 TB"),
        (-0.03, "points", "-0.03"),
    ],
)
def test_a_number_is_written_in_its_unit(value: float, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


def test_times_are_written_in_the_readers_language() -> None:
    assert number(600, "seconds", language="zh") == "10 分钟"


@pytest.mark.parametrize(
    ("name", "cells", "shown"),
    [
        ("f1", [0.5, 1.0, None], ["0.500", "1.000", "–"]),
        ("mean", [12.345, 3.0], ["12.3", "3.0"]),
        ("learning_rate", [3e-4, 2e-5], ["0.0003", "2e-05"]),
        ("count", [3080, 0], ["3,080", "0"]),
        ("line", [12345], ["12345"]),
        ("truncated", [True, False], ["yes", "no"]),
        ("memory_bytes", [2_500_000], ["2.5 MB"]),
        ("text", ["as_it_is"], ["as_it_is"]),
        ("value", [600.6, 0.00081, 0.0, -2.47], ["600.6", "0.00081", "0", "-2.47"]),
        ("parent", [2_368_341.0, 3.29, 0.047], ["2,368,341", "3.29", "0.047"]),
        ("parent", [0.467, 2583.4], ["0.467", "2,583"]),
        ("loss", [6.91, 0.44], ["6.91", "0.44"]),
        ("p", [0.5, 0.0001, 0.0], ["0.500", "0.0001", "0.000"]),
        ("difference", [0.021, -0.0003], ["0.021", "-0.0003"]),
    ],
)
def test_a_column_shares_its_digits(name: str, cells: list[Cell], shown: list[str]) -> None:
    assert column(name, cells) == shown
