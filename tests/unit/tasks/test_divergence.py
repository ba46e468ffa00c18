"""What a student learns from its teacher's scores goes by what the scores say."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from hone.tasks.divergence import answers, distance
from hone.tasks.protocol import Says


@pytest.mark.parametrize("says", get_args(Says))
def test_it_is_least_where_both_say_the_same(says: Says) -> None:
    teacher = torch.randn(5, 3)
    student = teacher.clone().requires_grad_()
    same = distance(student, teacher, says=says, temperature=2.0)
    same.backward()  # type: ignore[no-untyped-call]
    assert float(same.detach()) == pytest.approx(0.0, abs=1e-5)
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-5
    other = torch.randn(5, 3, requires_grad=True)
    apart = distance(other, teacher, says=says, temperature=2.0)
    apart.backward()  # type: ignore[no-untyped-call]
    assert float(apart.detach()) > 0.1
    assert other.grad is not None
    assert float(other.grad.abs().min()) > 0


def test_a_label_by_itself_is_a_choice_between_two() -> None:
    student, teacher = torch.randn(4, 1), torch.randn(4, 1)
    two = [torch.cat([one, torch.zeros_like(one)], dim=1) for one in (student, teacher)]
    expected = distance(*two, says="one", temperature=3.0)
    assert float(distance(student, teacher, says="several", temperature=3.0)) == pytest.approx(
        float(expected), abs=1e-5
    )


def test_labels_count_together_as_one_answer() -> None:
    student, teacher = torch.randn(4, 1), torch.randn(4, 1)
    once = distance(student, teacher, says="several", temperature=1.0)
    thrice = distance(student.repeat(1, 3), teacher.repeat(1, 3), says="several", temperature=1.0)
    assert float(thrice) == pytest.approx(float(once), abs=1e-5)


def test_places_are_chosen_among_those_of_a_row() -> None:
    scores, mask = torch.randn(2, 4, 2), torch.tensor([[True] * 4, [True, True, False, False]])
    found = answers(scores, mask, says="place")
    assert found.shape == (4, 4)  # a start and an end a row
    assert torch.equal(found[0], scores[0, :, 0])
    assert torch.equal(found[3, :2], scores[1, :2, 1])
    assert torch.softmax(found, dim=1)[2:, 2:].sum() == 0
    other = answers(torch.randn(2, 4, 2), mask, says="place")
    apart = distance(found, other, says="place", temperature=1.0)
    assert float(apart) == pytest.approx(float(distance(found, other, says="one", temperature=1.0)) / 2)


def test_numbers_are_as_far_apart_as_they_are() -> None:
    student, teacher = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [0.0]])
    assert float(distance(student, teacher, says="number", temperature=9.0)) == pytest.approx(10.0)
