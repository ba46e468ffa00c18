"""Muon: which matrices it turns, what orthogonal updates are, and that the rest is AdamW's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_bench import Bench

from hone.core.choice import decided
from hone.models.adapters.table import METHODS
from hone.models.cost import TURNS
from hone.models.heads import HeadSpec
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.train.finetune import tune
from hone.train.muon import COEFFICIENTS, Muon, orthogonal
from hone.train.optimizer import make_optimizer, parameter_groups
from hone.train.settings import FinetuneSettings

SETTINGS = FinetuneSettings(optim="muon", learning_rate=1e-2, weight_decay=0.1)


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.mark.parametrize("shape", [(2, 5, 9), (2, 9, 5), (1, 6, 6)])
def test_singular_values_go_through_the_polynomial_and_their_vectors_stay(shape: tuple[int, int, int]) -> None:
    given = drawn(*shape)
    u, values, v = torch.linalg.svd(given, full_matrices=False)
    values = values / given.norm(dim=(1, 2))[:, None]
    a, b, c = COEFFICIENTS
    for _ in range(TURNS):
        values = a * values + b * values**3 + c * values**5
    torch.testing.assert_close(orthogonal(given), u @ torch.diag_embed(values) @ v)


def test_singular_values_that_differ_a_hundredfold_come_out_about_alike() -> None:
    u, _, v = torch.linalg.svd(drawn(1, 8, 8))
    found = torch.linalg.svdvals(orthogonal(u @ torch.diag(torch.logspace(-2, 0, 8, dtype=u.dtype)) @ v))
    assert float(found.min()) > 0.65
    assert float(found.max()) < 1.25


def test_nothing_learned_from_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(1, 3, 4)), torch.zeros(1, 3, 4))


def test_matrices_move_as_by_torchs_own_muon() -> None:
    """Which iterates in bfloat16."""
    ours, theirs = (torch.nn.Parameter(drawn(12, 32).float()) for _ in range(2))
    start = ours.detach().clone()
    own = Muon([{"params": [ours], "orthogonal": True, "weight_decay": 0.1}], lr=1e-2)
    other = torch.optim.Muon([theirs], lr=1e-2, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        ours.grad, theirs.grad = (drawn(12, 32, seed=seed).float() for _ in range(2))
        own.step()
        other.step()
    moved = theirs.detach() - start
    assert float((ours.detach() - theirs.detach()).norm()) < 0.02 * float(moved.norm())


def test_an_update_is_as_large_as_adamws_usually_is() -> None:
    weight = torch.nn.Parameter(torch.zeros(16, 48))
    weight.grad = drawn(16, 48).float()
    Muon([{"params": [weight], "orthogonal": True, "weight_decay": 0.0}], lr=1.0).step()
    assert 0.15 < float(weight.detach().square().mean().sqrt()) < 0.25


def test_layers_are_turned_and_tables_vectors_and_new_heads_are_adamws(bench: Bench) -> None:
    model = bench.model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    turned = {
        names[id(p)]
        for group in parameter_groups(model, SETTINGS)
        if group["orthogonal"]
        for p in group["params"]  # type: ignore[attr-defined]
    }
    assert turned == {n for n, p in model.named_parameters() if ".layer." in n and p.ndim == 2}
    assert turned


def test_scores_over_the_vocabulary_are_no_inner_matrix(tmp_path: Path) -> None:
    folder = write_tiny_writer(tmp_path / "writer", kind="gpt2")
    model = build_model(folder, HeadSpec("causal-language-model", ()))
    tables = {id(model.backbone.get_output_embeddings().weight), id(model.backbone.get_input_embeddings().weight)}  # type: ignore[operator]
    groups = parameter_groups(model, SETTINGS)
    assert not tables & {id(p) for group in groups if group["orthogonal"] for p in group["params"]}  # type: ignore[attr-defined]


def test_vectors_that_lie_as_matrices_are_adamws(bench: Bench) -> None:
    model = bench.model()
    tune(model, FinetuneSettings(method=decided("ia3", METHODS)))
    assert any(p.requires_grad and p.ndim == 2 and min(p.shape) == 1 for p in model.backbone.parameters())
    assert not any(group["orthogonal"] for group in parameter_groups(model, SETTINGS))


def test_what_is_not_turned_moves_as_by_adamw(bench: Bench) -> None:
    states = []
    for optim in ("muon", "adamw"):
        model = bench.model()
        settings = SETTINGS.model_copy(update={"optim": optim})
        optimizer = make_optimizer(model, settings)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        states.append({name: value for name, value in model.state_dict().items() if ".layer." not in name})
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], msg=name)
