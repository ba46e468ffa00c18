"""Offsets of Chinese text, full-width letters, digits and marks in it: what a task was shown, its answers give back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS

# full-width letters and digits, marks, an ideographic blank, ASCII within, a character beyond two bytes
TEXT = "我在ＡＢＣ公司学生物，２０２３年５月来到“中国”　用 email 说：𠮷野家好！"
STRETCHES = ["我", "ＡＢＣ", "ＡＢＣ公司", "２０２３年", "５月", "中国", "email", "𠮷野家", "，２０２３", "好！"]
SURE = 9.0


def made(name: str, base: Path, labels: tuple[str, ...], **settings: Any) -> Any:
    return make_task(name, SETTINGS[name].model_validate(settings), labels=labels, folder=base)


def place(stretch: str) -> tuple[int, int]:
    start = TEXT.index(stretch)
    return start, start + len(stretch)


@pytest.mark.parametrize("room", [64, 32])
@pytest.mark.parametrize("stretch", STRETCHES)
def test_answers(stretch: str, room: int, tiny_base: Path) -> None:
    task = made("question-answering", tiny_base, ("start", "end"), max_length=room, stride=12)
    gold = [{"text": stretch, "start": place(stretch)[0]}]
    columns: dict[str, list[Any]] = {"context": [TEXT], "question": ["他在哪里？"], "answers": [gold]}
    rows = Rows(task.encode(columns, purpose="learn"))
    batch = task.collate(rows, np.arange(len(rows)))
    partials = []
    for row, (start, end) in enumerate(batch["targets"].tolist()):
        scores = np.zeros((int(batch["answer_mask"][row].sum()), 2), dtype=np.float32)
        scores[start, 0] = scores[end, 1] = SURE if start else 0.0
        partials.append(scores)
    [answer] = task.join(columns, rows, partials, constants={})
    assert (answer["answer"], answer["start"], answer["end"]) == (stretch, *place(stretch))
    assert rows.scalar("lost_answers").sum() == 0


@pytest.mark.parametrize(("head", "tail"), [("ＡＢＣ公司", "中国"), ("５月", "我"), ("email", "２０２３年")])
def test_marked_spans(head: str, tail: str, tiny_base: Path) -> None:
    task = made("relation-extraction", tiny_base, ("a", "b"))
    spans = {name: dict(zip(("start", "end"), place(stretch), strict=True))
             for name, stretch in (("head", head), ("tail", tail))}  # fmt: skip
    rows = Rows(task.encode({"text": [TEXT], **{name: [span] for name, span in spans.items()}}, purpose="predict"))
    ids = rows.row("input_ids", 0).tolist()
    for mark, stretch, column in (("@", head, "head_marker"), ("#", tail, "tail_marker")):
        at = int(rows.scalar(column)[0])
        marker, inside = task.tokenizer.encode([mark, stretch])
        assert ids[at : at + len(inside) + 2] == [*marker, *inside, *marker]


def test_labeled_stretches(tiny_base: Path) -> None:
    task = made("span-classification", tiny_base, ("x",))
    gold = [{"start": start, "end": end, "label": "x"} for start, end in map(place, STRETCHES)]
    columns = {"text": [TEXT], "entities": [gold]}
    rows = Rows(task.encode(columns, purpose="learn"))
    assert rows.scalar("lost").tolist() == [0]
    found = rows.row("entities", 0).reshape(-1, 3)
    partial = np.array([[first, last, label, SURE] for label, first, last in found.tolist()], dtype=np.float32)
    [answer] = task.join(columns, rows, [partial], constants={})
    assert sorted((one["start"], one["end"], one["text"]) for one in answer["entities"]) == sorted(
        (*place(stretch), stretch) for stretch in STRETCHES
    )


def test_choices(tiny_base: Path) -> None:
    task = made("multiple-choice", tiny_base, ("choice",))
    columns: dict[str, list[Any]] = {"question": [TEXT[:20]], "choices": [STRETCHES[:5]], "label": [3]}
    rows = Rows(task.encode(columns, purpose="learn"))
    ids, lengths = rows.row("input_ids", 0).tolist(), rows.row("lengths", 0).tolist()
    ends = np.cumsum(lengths).tolist()
    for choice, begin, end in zip(columns["choices"][0], [0, *ends], ends, strict=False):
        (own,) = task.tokenizer.encode([choice])
        suffix = task.tokenizer.suffix
        assert ids[begin:end][-len(own) - len(suffix) :] == [*own, *suffix]
    scores = np.array([0, 0, 0, SURE, 0], dtype=np.float32)
    assert task.join(columns, rows, [scores], constants={})[0]["answer"] == "２０２３年"


@pytest.mark.parametrize("split", ["characters", "words"])
@pytest.mark.parametrize("stretch", ["我", "中国", "email", "ＡＢＣ", "２０２３", "５", "公司学生物"])
def test_slots(stretch: str, split: str, tiny_base: Path) -> None:
    task = made("intent-and-slots", tiny_base, ("ask", "tell"), slots=["it"], head="linear", split=split)
    columns = {"text": [TEXT]}
    rows = Rows(task.encode(columns, purpose="predict"))
    start, end = place(stretch)
    offsets = task._tagging._split(TEXT)
    scores = np.zeros((1 + len(offsets), 3), dtype=np.float32)
    scores[0, 1] = SURE
    for word, (a, b) in enumerate(offsets, start=1):
        inside = start <= a and b <= end
        scores[word, task.tags.index("B-it" if a == start else "I-it") if inside else task.tags.index("O")] = SURE
    [answer] = task.join(columns, rows, [scores], constants={})
    [slot] = answer["entities"]
    assert (answer["label"], slot["start"], slot["end"], slot["text"]) == ("tell", start, end, stretch)
