"""`fgm` against its definition, computed through transformers' own layers with a plain table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from training_bench import Bench, recorded_gradients

from hone.tasks.protocol import LossOptions
from hone.train.perturbed import Perturbed, directions

EPSILON, WEIGHT = 3.0, 0.5


def by_hand(bench: Bench, indices: list[Any]) -> dict[str, Tensor]:
    """Gradients of a step over batches of these rows, of the sum over rows of both losses."""
    model, task, rows = bench.model(), bench.task, bench.rows()
    backbone: Any = model.backbone
    length = EPSILON * float(backbone.embeddings.word_embeddings.weight.detach().std())
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
            ((clean + WEIGHT * loss(embedded + length * gradient)) / count).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_gradients_are_those_of_the_definition(bench: Bench) -> None:
    loop = bench.loop(
        max_steps=1,
        gradient_accumulation_steps=2,
        max_grad_norm=None,
        techniques=[{"name": "fgm", "epsilon": EPSILON, "weight": WEIGHT}],
    )
    indices = next(loop._remaining())
    with recorded_gradients() as steps:
        bench.run(loop)
    expected = by_hand(bench, indices)
    names = {id(p): name for name, p in loop.model.named_parameters()}
    order = [names[id(p)] for group in loop.optimizer.param_groups for p in group["params"]]
    table = expected.pop("backbone.embeddings.word_embeddings.weight")
    dense = torch.cat([expected[name].flatten() for name in order if name in expected])
    found, rows = steps[0][: len(dense)], steps[0][len(dense) :].view(-1, table.shape[1])
    torch.testing.assert_close(found, dense, rtol=1e-3, atol=1e-6)
    read = table[table.abs().sum(1) > 0]  # the step has the rows that its batches read, the padding's too
    torch.testing.assert_close(rows[rows.abs().sum(1) > 0], read, rtol=1e-3, atol=1e-6)


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
