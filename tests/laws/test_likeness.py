"""Distances between a student's and a teacher's inner states: nothing between equals, what the formulas say elsewhere,
no padding in them, and derivatives that are those of transformers' own layers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from hone.compress import likeness
from hone.compress.likeness import Likeness, by_row, relation_distance, state_distance
from hone.models.encoder import FAMILIES, Reads, quicken
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.noise import Noise
from hone.models.tiny import write_tiny_base

LENGTHS = [7, 1, 4, 3]
SIZES = {"vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}


def batch(lengths: list[int] = LENGTHS, *, tokens: int = 7) -> dict[str, Tensor]:
    ids = torch.randint(5, 60, (len(lengths), 7), generator=torch.Generator().manual_seed(1))
    ids = torch.nn.functional.pad(ids, (0, tokens - 7))
    mask = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    return {"input_ids": ids * mask, "attention_mask": mask}


def model(folder: Path, kind: str = "sequence-mean", *, layers: int = 3) -> Model:
    torch.manual_seed(2)
    made = build_model(write_tiny_base(folder / "base", layers=layers), HeadSpec(kind, ("a", "b")), dropout=0.0)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("reads", ["tokens", "first"])
@pytest.mark.parametrize("precision", ["own", "transformers"])
def test_collected_states_and_their_gradients_are_those_of_transformers(
    family: str, reads: Reads, precision: str
) -> None:
    given = batch()
    real = given["attention_mask"].bool()
    found = []
    for quick in (False, True):
        torch.manual_seed(3)
        config = transformers.AutoConfig.for_model(family, **SIZES, pad_token_id=0)
        backbone: Any = transformers.AutoModel.from_config(config).eval()
        for parameter in backbone.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        if precision == "transformers":
            backbone.double()
        if quick:
            encoder = quicken(backbone, reads=reads, noise=Noise())
            assert encoder is not None
            encoder.collect()
            backbone(**given)
            assert encoder.collected is not None
            states = encoder.collected
        else:
            states = [part[real] for part in backbone(**given, output_hidden_states=True).hidden_states]
            if reads == "first":
                states[-1] = states[-1][given["attention_mask"].cumsum(1)[real] == 1]
        weighing = torch.Generator().manual_seed(4)
        total = sum((part * torch.randn(part.shape, generator=weighing)).sum() for part in states)
        assert isinstance(total, Tensor)
        total.backward()
        gradients = {name: p.grad for name, p in backbone.named_parameters() if p.grad is not None}
        found.append((states, gradients))
    (theirs, wanted), (ours, gradients) = found
    assert len(ours) == len(theirs) == 4
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["sequence-mean", "sequence-cls"])
def test_between_a_model_and_its_copy_there_is_nothing(kind: str, tmp_path: Path) -> None:
    teacher = model(tmp_path, kind).eval()
    student = copy.deepcopy(teacher)
    apart = Likeness(student, teacher.fix(), layers=(0, 1, 2), hidden=1.0, attention=1.0)
    given = batch()
    student(given)
    found = apart.of(given)
    torch.testing.assert_close(found, torch.zeros(4), rtol=0, atol=1e-6)
    found.sum().backward()
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert gradients
    assert max(float(gradient.abs().max()) for gradient in gradients) < 1e-5


@pytest.mark.parametrize("part", ["hidden", "attention"])
def test_padding_and_neighbors_do_not_count(part: str, tmp_path: Path) -> None:
    teacher, student = model(tmp_path).eval(), model(tmp_path, layers=2).eval()
    weights = {"hidden": 0.0, "attention": 0.0, part: 1.0}
    apart = Likeness(student, teacher.fix(), layers=(0, 2), **weights)

    def distances(given: dict[str, Tensor]) -> Tensor:
        student(given)
        return apart.of(given).detach()

    together = distances(batch())
    assert bool((together[[0, 2, 3]] > 1e-4).all())  # a token alone sees itself, whatever the weights
    torch.testing.assert_close(distances(batch(tokens=12)), together, rtol=1e-3, atol=1e-6)
    for i, length in enumerate(LENGTHS):
        alone = {name: value[i : i + 1, :length] for name, value in batch().items()}
        torch.testing.assert_close(distances(alone), together[i : i + 1], rtol=1e-3, atol=1e-6)


def test_the_distance_of_states_is_the_share_of_the_square_that_is_missed() -> None:
    theirs = torch.randn(5, 6)
    torch.testing.assert_close(state_distance(torch.zeros(5, 6), theirs), torch.ones(5))
    torch.testing.assert_close(state_distance(1.5 * theirs, theirs), torch.full((5,), 0.25))
    torch.testing.assert_close(
        state_distance(100 * theirs + 50, 100 * theirs), 2500 * 6 / (100 * theirs).square().sum(1)
    )
    values = torch.tensor([1.0, 3.0, 7.0, 5.0, 4.0])
    torch.testing.assert_close(by_row(values, torch.tensor([2, 3])), torch.tensor([2.0, 16 / 3]))
    torch.testing.assert_close(by_row(values[:2], torch.tensor([2, 3])), values[:2])


@pytest.mark.parametrize("kept", ["whole", "made again"])
def test_relations_are_compared_as_one_row_and_head_after_the_other(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kept == "made again":
        monkeypatch.setattr(likeness, "KEPT_BYTES", 0)
        monkeypatch.setattr(likeness, "PART_BYTES", 2 * 3 * 49 * 4)
    mask = torch.arange(7) < torch.tensor(LENGTHS)[:, None]
    ours = [torch.randn(15, 6, requires_grad=True) for _ in range(3)]
    theirs = [torch.randn(15, 12) for _ in range(3)]
    plain = torch.stack([torch.stack([one_row(ours, theirs, begin, length, head) for head in range(3)]).mean()
                         for begin, length in zip([0, 7, 8, 12], LENGTHS, strict=True)])  # fmt: skip
    found = relation_distance(ours, theirs, mask, heads=3)
    torch.testing.assert_close(found, plain)
    weighing = torch.tensor([1.0, 2.0, 3.0, 4.0])
    one, other = (torch.autograd.grad((each * weighing).sum(), ours) for each in (found, plain))
    for gradient, wanted in zip(one, other, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def one_row(ours: list[Tensor], theirs: list[Tensor], begin: int, length: int, head: int) -> Tensor:
    """Both relations of one head in one row without padding, mean over its tokens."""
    total = torch.zeros(())
    for a, b in ((0, 1), (2, 2)):
        chances = []
        for parts in (ours, theirs):
            size = parts[0].shape[1] // 3
            x, y = (parts[i][begin : begin + length, head * size : (head + 1) * size] for i in (a, b))
            chances.append(torch.softmax(x @ y.T / size**0.5, dim=1))
        said, wanted = chances
        total = total + (wanted * (wanted.log() - said.log())).sum(1).mean()
    return total


def test_a_narrow_students_states_go_through_a_map_that_learns_and_leaves(tmp_path: Path) -> None:
    teacher = model(tmp_path).eval()
    torch.manual_seed(5)
    base = write_tiny_base(tmp_path / "narrow", width=16, layers=2)
    student = build_model(base, HeadSpec("sequence-mean", ("a", "b")), dropout=0.0)
    before = list(student.state_dict())
    weight, bias = torch.randn(32, 16), torch.randn(32)
    apart = Likeness(student, teacher.fix(), layers=(0, 2), hidden=2.0, attention=0.0, start=(weight, bias))
    given = batch()
    student(given)
    found = apart.of(given)
    assert student.encoder is not None
    assert teacher.encoder is not None
    ours, theirs = student.encoder.collected, teacher.encoder.collected
    assert ours is not None
    assert theirs is not None
    first = state_distance(ours[1] @ weight.T + bias, theirs[1])
    parts = [state_distance(ours[i] @ weight.T + bias, theirs[j]) for i, j in ((0, 0), (1, 1), (2, 3))]
    assert first.shape == (15,)
    torch.testing.assert_close(found[0], 2 * torch.stack(parts)[:, :7].mean())
    found.sum().backward()
    assert student.map.weight.grad is not None
    apart.leave()
    assert list(student.state_dict()) == before
    assert student.encoder.collected is None
