"""The mean of several scores is the mean of what a task makes of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hone.predict.ensemble import EnsembleEngine, mean_scores
from hone.predict.predictor import load


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
