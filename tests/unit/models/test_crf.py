"""A chain's parameters: zero at first, illegal BIO transitions out of reach and out of training's reach."""

from __future__ import annotations

import torch

from hone.models.crf import ILLEGAL, Chain, ChainParameters, marginals, negative_log_likelihood, viterbi

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
LEGAL_BEFORE_I_LOC = {"B-LOC", "I-LOC"}


def test_a_new_chain_prefers_nothing_but_legality() -> None:
    chain = ChainParameters(LABELS).chain()
    assert chain.end.tolist() == [0.0] * 5
    assert chain.start.tolist() == [0.0, 0.0, ILLEGAL, 0.0, ILLEGAL]
    column = chain.transitions[:, LABELS.index("I-LOC")].tolist()
    assert column == [0.0 if label in LEGAL_BEFORE_I_LOC else ILLEGAL for label in LABELS]
    assert (chain.transitions[:, [0, 1, 3]] == 0).all()


def test_learned_scores_do_not_lift_what_is_illegal() -> None:
    parameters = ChainParameters(LABELS)
    with torch.no_grad():
        parameters.transitions.fill_(1e6)
        parameters.start.fill_(1e6)
    chain = parameters.chain()
    assert chain.transitions[0, 2] == ILLEGAL
    assert chain.start[4] == ILLEGAL


def test_illegal_scores_get_no_gradient() -> None:
    parameters = ChainParameters(LABELS)
    emissions, mask = torch.randn(2, 4, 5), torch.ones(2, 4, dtype=torch.bool)
    labels = torch.tensor([[0, 1, 2, 0], [3, 4, 4, 1]])
    negative_log_likelihood(emissions, mask, parameters.chain(), labels).sum().backward()
    illegal = parameters.chain().transitions == ILLEGAL
    assert parameters.transitions.grad is not None
    assert (parameters.transitions.grad[illegal] == 0).all()
    assert (parameters.transitions.grad[~illegal] != 0).all()


def test_only_the_learned_scores_are_saved() -> None:
    assert set(ChainParameters(LABELS).state_dict()) == {"transitions", "start", "end"}


def test_transitions_decide_where_emissions_do_not() -> None:
    zero = torch.zeros(2)
    chain = Chain(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([0.5, 0.0]), zero)
    mask = torch.ones(1, 4, dtype=torch.bool)
    assert viterbi(torch.zeros(1, 4, 2), mask, chain).tolist() == [[0, 1, 0, 1]]


def test_padding_is_zero_in_labels_and_probabilities() -> None:
    torch.manual_seed(0)
    chain = ChainParameters(LABELS).chain()
    mask = torch.tensor([[True, True, False], [True, True, True]])
    emissions = torch.randn(2, 3, 5) + torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0])
    assert viterbi(emissions, mask, chain).tolist() == [[1, 1, 0], [1, 1, 1]]
    chances = marginals(emissions, mask, chain)
    assert torch.allclose(chances.sum(2), mask.float(), atol=1e-5)
    assert (chances[0, 2] == 0).all()


def test_a_long_text_stays_finite() -> None:
    torch.manual_seed(0)
    emissions, mask = torch.randn(1, 600, 5) * 50, torch.ones(1, 600, dtype=torch.bool)
    with torch.inference_mode():
        chain = ChainParameters(LABELS).chain()
        best = viterbi(emissions, mask, chain)
        assert torch.isfinite(negative_log_likelihood(emissions, mask, chain, best)).all()
        assert torch.allclose(marginals(emissions, mask, chain).sum(2), torch.ones(1, 600), atol=1e-3)
