"""`r-drop` against its definition: by hand for each kind of answer, and in the loop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_bench import Bench

from hone.tasks.make import make_task
from hone.tasks.protocol import Loss
from hone.tasks.settings import TokenClassificationSettings
from hone.train.r_drop import RDrop
from hone.train.technique import Pass
from hone.train.techniques import RDropSettings

SHAPES = {"one": (4, 3), "several": (4, 3), "number": (4, 1), "place": (4, 5, 2)}


def divergence(says: str, one: Tensor, other: Tensor) -> Tensor:
    """Half the sum of both divergences of rows' scores, in the words of the paper."""
    if says == "number":
        return ((one - other) ** 2).sum()
    if says == "several":
        p, q = (torch.stack([s.sigmoid(), 1 - s.sigmoid()]) for s in (one, other))
        return ((p - q) * (p.log() - q.log())).sum() / 2 / one.shape[1]
    if says == "place":  # [rows, places, start or end]
        p, q = one.softmax(1), other.softmax(1)
        return ((p - q) * (p.log() - q.log())).sum() / 2 / 2
    p, q = one.softmax(1), other.softmax(1)
    return ((p - q) * (p.log() - q.log())).sum() / 2


@pytest.mark.parametrize("says", SHAPES)
@pytest.mark.parametrize("weight", [4.0, 10.0])
def test_the_loss_is_that_of_the_definition(bench: Bench, says: str, weight: float) -> None:
    torch.manual_seed(0)
    one, other = torch.randn(SHAPES[says]), torch.randn(SHAPES[says])
    task: Any = SimpleNamespace(says=says, decode=lambda outputs, batch: list(outputs["logits"].numpy()))
    course: Any = SimpleNamespace(task=task)
    second = {"logits": other}, Loss(torch.tensor(7.0), weight)
    batch = {"input_ids": torch.zeros(4, 6)}
    seen = Pass(batch, {"logits": one}, Loss(torch.tensor(5.0), weight), again=lambda: second, backward=pytest.fail)
    found = RDrop(RDropSettings(alpha=2.0), course).on_loss(torch.tensor(5.0), seen)
    expected = 6.0 + 2.0 * weight / 4 * divergence(says, one, other)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_words_that_are_padding_do_not_count(tiny_base: Path) -> None:
    task = make_task(
        "token-classification", TokenClassificationSettings(), labels=("O", "B-X", "I-X"), folder=tiny_base
    )
    batch = {"word_mask": torch.tensor([[True, True], [True, False]]), "input_ids": torch.zeros(2, 4)}
    one, other = torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)
    other[1, 1, 0] = 9.0
    loss = Loss(torch.tensor(1.0), 3.0)
    course: Any = SimpleNamespace(task=task)
    seen = Pass(batch, {"logits": one}, loss, again=lambda: ({"logits": other}, loss), backward=pytest.fail)
    technique = RDrop(RDropSettings(), course)
    assert float(technique.on_loss(loss.total, seen)) == pytest.approx(1.0)
    other[0, 1, 0] = 9.0
    assert float(technique.on_loss(loss.total, seen)) > 1.5


def test_both_passes_have_masks_of_their_own(bench: Bench) -> None:
    loop = bench.loop(dropout=0.5, techniques=["r-drop"])
    loop.model.train()
    batch = bench.task.collate(bench.rows(), np.arange(4))
    loop.model.noise.start(seed=1, step=0)
    one, _ = loop._forward(batch)
    other, _ = loop._forward(batch)
    assert not torch.allclose(one["logits"], other["logits"])
