"""The chain's forward algorithm, Viterbi and marginals equal brute force over every label sequence."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hone.models.crf import (
    Chain,
    ChainParameters,
    log_partition,
    marginals,
    negative_log_likelihood,
    sequence_score,
    viterbi,
)
from hone.text.bio import may_follow

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@dataclass(frozen=True)
class Drawn:
    """A batch of unequal lengths and a chain, float64."""

    emissions: Tensor
    mask: Tensor
    chain: Chain
    lengths: list[int]
    seed: int

    def __repr__(self) -> str:
        return f"Drawn(lengths={self.lengths}, labels={self.emissions.shape[2]}, seed={self.seed})"

    def score(self, row: int, labels: tuple[int, ...]) -> float:
        """Score of one label sequence, summed term by term."""
        total = float(self.chain.start[labels[0]] + self.chain.end[labels[-1]])
        total += sum(float(self.emissions[row, word, label]) for word, label in enumerate(labels))
        return total + sum(float(self.chain.transitions[a, b]) for a, b in itertools.pairwise(labels))

    def sequences(self, row: int) -> dict[tuple[int, ...], float]:
        """Every label sequence of a row with its score."""
        labels = range(self.emissions.shape[2])
        return {chosen: self.score(row, chosen) for chosen in itertools.product(labels, repeat=self.lengths[row])}


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    labels, seed = draw(st.integers(2, 4)), draw(st.integers(0, 10_000))
    spread = draw(st.sampled_from([0.1, 1.0, 30.0]))
    generator = torch.Generator().manual_seed(seed)
    padding = draw(st.integers(0, 2))

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * spread

    longest = max(lengths) + padding
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    chain = Chain(random(labels, labels), random(labels), random(labels))
    return Drawn(random(len(lengths), longest, labels), mask, chain, lengths, seed)


many = settings(max_examples=40, deadline=None)


@many
@given(drawn())
def test_the_partition_is_the_sum_over_all_sequences(case: Drawn) -> None:
    found = log_partition(case.emissions, case.mask, case.chain)
    for row in range(len(case.lengths)):
        scores = torch.tensor(list(case.sequences(row).values()), dtype=torch.float64)
        assert float(found[row]) == pytest.approx(float(torch.logsumexp(scores, 0)), rel=1e-9, abs=1e-9)


@many
@given(drawn())
def test_a_sequence_scores_the_sum_of_its_terms(case: Drawn) -> None:
    labels = torch.randint(0, case.emissions.shape[2], case.mask.shape, generator=torch.Generator().manual_seed(1))
    found = sequence_score(case.emissions, case.mask, case.chain, labels)
    for row, length in enumerate(case.lengths):
        assert float(found[row]) == pytest.approx(case.score(row, tuple(labels[row, :length].tolist())), abs=1e-9)


@many
@given(drawn())
def test_viterbi_finds_the_best_of_all_sequences(case: Drawn) -> None:
    found = viterbi(case.emissions, case.mask, case.chain)
    for row, length in enumerate(case.lengths):
        sequences = case.sequences(row)
        assert tuple(found[row, :length].tolist()) == max(sequences, key=sequences.__getitem__)
    assert (found[~case.mask] == 0).all()


@many
@given(drawn())
def test_marginals_are_the_share_of_the_sequences_with_that_label(case: Drawn) -> None:
    found = marginals(case.emissions, case.mask, case.chain)
    for row, length in enumerate(case.lengths):
        sequences = case.sequences(row)
        chances = torch.softmax(torch.tensor(list(sequences.values()), dtype=torch.float64), 0)
        expected = torch.zeros(length, case.emissions.shape[2], dtype=torch.float64)
        for labels, chance in zip(sequences, chances, strict=True):
            expected[range(length), labels] += chance
        assert torch.allclose(found[row, :length], expected, atol=1e-9)
        assert (found[row, length:] == 0).all()


@many
@given(drawn())
def test_the_gradient_of_the_loss_is_what_is_believed_less_what_is_true(case: Drawn) -> None:
    emissions = case.emissions.clone().requires_grad_()
    labels = torch.randint(0, emissions.shape[2], case.mask.shape, generator=torch.Generator().manual_seed(2))
    negative_log_likelihood(emissions, case.mask, case.chain, labels).sum().backward()
    true = torch.nn.functional.one_hot(labels, emissions.shape[2]) * case.mask.unsqueeze(2)
    assert emissions.grad is not None
    assert torch.allclose(emissions.grad, marginals(case.emissions, case.mask, case.chain) - true, atol=1e-9)


@many
@given(drawn())
def test_a_batch_gives_each_row_what_it_gets_alone(case: Drawn) -> None:
    partition = log_partition(case.emissions, case.mask, case.chain)
    best = viterbi(case.emissions, case.mask, case.chain)
    for row, length in enumerate(case.lengths):
        alone, mask = case.emissions[row : row + 1, :length], torch.ones(1, length, dtype=torch.bool)
        assert torch.allclose(log_partition(alone, mask, case.chain), partition[row : row + 1])
        assert torch.equal(viterbi(alone, mask, case.chain)[0], best[row, :length])


@many
@given(drawn())
def test_the_loss_is_never_below_zero(case: Drawn) -> None:
    best = viterbi(case.emissions, case.mask, case.chain)
    assert (negative_log_likelihood(case.emissions, case.mask, case.chain, best) >= -1e-9).all()


@many
@given(st.integers(0, 10_000), st.sampled_from([1.0, 100.0, 3000.0]))
def test_illegal_transitions_are_never_predicted(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    parameters = ChainParameters(TAGS)
    with torch.no_grad():
        for scores in parameters.parameters():
            scores.copy_(torch.randn(scores.shape, generator=generator) * min(spread, 100.0))
    lengths = torch.randint(1, 9, (6,), generator=generator)
    mask = torch.arange(9) < lengths[:, None]
    emissions = torch.randn(6, 9, len(TAGS), generator=generator) * min(spread, 1000.0)
    with torch.inference_mode():
        best = viterbi(emissions, mask, parameters.chain())
    for row, length in zip(best, lengths, strict=True):
        tags = [TAGS[label] for label in row[:length]]
        assert all(may_follow(before, tag) for before, tag in zip([None, *tags[:-1]], tags, strict=True)), tags


@many
@given(st.integers(0, 10_000), st.sampled_from([1.0, 100.0, 10_000.0]))
def test_loss_and_gradients_stay_finite(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    parameters = ChainParameters(TAGS)
    emissions = (torch.randn(3, 6, len(TAGS), generator=generator) * spread).requires_grad_()
    mask = torch.arange(6) < torch.tensor([1, 4, 6])[:, None]
    labels = torch.randint(0, len(TAGS), (3, 6), generator=generator)  # illegal sequences among them
    loss = negative_log_likelihood(emissions, mask, parameters.chain(), labels)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    for tensor in (emissions, *parameters.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
