"""The mean of several scores is the mean of what a task makes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.models.model import build_model
from hone.predict.engine import TorchEngine
from hone.predict.ensemble import EnsembleEngine, mean_of_choices, mean_scores
from hone.predict.predictor import load
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.settings import IntentAndSlotsSettings
from hone.tasks.table import SETTINGS


def test_of_one_label_among_all() -> None:
    one, other = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    found = mean_scores([one, other], torch.ones(4, dtype=torch.bool), says="one").softmax(1)
    torch.testing.assert_close(found, (one.softmax(1) + other.softmax(1)) / 2)


def test_of_labels_each_by_itself() -> None:
    one, other = 9 * torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    found = mean_scores([one, other], torch.ones(4, dtype=torch.bool), says="several").sigmoid()
    torch.testing.assert_close(found, (one.sigmoid() + other.sigmoid()) / 2)


def test_of_numbers() -> None:
    found = mean_scores([torch.tensor([[1.0]]), torch.tensor([[4.0]])], torch.ones(1, dtype=torch.bool), says="number")
    assert found.tolist() == [[2.5]]


def test_of_places_under_padding() -> None:
    one, other = torch.randn(2, 2, 5, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 5, [True, True, True, False, False]])
    found = mean_scores([one, other], mask, says="place")
    for row, size in enumerate((5, 3)):
        expected = (one[row, :size].softmax(0) + other[row, :size].softmax(0)) / 2
        torch.testing.assert_close(found[row, :size].softmax(0), expected)


def test_of_the_choices_of_each_row() -> None:
    one, other = torch.randn(2, 5, 1, generator=torch.Generator().manual_seed(0))
    found = mean_of_choices([one, other], [3, 2])
    for part in (slice(0, 3), slice(3, 5)):
        expected = (one[part].softmax(0) + other[part].softmax(0)) / 2
        torch.testing.assert_close(found[part].softmax(0), expected)


READ: dict[str, tuple[tuple[str, ...], dict[str, list[Any]]]] = {
    "multiple-choice": (("choice",), {"question": ["help", "where"], "choices": [["the", "bank"], ["my", "it", "a"]]}),
    "span-classification": (("LOC", "ORG"), {"text": ["the bank is in the phone", "help"]}),
    "fill-mask": ((), {"text": ["the [MASK] is new", "my [MASK]"]}),
}


@pytest.mark.parametrize("name", READ)
def test_every_chance_is_the_mean_of_those_of_the_members(name: str, tiny_base: Path) -> None:
    labels, columns = READ[name]
    task = make_task(name, SETTINGS[name].model_validate({}), labels=labels, folder=tiny_base)
    rows = Rows(task.encode(columns, purpose="predict"))
    batch = task.collate(rows, np.arange(2))
    torch.manual_seed(0)
    members = [TorchEngine(build_model(tiny_base, task.head).eval(), torch.device("cpu")) for _ in range(2)]
    each = [member.forward(batch) for member in members]
    together = EnsembleEngine(task, members).forward(batch)
    if name == "multiple-choice":
        said = [task.join(columns, rows, task.decode(outputs, batch), constants={}) for outputs in (*each, together)]
        for a, b, c in zip(*said, strict=True):
            assert a["scores"] != b["scores"]
            assert c["scores"] == pytest.approx((np.array(a["scores"]) + np.array(b["scores"])) / 2, abs=1e-6)
        return
    chances = torch.sigmoid if name == "span-classification" else torch.Tensor.exp
    logits = [outputs["logits"].float() for outputs in (*each, together)]
    if name == "fill-mask":
        logits = [scores.log_softmax(-1) for scores in logits]
    one, other, found = (chances(scores) for scores in logits)
    torch.testing.assert_close(found, (one + other) / 2)


def test_beside_a_crf_the_intents_chances_are_averaged_and_the_words_scores(tiny_base: Path) -> None:
    settings = IntentAndSlotsSettings(slots=["thing"], head="crf", split="words")
    task = make_task("intent-and-slots", settings, labels=("ask", "beg", "tell", "thank"), folder=tiny_base)
    rows = Rows(task.encode({"tokens": [["they", "love", "the", "bank"], ["help"]]}, purpose="predict"))
    batch = task.collate(rows, np.arange(2))
    torch.manual_seed(0)
    members = [TorchEngine(build_model(tiny_base, task.head), torch.device("cpu")) for _ in range(2)]
    for member in members:
        head: Any = member.model.head
        torch.nn.init.normal_(head.sentence.linear.weight, std=2.0)
    one, other = (member.forward(batch)["logits"] for member in members)
    found = EnsembleEngine(task, members).forward(batch)["logits"]
    expected = (one[:, 0].softmax(1) + other[:, 0].softmax(1)) / 2
    torch.testing.assert_close(found[:, 0].softmax(1), expected)
    torch.testing.assert_close(found[:, 1:], (one[:, 1:] + other[:, 1:]) / 2)


@pytest.mark.parametrize("kind", ["text", "tag"])
def test_a_bundle_twice_answers_as_it_does_alone(kind: str, text_bundle: Path, tag_bundle: Path) -> None:
    bundle, given = {
        "text": (text_bundle, ["i want my money back", "printer broken"]),
        "tag": (tag_bundle, ["Ada is in rome now", "not here"]),
    }[kind]
    alone = load(bundle, device="cpu")
    engine = EnsembleEngine(alone.task, [alone.engine, alone.engine])
    assert engine.weights_bytes == 2 * alone.engine.weights_bytes
    expected = alone.predict(given)
    alone.engine = engine
    for one, other in zip(alone.predict(given), expected, strict=True):
        assert one.keys() == other.keys()
        if kind == "text":
            assert one["label"] == other["label"]
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)
        else:
            assert [(e["label"], e["start"]) for e in one["entities"]] == [
                (e["label"], e["start"]) for e in other["entities"]
            ]
