"""The table that gives gradients of the rows read alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hone.models.touched import TouchedEmbedding


def test_rows_and_gradients_are_those_of_a_plain_table() -> None:
    plain = nn.Embedding(9, 3, padding_idx=0)
    seen: list[Tensor] = []
    touched = TouchedEmbedding(nn.Embedding(9, 3, padding_idx=0, _weight=plain.weight), before_read=seen.append)
    ids = torch.tensor([[4, 2, 4], [0, 2, 7]])
    weighing = torch.randn(2, 3, 3)
    for batch in (ids, ids[:1]):
        torch.testing.assert_close(touched(batch), plain(batch))
        (touched(batch) * weighing[: len(batch)]).sum().backward()
        (plain(batch) * weighing[: len(batch)]).sum().backward()
    assert [rows.tolist() for rows in seen[:2]] == [[0, 2, 4, 7], [0, 2, 4, 7]]
    taken = touched.take()
    assert taken is not None
    rows, leaf = taken
    assert plain.weight.grad is not None
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, plain.weight.grad[rows])
    torch.testing.assert_close(leaf.detach(), plain.weight.detach()[rows])
    untouched = [row for row in range(9) if row not in rows.tolist()]
    assert not plain.weight.grad[untouched].any()
    assert touched.take() is None


def test_reading_without_learning_gathers_nothing() -> None:
    touched = TouchedEmbedding(nn.Embedding(4, 2), before_read=lambda rows: None)
    with torch.no_grad():
        touched(torch.tensor([1]))
    touched.eval()(torch.tensor([2]))
    assert touched.take() is None


def test_a_first_pass_without_derivatives_reads_what_the_second_one_does() -> None:
    table = nn.Embedding(4, 2)

    def caught_up(rows: Tensor) -> None:
        with torch.no_grad():
            table.weight[rows] = rows[:, None].float()

    touched = TouchedEmbedding(table, before_read=caught_up)
    with torch.no_grad():
        first = touched(torch.tensor([[3, 1]]))
    torch.testing.assert_close(first, touched(torch.tensor([[3, 1]])))
    assert first.tolist() == [[[3.0, 3.0], [1.0, 1.0]]]
