"""`contrastive` against its definition, in loops."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_bench import Bench

from hone.tasks.embedding_losses import supervised
from hone.train.contrastive import Contrastive
from hone.train.technique import Pass
from hone.train.techniques import ContrastiveSettings


def by_hand(states: Any, labels: list[int], temperature: float) -> float:
    """Equation 2 of Gunel et al. 2021, of directions."""
    rows = [row / np.linalg.norm(row) for row in states]
    total = 0.0
    for i, row in enumerate(rows):
        others = [k for k in range(len(rows)) if k != i]
        alike = [j for j in others if labels[j] == labels[i]]
        below = sum(math.exp(row @ rows[k] / temperature) for k in others)
        for j in alike:
            total -= math.log(math.exp(row @ rows[j] / temperature) / below) / len(alike)
    return total


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_it_is_that_of_the_definition(temperature: float) -> None:
    states = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 0, 2, 0, 1, 3]  # of two labels one row each, which has nothing to be drawn to
    found = supervised(states, torch.tensor(labels), temperature=temperature)
    assert float(found) == pytest.approx(by_hand(states.numpy(), labels, temperature), rel=1e-5)


def test_a_batch_without_pairs_has_none() -> None:
    states = torch.randn(3, 5, requires_grad=True)
    found = supervised(states, torch.arange(3), temperature=0.3)
    found.backward()  # type: ignore[no-untyped-call]
    assert float(found.detach()) == 0.0
    assert torch.isfinite(states.grad).all()  # type: ignore[arg-type]
    assert float(supervised(states[:1].detach(), torch.zeros(1), temperature=0.3)) == 0.0


def test_it_is_of_what_the_last_layer_reads(bench: Bench) -> None:
    model = bench.model()
    technique = Contrastive(ContrastiveSettings(weight=0.25, temperature=0.5), bench.course(model))
    batch = bench.task.collate(bench.rows(), np.array([0, 1, 12, 13]))
    technique.on_batch(batch, 0)
    outputs = model.eval()(batch)
    real = batch["attention_mask"][..., None]
    states = model.backbone(**{k: batch[k] for k in ("input_ids", "attention_mask")}).last_hidden_state
    pooled = (states * real).sum(1) / real.sum(1)
    loss: Any = SimpleNamespace(weight=8.0)  # rows that weigh two each
    seen = Pass(batch, outputs, loss, again=pytest.fail, backward=pytest.fail)
    found = technique.on_loss(torch.tensor(4.0), seen)
    apart = by_hand(pooled.detach().numpy(), batch["label"].tolist(), 0.5)
    assert float(found.detach()) == pytest.approx(0.75 * 4.0 + 0.25 * 2.0 * apart, rel=1e-4)
    assert not model.head.linear._forward_pre_hooks  # type: ignore[union-attr]
