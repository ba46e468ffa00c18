"""What the autoencoders are held to: their losses by hand, who learns of whom, and measures that tell of a decoder
which goes without its code."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from hone.core.choice import decided
from hone.core.settings import check_settings
from hone.models.architectures import ARCHITECTURES, NewBase
from hone.models.heads import Outputs
from hone.models.model import Model, build_model
from hone.models.new_base import write_base
from hone.models.noise import Noise
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.aae import AdversarialText
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.objectives.vae import VariationalText, divergences
from hone.tasks.protocol import Loss, LossOptions
from hone.tasks.rows import Batch, Rows
from hone.train.optimizer import parameter_groups
from hone.train.pretrain_settings import PretrainSettings

STEPS = 200
TEXTS = ["the tide comes in twice a day", "nobody knows why it goes out again", "we watched it from the pier"]


def learning_of(base: Path, name: str, **settings: object) -> Pretraining:
    documents = Documents(load_tokenizer(base), max_tokens=32)
    return Pretraining([decided({"name": name, "latent_size": 6, **settings}, OBJECTIVES)], documents)


def passed(base: Path, learning: Pretraining) -> tuple[Model, Batch, Outputs]:
    """A model, a batch to learn from, and what it says of it."""
    rows = Rows(learning.encode({"text": TEXTS}, purpose="learn"))
    torch.manual_seed(0)
    model = build_model(base, learning.head, dropout=0.0)
    batch = learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(0))
    return model, batch, model(batch)


def test_a_codes_divergence_is_that_of_two_normal_distributions() -> None:
    means, logs = torch.randn(4, 6), torch.randn(4, 6)
    expected = kl_divergence(Normal(means, (logs / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(divergences({"means": means, "log_variances": logs}), expected)


def test_a_begun_posterior_is_the_prior_but_for_its_means(tiny_base: Path) -> None:
    _, _, outputs = passed(tiny_base, learning_of(tiny_base, "vae"))
    expected = outputs["means"].detach() ** 2 / 2
    torch.testing.assert_close(divergences(outputs).detach(), expected)
    assert float(expected.sum(1).max()) < 1.0  # nats a text: little beside the tokens' ln V each


def loss_of(part: VariationalText, outputs: Outputs, batch: Batch, *, step: int, steps: int) -> Loss:
    clock = Noise()
    clock.start(seed=0, step=step)
    part.timed(clock, steps=steps)
    return part.loss(outputs, batch)


def test_the_divergence_costs_more_step_by_step_until_the_warmup_ends(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "vae", kl_warmup=0.5, kl_weight=2.0, free_bits=0.0)
    _, batch, outputs = passed(tiny_base, learning)
    part = learning.parts[""]
    assert isinstance(part, VariationalText)
    outputs = {name: value.detach() for name, value in outputs.items()}
    found = {step: float(loss_of(part, outputs, batch, step=step, steps=40).total) for step in (0, 5, 20, 39)}
    told = float(functional.cross_entropy(outputs["logits"], batch["gold"], reduction="sum"))
    divergence = float(divergences(outputs).sum())
    assert found[0] == pytest.approx(told)
    assert found[5] == pytest.approx(told + 0.5 * divergence)
    assert found[20] == found[39] == pytest.approx(told + 2.0 * divergence)


def test_free_bits_cost_nothing_and_teach_nothing(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "vae", free_bits=1.0)
    _, batch, outputs = passed(tiny_base, learning)
    means = torch.tensor([[0.1, 3.0, 0, 0, 0, 0], [0.0, 4.0, 0, 0, 0, 0], [0.2, 2.0, 0, 0, 0, 0]], requires_grad=True)
    outputs = {"logits": outputs["logits"].detach(), "means": means, "log_variances": torch.zeros_like(means)}
    told = float(functional.cross_entropy(outputs["logits"], batch["gold"], reduction="sum"))
    loss = learning.loss(outputs, batch, options=LossOptions())
    loss.total.backward()
    assert float(loss.total.detach()) == pytest.approx(told + (9 + 16 + 4) / 2 + 3 * 5 * math.log(2))
    assert means.grad is not None
    assert torch.equal(means.grad[:, 0], torch.zeros(3))
    torch.testing.assert_close(means.grad[:, 1], means.detach()[:, 1])


def test_reader_and_discriminator_each_learn_of_their_own_loss(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "aae", adversarial_weight=7.0)
    model, batch, outputs = passed(tiny_base, learning)
    head, codes = model.head, outputs["codes"]
    told = functional.cross_entropy(outputs["logits"], batch["gold"], reduction="sum")
    (of_told,) = torch.autograd.grad(told, codes, retain_graph=True)
    codes.retain_grad()
    learning.loss(outputs, batch, options=LossOptions()).total.backward()
    alone = torch.cat([codes.detach(), batch["prior"]]).requires_grad_()
    scores = head.discriminator(alone).squeeze(1)  # type: ignore[operator]
    real = torch.tensor([0.0] * 3 + [1.0] * 3)
    own = functional.binary_cross_entropy_with_logits(scores, real, reduction="sum") / 2
    weights = list(head.discriminator.parameters())  # type: ignore[union-attr]
    for weight, expected in zip(weights, torch.autograd.grad(own, weights, retain_graph=True), strict=True):
        torch.testing.assert_close(weight.grad, expected)
    fooled = 7.0 * functional.softplus(-scores[:3]).sum()
    (of_fooled,) = torch.autograd.grad(fooled, alone)
    torch.testing.assert_close(codes.grad, of_told + of_fooled[:3])


def test_being_told_apart_costs_more_step_by_step(tiny_base: Path) -> None:
    part = learning_of(tiny_base, "aae", adversarial_weight=3.0, adversarial_warmup=0.5).parts[""]
    assert isinstance(part, AdversarialText)
    clock, found = Noise(), []
    part.timed(clock, steps=40)
    for step in (0, 5, 20, 39):
        clock.start(seed=0, step=step)
        found.append(part.adversarial_weight)
    assert found == [0.0, 0.75, 3.0, 3.0]


def test_a_discriminator_learns_at_a_rate_of_its_own(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "aae", discriminator_rate=4.0)
    model = build_model(tiny_base, learning.head)
    groups: list[dict[str, Any]] = parameter_groups(model, PretrainSettings(learning_rate=1e-3))
    peaks = {id(weight): group["peak"] for group in groups for weight in group["params"]}
    for name, weight in model.named_parameters():
        assert peaks[id(weight)] == pytest.approx(4e-3 if "discriminator" in name else 1e-3)


@pytest.mark.parametrize("name", ["vae", "aae"])
def test_codes_say_more_of_a_text_than_can_be_told_without_them(tmp_path: Path, name: str) -> None:
    """Of three words out of six, in their order, each as likely, nothing without a code tells less than ln 20 nats a
    text on average: what is told better is in the code (Barber and Agakov 2003)."""
    texts = [" ".join(words) for words in itertools.combinations(("ant", "bee", "cat", "dog", "eel", "fox"), 3)]
    sizes = {"hidden": 32, "layers": 1, "heads": 2, "tokenizer": {"kind": "words", "min_frequency": 1}}
    settings, _ = check_settings(ARCHITECTURES["bert"].settings, sizes)
    assert settings is not None
    write_base(NewBase("bert", settings), texts, seed=0, folder=tmp_path)
    learning = learning_of(tmp_path, name, latent_size=8)
    rows = Rows(learning.encode({"text": texts}, purpose="learn"))
    torch.manual_seed(0)
    model, rng, index = build_model(tmp_path, learning.head, dropout=0.0), np.random.default_rng(0), np.arange(20)
    learning.timed(model.noise, steps=STEPS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(STEPS):
        model.noise.start(seed=0, step=step)
        batch = learning.draw(rows, index, rng=rng)
        loss = learning.loss(model(batch), batch, options=LossOptions())
        (loss.total / loss.weight).backward()
        optimizer.step()
        optimizer.zero_grad()
    batch = learning.collate(rows, index)
    with torch.no_grad():
        found = learning.measures(learning.settled([learning.tally(model.eval()(batch), batch)], index))
    told, active = found[f"{name}_perplexity"], found[f"{name}_active_units"]
    assert told is not None
    assert (
        math.log(20) - 4 * math.log(told) > 0.3
    )  # nats of mutual information at least; a text has four tokens to tell
    assert active is not None
    assert active >= 4


def test_words_are_deleted_from_what_is_read_and_hidden_from_the_decoder(tiny_base: Path) -> None:
    share, ids = 0.3, list(range(100, 120))
    learning = learning_of(tiny_base, "aae", word_deletion=share)
    part = learning.parts[""]
    assert isinstance(part, AdversarialText)
    rng = np.random.default_rng(0)
    read = [part.read(ids, rng) for _ in range(400)]
    assert all(one == sorted(one) and one for one in read)
    kept = 1 - share + share / len(ids)  # one is kept for certain
    assert np.mean([len(one) for one in read]) / len(ids) == pytest.approx(kept, abs=0.01)
    _, batch, _ = passed(tiny_base, learning)
    assert batch["gold"].tolist() == [token for text in learning.tokenizer.encode(TEXTS) for token in
                                      [*text, *learning.tokenizer.suffix]]  # fmt: skip
    hindered = learning_of(tiny_base, "vae", word_dropout=0.5).parts[""]
    assert isinstance(hindered, VariationalText)
    written = hindered.hindered(torch.arange(4000).view(40, 100) + 1000, np.random.default_rng(0))
    assert float((written == learning.tokenizer.mask_id).float().mean()) == pytest.approx(0.5, abs=0.03)
    assert (written[:, 0] != learning.tokenizer.mask_id).all()


def test_measures_tell_a_code_that_says_nothing(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "vae")
    rows = Rows(learning.encode({"text": TEXTS}, purpose="learn"))
    batch = learning.collate(rows, np.arange(3))
    logits = torch.zeros(len(batch["gold"]), learning.tokenizer.vocab_size)
    logits[torch.arange(len(logits)), batch["gold"]] = 1.0
    told = float(functional.cross_entropy(logits, batch["gold"], reduction="mean"))
    for means, active in ((torch.zeros(3, 6), 0), (torch.tensor([[1.0], [-1.0], [0.0]]).repeat(1, 6), 6)):
        outputs = {"logits": logits, "means": means, "log_variances": torch.zeros(3, 6)}
        measures = learning.measures(learning.settled([learning.tally(outputs, batch)], np.arange(3)))
        divergence = float((means**2).sum() / 2)
        assert measures["vae_active_units"] == active
        assert measures["vae_divergence"] == pytest.approx(divergence / 3)
        assert measures["vae_bits_per_token"] == pytest.approx(
            (told + divergence / len(batch["gold"])) / math.log(2), rel=1e-6
        )
    assert measures["vae_accuracy"] == 1.0


def test_codes_of_the_prior_itself_diverge_by_nothing(tiny_base: Path) -> None:
    learning = learning_of(tiny_base, "aae")
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((5000, 6))
    tally = np.hstack([np.tile([1.0, 1.0, 0.0, 1.0, 1.0], (5000, 1)), codes, codes**2])
    found = learning.measures(tally)
    assert found["aae_divergence"] == pytest.approx(0.0, abs=0.01)
    assert (found["aae_active_units"], found["aae_told_apart"]) == (6, 0.5)
    narrow = learning.measures(np.hstack([tally[:, :5], codes * 0.05, (codes * 0.05) ** 2]))
    assert narrow["aae_divergence"] == pytest.approx(6 * (0.05**2 - 1 - 2 * math.log(0.05)) / 2, rel=0.01)
    assert narrow["aae_active_units"] == 0
