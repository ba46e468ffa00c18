"""What bundles of other tasks cannot answer or be measured on, and what a longer question or a label's writing does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hone.bundle.manifest import Lineage
from hone.cli import answers
from hone.models.model import build_model
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS, TASKS

RELATIONS, ANSWERS, CHOICES, ENTITIES = (
    "relation-extraction", "question-answering", "multiple-choice", "span-classification")  # fmt: skip
SPANS = {"head": {"start": 2, "end": 5}, "tail": {"start": 11, "end": 14}}
GOOD: dict[str, dict[str, Any]] = {
    RELATIONS: {"text": "a cat in a box", **SPANS, "label": "in"},
    ANSWERS: {"context": "a cat in a box", "question": "what", "answers": [{"text": "cat", "start": 2}]},
    CHOICES: {"question": "what", "choices": ["a cat", "a box"], "label": 0},
    ENTITIES: {"text": "a cat in a box", "entities": [{"start": 2, "end": 5, "label": "A"}]},
}
LONG = "where " * 60
Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def bundles(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of random weights by their task."""
    folder, found = tmp_path_factory.mktemp("bundles"), {}
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    for name in GOOD:
        target = TASKS[name].targets[0].name
        labels = TASKS[name].labels_in({target: [GOOD[name][target]]})
        task = make_task(name, SETTINGS[name](), labels=labels, folder=tiny_base)
        found[name] = write_model(folder / name, build_model(tiny_base, task.head), task, lineage=lineage).path
    return found


def rows(file: Path, *some: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in some))
    return file


BOTH, MEASURED = ("predict", "evaluate"), ("evaluate",)


@pytest.mark.parametrize(
    ("task", "changed", "field", "commands"),
    [
        (RELATIONS, {"tail": {"start": 11, "end": 99}}, "tail", BOTH),
        (RELATIONS, {"tail": {"start": 4, "end": 8}}, "tail", BOTH),
        (RELATIONS, {"head": {"start": 3, "end": 3}}, "head", BOTH),
        (ANSWERS, {"answers": [{"text": "dog", "start": 2}]}, "answers", MEASURED),
        (ANSWERS, {"question": LONG}, "question", BOTH),
        (CHOICES, {"choices": []}, "choices", BOTH),
        (CHOICES, {"label": "a dog"}, "label", MEASURED),
        (ENTITIES, {"entities": [{"start": 2, "end": 50, "label": "A"}]}, "entities", MEASURED),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_field(
    task: str, changed: dict[str, Any], field: str, commands: Sequence[str], command: Command,
    bundles: dict[str, Path], tmp_path: Path,
) -> None:  # fmt: skip
    file = rows(tmp_path / "in.jsonl", GOOD[task], {**GOOD[task], **changed})
    for name in commands:
        code, out, said = command(name, bundles[task], file)
        assert (code, out) == (2, "")
        assert f"{file}:2: {field}: found " in said, said


def test_a_question_too_long_to_learn_is_named_too(command: Command, tiny_base: Path, tmp_path: Path) -> None:
    file = rows(tmp_path / "in.jsonl", GOOD[ANSWERS], {**GOOD[ANSWERS], "question": LONG})
    code, _, said = command("finetune", file, "--task", ANSWERS, "--base", tiny_base, "--validation", "none", "--out",
                            tmp_path / "bundle")  # fmt: skip
    assert code == 2
    assert f"{file}:2: question: found 60 tokens" in said


def test_lines_of_a_later_file_and_batch_are_known(
    command: Command, bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.data.checked.ROWS_AT_ONCE", 2)
    rows(tmp_path / "a.jsonl", *[GOOD[ANSWERS]] * 11)
    last = rows(tmp_path / "b.jsonl", *[GOOD[ANSWERS]] * 4, {**GOOD[ANSWERS], "question": LONG})
    for source in (tmp_path / "*.jsonl", last):
        code, _, said = command("predict", bundles[ANSWERS], source)
        assert code == 2
        assert f"{last}:5: question: found" in said
    assert answers.BATCHES_PLACED < 6  # the first of them are forgotten by then


@pytest.mark.parametrize("by", ["finetune", "inspect"])
def test_labels_as_numbers_in_one_file_and_as_text_in_another_are_named_in_both(
    by: str, command: Command, tiny_base: Path, tmp_path: Path
) -> None:
    train = rows(tmp_path / "train.jsonl", *[{"text": f"t {i}", "label": i % 2} for i in range(4)])
    other = rows(tmp_path / "other.jsonl", {"text": "v", "label": "1"})
    more = ["--validation", other, "--out", tmp_path / "b"] if by == "finetune" else [other]
    code, out, said = command(by, train, *more, "--base", tiny_base)
    assert (code, out) == (2, "")
    assert f"{train}:1: label: found the label 0 as a number" in said
    assert f"{other}:1: label: found the label '1' as text" in said


@pytest.mark.parametrize("setting", ["method.r=1000", "method.init_r=1000"])
def test_a_rank_larger_than_a_matrix_is_refused_by_its_key(
    setting: str, command: Command, tiny_base: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    method = "lora" if setting.startswith("method.r") else "adalora"
    code, out, said = command("finetune", texts["train"], "--base", tiny_base, "--out", tmp_path / "b",
                              f"method.name={method}", setting)  # fmt: skip
    assert (code, out) == (2, "")
    assert f"{setting.partition('=')[0]}: found 1000" in said
    assert "at most 32" in said
