"""`fgm` and `freelb` against their definitions, computed through transformers' own layers with a plain table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_bench import Bench, recorded_gradients

from hone.tasks.protocol import LossOptions
from hone.train.freelb import Freelb
from hone.train.perturbed import Perturbed, directions
from hone.train.techniques import FreelbSettings

LENGTH, WEIGHT = 3.0, 0.5
BOTH = {
    "fgm": ({"name": "fgm", "epsilon": LENGTH, "weight": WEIGHT}, (1.0, WEIGHT)),
    "freelb": ({"name": "freelb", "steps": 2, "start": 0.0, "rate": LENGTH}, (0.5, 0.5)),
}


def by_hand(bench: Bench, indices: list[Any], weights: tuple[float, float]) -> dict[str, Tensor]:
    """Gradients of a step over batches of these rows, of the weighted losses at the words and at moved ones."""
    model, task, rows = bench.model(), bench.task, bench.rows()
    backbone: Any = model.backbone
    length = LENGTH * float(backbone.embeddings.word_embeddings.weight.detach().std())
    count = sum(len(index) for index in indices)
    with model.module_by_module():
        for index in indices:
            batch = task.collate(rows, index)
            embedded = backbone.embeddings.word_embeddings(batch["input_ids"])

            def loss(words: Tensor, batch: Any = batch) -> Tensor:
                out = backbone(inputs_embeds=words, attention_mask=batch["attention_mask"])
                return task.loss(model.head(out.last_hidden_state, batch), batch, options=LossOptions()).total

            clean = loss(embedded)
            (gradient,) = torch.autograd.grad(clean, embedded, retain_graph=True)
            for i, row in enumerate(gradient):  # one direction an example
                gradient[i] = row / row.norm()
            moved = loss(embedded + length * gradient)
            ((weights[0] * clean + weights[1] * moved) / count).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", BOTH)
def test_gradients_are_those_of_the_definition(bench: Bench, name: str) -> None:
    technique, weights = BOTH[name]
    loop = bench.loop(max_steps=1, gradient_accumulation_steps=2, max_grad_norm=None, techniques=[technique])
    _, indices = next(loop.epochs.steps(0))
    with recorded_gradients() as steps:
        bench.run(loop)
    expected = by_hand(bench, indices, weights)
    names = {id(p): name for name, p in loop.model.named_parameters()}
    order = [names[id(p)] for group in loop.optimizer.param_groups for p in group["params"]]
    table = expected.pop("backbone.embeddings.word_embeddings.weight")
    dense = torch.cat([expected[name].flatten() for name in order if name in expected])
    found, rows = steps[0][: len(dense)], steps[0][len(dense) :].view(-1, table.shape[1])
    torch.testing.assert_close(found, dense, rtol=1e-3, atol=1e-6)
    read = table[table.abs().sum(1) > 0]  # the step has the rows that its batches read, the padding's too
    torch.testing.assert_close(rows[rows.abs().sum(1) > 0], read, rtol=1e-3, atol=1e-6)


def first_gradient(bench: Bench, folder: str, techniques: list[Any]) -> Tensor:
    loop = bench.loop(dropout=0.5, max_steps=1, max_grad_norm=None, techniques=techniques, folder=folder)
    torch.manual_seed(3)
    with recorded_gradients() as steps:
        bench.run(loop)
    return steps[0]


def test_all_passes_of_freelb_have_the_same_masks(bench: Bench) -> None:
    still = {"name": "freelb", "start": 0.0, "rate": 0.0}
    one, three = (first_gradient(bench, f"{n}", [{**still, "steps": n}]) for n in (1, 3))
    torch.testing.assert_close(three, one, rtol=1e-4, atol=1e-7)


def test_moves_of_freelb_begin_within_their_reach_and_end_within_their_radius(bench: Bench) -> None:
    course = bench.course(bench.model())
    technique = Freelb(FreelbSettings(start=2.0, rate=50.0, radius=4.0), course)
    batch = bench.task.collate(bench.rows(), np.arange(6))
    technique.on_batch(batch, 0)
    move, spread = technique._perturbed.move, technique._perturbed.spread
    assert move is not None
    assert not move[batch["attention_mask"] == 0].any(), "padding is not moved"
    lengths = move.flatten(1).norm(dim=1) / spread
    assert float(lengths.max()) <= 2.0
    torch.testing.assert_close(lengths, torch.full_like(lengths, 2 / 3**0.5), rtol=0.2, atol=0)  # drawn evenly
    outputs = course.model.train()(batch)
    outputs["logits"].square().sum().backward()
    technique._ascend()
    assert technique._perturbed.move is not None
    torch.testing.assert_close(technique._perturbed.move.flatten(1).norm(dim=1) / spread, torch.full((6,), 4.0))


def test_a_direction_is_of_norm_one_or_none(bench: Bench) -> None:
    found = directions(torch.stack([torch.full((2, 8), 5.0), torch.zeros(2, 8)]))
    torch.testing.assert_close(found.flatten(1).norm(dim=1), torch.tensor([1.0, 0.0]))


def test_it_leaves_no_trace_in_the_model(bench: Bench) -> None:
    model = bench.model()
    perturbed = Perturbed(model)
    table: Any = model.backbone.get_input_embeddings()  # type: ignore[operator]
    perturbed.begin()
    assert len(table._forward_hooks) == 1
    perturbed.end()
    assert len(table._forward_hooks) == 0
