"""What techniques do not go with is told with the recipe, at the technique, before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hone.bundle.stage import Inputs, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.tasks.table import SETTINGS
from hone.train.faults import find_faults
from hone.train.settings import FinetuneSettings
from hone.train.techniques import Load

TASKS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "text-classification": ({}, {"text": ["one", "two"], "label": ["a", "b"]}),
    "token-classification": ({"head": "crf"}, {"tokens": [["one"], ["two"]], "tags": [["O"], ["B-X"]]}),
    "intent-and-slots": ({}, {"tokens": [["one"], ["two"]], "tags": [["O"], ["B-X"]], "label": ["a", "b"]}),
}


def inputs(base: Path, task: str = "text-classification") -> Inputs:
    settings, columns = TASKS[task]
    return Inputs(
        task=TaskChoice(task, SETTINGS[task].model_validate(settings)),
        base=Base("tiny", base, ""),
        data={"train": Dataset.from_columns("train", columns)},
    )


@pytest.mark.parametrize(
    ("settings", "at", "told"),
    [
        ({"techniques": ["ema", "ema"]}, "techniques.1", "ema twice"),
        ({"techniques": ["ema", "swa"]}, "techniques.1", "ema and swa"),
        ({"techniques": ["fgm", "freelb"]}, "techniques.1", "move the embeddings"),
        ({"techniques": ["r-drop", "freelb"]}, "techniques.1", "repeated pass"),
        ({"techniques": ["fgm"], "freeze_layers": 1}, "techniques.0", "freeze_layers"),
        ({"techniques": ["fgm"], "method": "head"}, "techniques.0", "head keeps the embeddings"),
        ({"techniques": ["mixout"], "method": "bitfit"}, "techniques.0", "method bitfit"),
        ({"techniques": ["r-drop"], "dropout": 0.0}, "techniques.0", "dropout"),
        ({"techniques": ["ema", "fgm"], "torch_compile": True}, "techniques.1", "compile"),
        ({"techniques": ["layer-decay"], "method": "head"}, "techniques.0", "no layer learns"),
        ({"techniques": ["ema", "gradual-unfreezing"], "method": "head"}, "techniques.1", "no layer learns"),
    ],
)
def test_what_does_not_go_together(settings: dict[str, Any], at: str, told: str, tiny_base: Path) -> None:
    (fault,) = find_faults(FinetuneSettings.model_validate(settings), inputs(tiny_base))
    assert (fault.code, fault.field) == ("recipe.technique", at)
    assert told in fault.found


def test_a_loss_over_whole_sequences_has_no_answers_to_compare(tiny_base: Path) -> None:
    chosen = FinetuneSettings(techniques=["r-drop"])  # type: ignore[list-item]
    (fault,) = find_faults(chosen, inputs(tiny_base, "token-classification"))
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.0")


@pytest.mark.parametrize("task", ["token-classification", "intent-and-slots"])
def test_words_have_no_label_of_a_whole_text(task: str, tiny_base: Path) -> None:
    chosen = FinetuneSettings(techniques=["contrastive"])  # type: ignore[list-item]
    (fault,) = find_faults(chosen, inputs(tiny_base, task))
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.0")
    assert "label of a whole text" in fault.found


def test_a_recipe_tells_what_its_techniques_cost() -> None:
    def load(*techniques: Any) -> Load:
        return FinetuneSettings(techniques=list(techniques)).load

    assert load() == Load(passes=1, held=1, copies=0)
    assert load("r-drop", "fgm") == Load(passes=3, held=2)
    assert load({"name": "freelb", "steps": 4}).passes == 4
    assert load("gradient-checkpointing", "ema") == Load(passes=4 / 3, copies=1, recomputes=True)


def test_a_base_whose_layers_are_not_known(tiny_base: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "albert"}')
    chosen = FinetuneSettings(techniques=["layer-decay"])  # type: ignore[list-item]
    assert find_faults(chosen, inputs(tiny_base)) == []
    (fault,) = find_faults(chosen, inputs(tmp_path))
    assert "layers are not known" in fault.found


@pytest.mark.parametrize("name", ["fgm", "freelb", "r-drop"])
def test_what_is_about_one_batch_does_not_go_with_text_beside_the_rows(name: str, tiny_base: Path) -> None:
    given = inputs(tiny_base)
    data = {**given.data, "unlabeled": Dataset.from_columns("unlabeled", {"text": ["six"]})}
    chosen = FinetuneSettings.model_validate({"joint": {"objective": "mlm"}, "techniques": ["ema", name]})
    (fault,) = find_faults(chosen, replace(given, data=data))
    assert (fault.code, fault.field) == ("recipe.technique", "techniques.1")
    assert "joint" in fault.found
