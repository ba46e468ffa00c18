"""AdamW by rows read ends where torch's dense AdamW ends, whatever is read when."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hone.train.lazy_rows import LazyRows
from hone.train.schedule import rate_factor

ROWS, WIDTH, STEPS, PEAK = 60, 8, 400, 3e-3


def reads(step: int) -> Tensor:
    """The row numbers of a batch: some at every step, some seldom, the last ten never; 0 is the padding row."""
    draw = torch.Generator().manual_seed(step)
    often = torch.randint(0, 5, (4, 3), generator=draw)
    seldom = torch.randint(5, 50, (4, 1), generator=draw)
    return torch.cat([often, seldom if step % 7 else often[:, :1], torch.zeros(4, 1, dtype=torch.int64)], dim=1)


def target(step: int) -> Tensor:
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(10_000 + step))


def factor(step: int) -> float:
    return rate_factor(step, total=STEPS, warmup=40, shape="linear")


def loss(table: nn.Module, step: int, size: float) -> Tensor:
    return size * ((table(reads(step)).mean(1) - target(step)) ** 2).sum()


def fresh() -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(ROWS, WIDTH, padding_idx=0)


def adamw(table: nn.Embedding, **options: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW([{"params": [table.weight], "lr": PEAK, "peak": PEAK}], fused=True, **options)


def dense(steps: int, *, size: float, batches: int = 1, **options: Any) -> Tensor:
    table = fresh()
    optimizer = adamw(table, **options)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = PEAK * factor(step)
        for batch in range(batches):
            loss(table, step * batches + batch, size).backward()
        optimizer.step()
        optimizer.zero_grad()
    return table.weight.detach()


def lazy(steps: int, *, size: float, batches: int = 1, settle_every: int = 10**9, **options: Any) -> Tensor:
    table = fresh()
    optimizer = adamw(table, **options)
    rows = LazyRows(optimizer, table, rows=torch.arange(50), factor=factor)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = PEAK * factor(step)
        for batch in range(batches):
            loss(rows.embedding, step * batches + batch, size).backward()
        rows.gathered()
        optimizer.step()
        if step % settle_every == settle_every - 1:
            with rows.settled():
                pass
    with rows.settled():
        return table.weight.detach().clone()


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-9], ids=["usual", "small", "gradients-below-eps"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_ends_where_dense_adamw_ends(size: float, decay: float) -> None:
    ours = lazy(STEPS, size=size, weight_decay=decay)
    theirs = dense(STEPS, size=size, weight_decay=decay)
    moved = (theirs - fresh().weight).abs().max()
    assert (ours - theirs).abs().max() < 2e-6 + 1e-4 * moved


def test_rows_that_are_never_read_decay_as_in_dense_adamw() -> None:
    torch.testing.assert_close(lazy(50, size=1.0, weight_decay=0.5)[50:], dense(50, size=1.0, weight_decay=0.5)[50:])


def test_settling_in_between_changes_nothing() -> None:
    often, never = lazy(100, size=1.0, weight_decay=0.1, settle_every=9), lazy(100, size=1.0, weight_decay=0.1)
    assert torch.equal(often, never)


def test_several_batches_make_one_step() -> None:
    torch.testing.assert_close(
        lazy(60, size=1.0, batches=3, weight_decay=0.1), dense(60, size=1.0, batches=3, weight_decay=0.1),
        rtol=0, atol=2e-6,
    )  # fmt: skip


@pytest.mark.parametrize("betas", [(0.0, 0.99), (0.5, 0.9), (0.95, 0.98)])
def test_other_betas(betas: tuple[float, float]) -> None:
    torch.testing.assert_close(lazy(120, size=1.0, betas=betas), dense(120, size=1.0, betas=betas), rtol=0, atol=5e-6)


def test_the_gradient_it_gives_to_clip_is_that_of_the_whole_table() -> None:
    table = fresh()
    rows = LazyRows(adamw(table), table, rows=torch.arange(50), factor=factor)
    loss(rows.embedding, 3, 1.0).backward()
    (leaf,) = rows.gathered()
    plain = fresh()
    loss(plain, 3, 1.0).backward()
    assert leaf.grad is not None
    assert plain.weight.grad is not None
    torch.testing.assert_close(leaf.grad.norm(), plain.weight.grad.norm())
    assert table.weight.grad is None


def test_it_reads_as_a_plain_table_when_nothing_is_learned() -> None:
    table = fresh()
    rows = LazyRows(adamw(table), table, rows=torch.arange(50), factor=factor)
    rows.embedding.eval()
    ids = torch.tensor([[1, 59]])
    torch.testing.assert_close(rows.embedding(ids), table(ids), rtol=0, atol=0)
    model: Any = SimpleNamespace(backbone=nn.Module())
    model.backbone.set_input_embeddings = lambda given: setattr(model.backbone, "words", given)
    with rows.standing_in(model):
        assert model.backbone.words is rows.embedding
    assert model.backbone.words is table
