"""Optimizers: who decays, who has which rate, and that AdamW is torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from training_bench import Bench, same, state_of

from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.train.optimizer import make_optimizer, parameter_groups
from hone.train.settings import FinetuneSettings

SETTINGS = FinetuneSettings(learning_rate=1e-3, head_learning_rate=1e-2, weight_decay=0.1)


def named(model: Model, settings: FinetuneSettings) -> dict[str, tuple[object, object]]:
    """Parameter name -> its rate and decay."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, settings)
        for parameter in group["params"]  # type: ignore[attr-defined]
    }


def own_head(bench: Bench) -> Model:
    return build_model(bench.base, HeadSpec("sequence-cls", ("a", "b", "c")))


def test_every_parameter_is_in_one_group(bench: Bench) -> None:
    model = bench.model()
    grouped = [id(p) for group in parameter_groups(model, SETTINGS) for p in group["params"]]  # type: ignore[attr-defined]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_biases_and_norms_have_no_decay_and_every_matrix_has_it(bench: Bench) -> None:
    decays = {name: decay for name, (_, decay) in named(bench.model(), SETTINGS).items()}
    bare = {name for name, decay in decays.items() if decay == 0.0}
    assert bare == {name for name in decays if name.endswith(".bias") or "LayerNorm" in name}
    assert {decay for name, decay in decays.items() if name not in bare} == {0.1}


def test_the_new_head_has_its_own_rate(bench: Bench) -> None:
    rates = {name: rate for name, (rate, _) in named(bench.model(), SETTINGS).items()}
    assert {name for name, rate in rates.items() if rate == 1e-2} == {"head.linear.weight", "head.linear.bias"}
    assert {rate for name, rate in rates.items() if not name.startswith("head.")} == {1e-3}


def test_a_head_of_transformers_own_has_the_head_rate_too(bench: Bench) -> None:
    rates = {name: rate for name, (rate, _) in named(own_head(bench), SETTINGS).items()}
    fresh = {name for name, rate in rates.items() if rate == 1e-2}
    assert fresh == {"backbone.classifier.weight", "backbone.classifier.bias"}


def test_the_table_of_tokens_has_its_own_rate(bench: Bench) -> None:
    settings = SETTINGS.model_copy(update={"embedding_learning_rate": 5e-4})
    rates = {name: rate for name, (rate, _) in named(bench.model(), settings).items()}
    assert {name for name, rate in rates.items() if rate == 5e-4} == {"backbone.embeddings.word_embeddings.weight"}
    assert set(rates.values()) == {1e-2, 1e-3, 5e-4}


def test_without_a_head_rate_everything_has_the_one_rate(bench: Bench) -> None:
    groups = parameter_groups(bench.model(), FinetuneSettings(learning_rate=3e-4))
    assert {group["lr"] for group in groups} == {3e-4}


def test_frozen_parameters_are_in_no_group(bench: Bench) -> None:
    model = bench.model()
    model.backbone.requires_grad_(False)
    assert set(named(model, SETTINGS)) == {"head.linear.weight", "head.linear.bias"}


def test_every_group_keeps_its_peak_rate(bench: Bench) -> None:
    groups = make_optimizer(bench.model(), SETTINGS).param_groups
    assert sorted({(group["lr"], group["peak"]) for group in groups}) == [(1e-3, 1e-3), (1e-2, 1e-2)]


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, bench: Bench) -> None:
    rows = bench.rows()
    for _ in range(3):
        batch = bench.task.collate(rows, torch.arange(12).numpy())
        loss = nn.functional.cross_entropy(model(batch)["logits"], batch["label"])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def test_adamw_moves_weights_as_torchs_own_adamw_on_the_same_groups(bench: Bench) -> None:
    settings = SETTINGS.model_copy(update={"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6})
    ours, theirs = bench.model(), bench.model()
    one_step(ours, make_optimizer(ours, settings), bench)
    vectors = [[p for p in part.parameters() if p.ndim == 1] for part in (theirs.backbone, theirs.head)]
    matrices = [[p for p in part.parameters() if p.ndim > 1] for part in (theirs.backbone, theirs.head)]
    groups = [
        {"params": members, "lr": rate, "weight_decay": decay}
        for parts, decay in ((vectors, 0.0), (matrices, 0.1))
        for members, rate in zip(parts, (1e-3, 1e-2), strict=True)
    ]
    one_step(theirs, torch.optim.AdamW(groups, betas=(0.8, 0.95), eps=1e-6), bench)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert not same(state_of(ours), state_of(bench.model()))


@pytest.mark.parametrize("optim", ["adamw", "adafactor", "muon"])
def test_decay_alone_shrinks_matrices_and_leaves_vectors(bench: Bench, optim: str) -> None:
    model = bench.model()
    nn.init.ones_(model.head.linear.bias)  # type: ignore[arg-type]
    before = state_of(model)
    settings = FinetuneSettings.model_validate({"optim": optim, "learning_rate": 0.1, "weight_decay": 0.5})
    optimizer = make_optimizer(model, settings)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = state_of(model)
    assert torch.equal(after["head.linear.bias"], before["head.linear.bias"])
    assert after["head.linear.weight"].norm() < before["head.linear.weight"].norm()


def test_adafactor_learns_and_keeps_less_than_two_moments(bench: Bench) -> None:
    loop = bench.loop(optim="adafactor", learning_rate=5e-2, num_train_epochs=4.0, logging_steps=9)
    bench.run(loop)
    kept = sum(value.numel() for state in loop.optimizer.state_dict()["state"].values() for value in state.values())
    assert kept < sum(parameter.numel() for parameter in loop.model.parameters())
    with torch.inference_mode():
        loop.model.eval()
        rows = loop.rows
        batch = loop.task.collate(rows, torch.arange(len(rows)).numpy())
        loss = nn.functional.cross_entropy(loop.model(batch)["logits"], batch["label"])
    assert loss < 0.5
