"""`mixout` against its definition (Lee et al. 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_bench import Bench, same, state_of

from hone.core.errors import RecipeError
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.train.mixout import Mixout
from hone.train.techniques import MixoutSettings


def moved(bench: Bench, p: float) -> tuple[Model, Mixout, nn.Parameter, Tensor, Tensor]:
    """A model whose weights have moved by one since training began, and one of them: the parameter, before and now."""
    model = bench.model()
    technique = Mixout(MixoutSettings(p=p), bench.course(model))
    weight: Any = dict(model.named_parameters())["backbone.encoder.layer.0.output.dense.weight"]
    before = weight.detach().clone()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    return model, technique, weight, before, weight.detach().clone()


@pytest.mark.parametrize("p", [0.3, 0.7])
def test_a_step_has_some_weights_as_pretraining_left_them(bench: Bench, p: float) -> None:
    model, technique, weight, before, now = moved(bench, p)
    state = state_of(model)
    technique.on_begin(4)
    mask = (weight.detach() - before).abs() > 1e-6
    assert float(mask.float().mean()) == pytest.approx(1 - p, abs=0.03)
    # (mask * w + (1 - mask) * u - p * u) / (1 - p), the paper's own form
    expected = (torch.where(mask, now, before) - p * before) / (1 - p)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-4, atol=1e-5)
    weight.grad = torch.ones_like(weight)  # of a process that had none of the batches, too: it came from the others
    technique.on_backward()
    torch.testing.assert_close(weight.grad, mask / (1 - p), rtol=1e-4, atol=0.0)
    assert same(state_of(model), state)


def test_what_a_step_has_is_what_the_weights_are_on_the_average(bench: Bench) -> None:
    _, technique, weight, _, now = moved(bench, 0.5)
    total = torch.zeros_like(now)
    for step in range(200):
        technique.on_begin(step)
        total += weight.detach()
        technique.on_backward()
    assert float((total / 200 - now).mean()) == pytest.approx(0.0, abs=0.005)
    assert float((total / 200 - now).abs().max()) < 0.4  # of a standard deviation of 1 / sqrt(200)


def test_new_weights_and_what_is_no_linear_layer_are_left_alone(bench: Bench) -> None:
    model, technique, *_ = moved(bench, 0.9)
    before = state_of(model)
    technique.on_begin(0)
    after = state_of(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("backbone.encoder.") and name.endswith(".weight") for name in changed)
    assert not any("LayerNorm" in name for name in changed)


def test_layers_that_are_no_linear_modules_of_torch_have_it_too_and_scores_of_the_vocabulary_do_not(
    bench: Bench, tmp_path: Path
) -> None:
    base = write_tiny_writer(tmp_path / "gpt2", kind="gpt2")
    model = build_model(base, HeadSpec("causal-language-model", ()), dropout=0.0)
    technique = Mixout(MixoutSettings(p=0.5), bench.course(model))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = [names[id(weight)] for weight in technique._weights]
    assert len(found) == 2 * 4
    assert all(".h." in name for name in found)


def test_a_base_without_linear_layers_has_none(bench: Bench) -> None:
    model = bench.model()
    for parameter in model.backbone.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(RecipeError, match="no linear layer learns"):
        Mixout(MixoutSettings(p=0.5), bench.course(model))
