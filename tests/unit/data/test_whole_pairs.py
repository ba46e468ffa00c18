"""Pairs whose texts each hold the whole conversation: what both begin with is the prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hone.core.errors import DataError
from hone.data.read import read
from hone.data.source import Source
from hone.tasks.fields import PAIRS, shapes_of_data
from hone.tasks.table import SETTINGS, TASKS

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
         {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "A taxi, please"}]  # fmt: skip
KEPT = [{"role": turn["role"], "text": turn["content"]} for turn in ASKED]


def whole(answer: str, turns: list[dict[str, str]] = ASKED) -> list[dict[str, str]]:
    return [*turns, {"role": "assistant", "content": answer}]


def spoken(answer: str) -> str:
    """As HH-RLHF has it."""
    return f"\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: A taxi, please\n\nAssistant: {answer}"


def data_of(row: dict[str, Any], folder: Path, *, task: str = "dialogue", parquet: bool = False) -> dict[str, Any]:
    file = folder / ("pairs.parquet" if parquet else "pairs.jsonl")
    if parquet:
        pq.write_table(pa.Table.from_pylist([row, row]), file)
    else:
        file.write_text(json.dumps(row) + "\n")
    settings = SETTINGS[task]()
    choices = [shape.fields for shape in shapes_of_data(TASKS[task], PAIRS, settings)]
    data = read(Source(path=str(file)), *choices, name=PAIRS, base=folder, cache=folder / "cache")
    return {name: values[0] for name, values in data.slice(0, 1).items()}


@pytest.mark.parametrize("beside", [{}, {"prompt": "A taxi, please"}, {"prompt": ASKED}, {"messages": whole("Where?")}])
@pytest.mark.parametrize(("task", "parquet"), [("dialogue", True), ("text-generation", False)])
def test_what_both_begin_with_is_the_prompt(beside: dict[str, Any], task: str, parquet: bool, tmp_path: Path) -> None:
    row = {**beside, "chosen": whole("Where?"), "rejected": whole("No."), "score_chosen": 8.5}
    data = data_of(row, tmp_path, task=task, parquet=parquet)
    assert data["prompt"] == KEPT
    assert (data["chosen"], data["rejected"]) == ("Where?", "No.")


def test_texts_in_which_both_speak_are_conversations(tmp_path: Path) -> None:
    data = data_of({"chosen": spoken("Where?"), "rejected": spoken("No.")}, tmp_path)
    assert data["prompt"] == KEPT[1:]
    assert data["rejected"] == "No."


@pytest.mark.parametrize("prompt", [spoken("")[: -len("\n\nAssistant: ")], spoken("")])
def test_answers_before_which_the_assistant_stands_are_their_texts(prompt: str, tmp_path: Path) -> None:
    row = {"prompt": prompt, "chosen": "\n\nAssistant: Where?", "rejected": "\n\nAssistant: No."}
    data = data_of(row, tmp_path)
    assert data["prompt"] == KEPT[1:]
    assert (data["chosen"], data["rejected"]) == ("Where?", "No.")


def test_the_prompt_of_such_answers_may_be_a_text(tmp_path: Path) -> None:
    row = {"prompt": "A taxi, please", "chosen": "\n\nAssistant: Where?", "rejected": "\n\nAssistant: No."}
    data = data_of(row, tmp_path, task="text-generation")
    assert (data["prompt"], data["chosen"], data["rejected"]) == ("A taxi, please", "Where?", "No.")


def test_a_task_over_texts_reads_one_turn_as_text(tmp_path: Path) -> None:
    row = {"chosen": whole("Ein Hund.", ASKED[1:2]), "rejected": whole("Hund.", ASKED[1:2])}
    data = data_of(row, tmp_path, task="translation")
    assert (data["prompt"], data["chosen"]) == ("Hi", "Ein Hund.")


@pytest.mark.parametrize(
    ("row", "task", "code", "field"),
    [
        ({"chosen": whole("a"), "rejected": whole("b", ASKED[:2])}, "dialogue", "data.pair-parts", "rejected"),
        ({"chosen": whole("a")[:-1], "rejected": whole("b")}, "dialogue", "data.pair-unanswered", "chosen"),
        ({"chosen": whole("a", ASKED[:1]), "rejected": whole("b", ASKED[:1])}, "translation", "data.pair-unasked",
         "chosen"),
        ({"chosen": whole("a"), "rejected": whole(" ")}, "dialogue", "data.turns-empty", "rejected"),
        ({"prompt": "Hi", "chosen": spoken("a"), "rejected": "\n\nAssistant: b"}, "dialogue", "data.pair-parts",
         "rejected"),
        ({"prompt": "Hi", "chosen": "\n\nHuman: a", "rejected": "\n\nHuman: b"}, "dialogue", "data.turns-unanswered",
         "chosen"),
        ({"prompt": "\n\nHuman: ", "chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: b"}, "dialogue",
         "data.turns-empty", "chosen"),
        ({"prompt": "A bus", "chosen": whole("a"), "rejected": whole("b")}, "dialogue", "data.pair-prompt", "prompt"),
        ({"messages": ASKED[:2], "chosen": whole("a"), "rejected": whole("b")}, "dialogue", "data.pair-prompt",
         "messages"),
        ({"chosen": whole("a"), "rejected": whole("a")}, "dialogue", "data.pair-equal", "rejected"),
        ({"chosen": whole("a"), "rejected": whole("b")}, "translation", "data.pair-turns", "rejected"),
        ({"prompt": "Once upon a time", "chosen": "Once upon a time a", "rejected": "Once upon a time b"},
         "text-generation", "data.pair-prompt", "chosen"),
    ],
)  # fmt: skip
def test_what_cannot_be_parted_is_told_with_its_line(
    row: dict[str, Any], task: str, code: str, field: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as refused:
        data_of(row, tmp_path, task=task)
    (fault,) = refused.value.faults
    assert (fault.code, fault.field, fault.line) == (code, field, 1)


def test_a_short_prompt_may_be_said_again(tmp_path: Path) -> None:
    row = {"prompt": "Yes", "chosen": "Yes, I do", "rejected": "Yes or no"}
    assert data_of(row, tmp_path, task="text-generation")["chosen"] == "Yes, I do"
