"""``relation-extraction``: markers about both spans, the text nearest to them kept, the official measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.core.errors import DataError
from hone.tasks.make import make_task
from hone.tasks.marked import fitted
from hone.tasks.rows import Rows
from hone.tasks.settings import RelationSettings

LABELS = ("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other", "Product-Producer(e1,e2)")


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = RelationSettings.model_validate(settings)
        return make_task("relation-extraction", chosen, labels=LABELS, folder=tiny_base)

    return make


def example(text: str, head: str, tail: str) -> dict[str, list[Any]]:
    spans = {"head": head, "tail": tail}
    places = {name: text.index(word) for name, word in spans.items()}
    return {"text": [text], **{n: [{"start": p, "end": p + len(spans[n])}] for n, p in places.items()}}


def read(task: Any, columns: dict[str, list[Any]]) -> tuple[list[int], Rows]:
    """The tokens that the head will read, and the row."""
    rows = Rows(task.encode(columns, purpose="predict"))
    ids = rows.row("input_ids", 0).tolist()
    places = task.collate(rows, np.array([0]))["marker_positions"][0].tolist()
    return [ids[place] for place in places], rows


def marks(task: Any) -> list[int]:
    return [ids[0] for ids in task.tokenizer.encode(["@", "#"])]


def test_markers_stand_about_both_spans(make: Any) -> None:
    task = make()
    marked, rows = read(task, example("the screen is broken please", "screen", "broken"))
    assert marked == marks(task)
    inner = task.tokenizer.encode(["the", "@ screen @", "is", "# broken #", "please"])
    expected = [*task.tokenizer.prefix, *(i for part in inner for i in part), *task.tokenizer.suffix]
    assert rows.row("input_ids", 0).tolist() == expected


def test_the_head_keeps_its_marker_where_it_stands_second(make: Any) -> None:
    task = make()
    marked, rows = read(task, example("the screen is broken please", "broken", "screen"))
    assert marked == marks(task)
    ids = rows.row("input_ids", 0).tolist()
    head, tail = marks(task)
    assert ids.index(tail) < ids.index(head)


@pytest.mark.parametrize(
    ("sizes", "room", "kept"),
    [
        ((2, 1, 2, 1, 2), 8, (2, 1, 2, 1, 2)),
        ((9, 1, 2, 1, 9), 8, (2, 1, 2, 1, 2)),
        ((0, 1, 2, 1, 9), 8, (0, 1, 2, 1, 4)),
        ((9, 1, 2, 1, 1), 8, (3, 1, 2, 1, 1)),
        ((9, 1, 9, 1, 9), 8, (0, 1, 6, 1, 0)),
        ((9, 7, 9, 2, 9), 8, (0, 6, 0, 2, 0)),
        ((9, 7, 9, 7, 9), 8, (0, 4, 0, 4, 0)),
    ],
)
def test_what_is_far_from_the_spans_goes_first(sizes: Any, room: int, kept: Any) -> None:
    parts = [[10 * place + i for i in range(size)] for place, size in enumerate(sizes)]
    found = fitted(parts, room=room)
    assert tuple(map(len, found)) == kept
    before, first, between, second, after = found
    assert before == parts[0][len(parts[0]) - kept[0] :]
    assert (first, second, after) == (parts[1][: kept[1]], parts[3][: kept[3]], parts[4][: kept[4]])
    half = (kept[2] + 1) // 2
    assert between == [*parts[2][:half], *parts[2][len(parts[2]) - (kept[2] - half) :]]


def test_a_long_text_keeps_its_spans_and_says_that_it_was_cut(make: Any) -> None:
    task = make(max_length=12)
    marked, rows = read(task, example("please " * 30 + "screen is broken" + " now" * 30, "screen", "broken"))
    assert marked == marks(task)
    assert rows.lengths.tolist() == [12]
    assert rows.scalar("truncated").tolist() == [1]
    with pytest.raises(DataError) as caught:
        make(max_length=12, long_text="refuse").encode(
            example("please " * 30 + "screen is broken", "screen", "broken"), purpose="predict"
        )
    assert caught.value.code == "data.text-too-long"


@pytest.mark.parametrize("far", [1_000, 20_000, 90_000])
def test_what_is_far_from_the_spans_counts_and_is_kept_where_it_fits(make: Any, far: int) -> None:
    gap = " " * far
    near = example(f"please{gap}screen is broken{gap}please", "screen", "broken")
    (please,) = make().tokenizer.encode(["please"])[0]
    _, rows = read(make(), near)
    assert rows.row("input_ids", 0).tolist().count(please) == 2
    assert rows.scalar("truncated").tolist() == [0]
    long = example("please " * 30 + f"{gap}screen is broken{gap}" + "now " * 30, "screen", "broken")
    _, rows = read(make(max_length=12), long)
    assert rows.scalar("truncated").tolist() == [1]
    with pytest.raises(DataError) as caught:
        make(max_length=12, long_text="refuse").encode(long, purpose="predict")
    assert caught.value.code == "data.text-too-long"


def test_the_measure_is_the_official_one(make: Any) -> None:
    task = make()
    gold = [0, 0, 1, 2, 3, 3]
    said = [0, 1, 1, 0, 3, 2]
    tally = np.array([gold, said, [0.9] * 6], dtype=np.float64).T
    # Cause-Effect: right 2 (one in the wrong direction), said 4, gold 3: F1 4/7; Product-Producer: 1, 1, 2: F1 2/3
    assert task.measures(tally)["relation_f1"] == pytest.approx((4 / 7 + 2 / 3) / 2)


def test_nothing_but_other_has_no_relation_f1(make: Any) -> None:
    assert make().measures(np.array([[2.0, 2.0, 0.9]]))["relation_f1"] is None


def test_spans_are_shown_in_the_text(make: Any) -> None:
    columns = {**example("the screen is broken", "broken", "screen"), "label": ["Other"]}
    said = [{"label": "Other", "score": 0.9, "scores": dict.fromkeys(LABELS, 0.1)}]
    assert make().scored(said, columns).texts == ["the [2 screen] is [1 broken]"]
