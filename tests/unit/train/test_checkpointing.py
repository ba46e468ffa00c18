"""`gradient-checkpointing`: the same derivatives to the last bit, of less that is kept."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_bench import Bench, recorded_gradients

CHECKPOINTING = ["gradient-checkpointing"]


@pytest.mark.parametrize("frozen", [0, 1])
def test_gradients_are_those_without(bench: Bench, frozen: int) -> None:
    found: dict[bool, list[Tensor]] = {}
    for on in (False, True):
        model = bench.model(dropout=0.3)
        if frozen:
            model.freeze(frozen)
        torch.manual_seed(0)
        with recorded_gradients() as steps:
            options: dict[str, Any] = {"max_steps": 2, "gradient_accumulation_steps": 2, "folder": f"{on}"}
            bench.run(bench.loop(model=model, techniques=CHECKPOINTING if on else [], **options))
        found[on] = steps
    for one, other in zip(found[True], found[False], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("packed", [False, True])
def test_gradients_through_transformers_own_layers_are_those_without(bench: Bench, packed: bool) -> None:
    found = []
    for techniques in ([], CHECKPOINTING):
        loop = bench.loop(dropout=0.3, techniques=techniques)
        loop.model.train()
        torch.manual_seed(0)
        encoder = loop.model.encoder
        assert encoder is not None
        encoder.kernel = "block-mask" if packed else None
        with nullcontext() if packed else loop.model.module_by_module():
            outputs, loss = loop._forward(bench.task.collate(bench.rows(), np.arange(8)))
            loss.total.backward()
        found.append(torch.cat([p.grad.flatten() for p in loop.model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0], found[1])


def kept_bytes(bench: Bench, techniques: list[Any]) -> int:
    """Bytes of tensors that a forward pass of every row keeps for the way back, weights aside."""
    loop = bench.loop(dropout=0.1, techniques=techniques)
    loop.model.train()
    weights = {p.data_ptr() for p in loop.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loop._forward(bench.task.collate(bench.rows(), np.arange(36)))
    return sum(kept.values())


def test_less_is_kept(bench: Bench) -> None:
    assert kept_bytes(bench, CHECKPOINTING) < 0.4 * kept_bytes(bench, [])
