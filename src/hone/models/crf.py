"""A linear-chain conditional random field over word labels (Lafferty et al. 2001), batched, in log space.

All functions take emissions [batch, words, labels] (float), a mask [batch, words] (bool; True for real words, which
stand before the padding, at least one a row), transitions [previous, next], start [labels] and end [labels].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hone.text.bio import legal_transitions

ILLEGAL = -1e4  # far below any learned score, yet finite: sums of it stay finite in float32


class Chain(NamedTuple):
    """The scores of a chain: what follows what, what begins, what ends."""

    transitions: Tensor  # [previous, next]
    start: Tensor  # [labels]
    end: Tensor  # [labels]


class ChainParameters(nn.Module):
    """Learned transition scores with BIO-illegal transitions masked.

    Args:
        labels: The tag set, BIO.
    """

    def __init__(self, labels: tuple[str, ...]) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(len(labels), len(labels)))
        self.start = nn.Parameter(torch.zeros(len(labels)))
        self.end = nn.Parameter(torch.zeros(len(labels)))
        start_legal, legal = legal_transitions(labels)
        self.register_buffer("_illegal", torch.from_numpy(~legal), persistent=False)
        self.register_buffer("_illegal_start", torch.from_numpy(~start_legal), persistent=False)

    def chain(self) -> Chain:
        """The scores, illegal ones at `ILLEGAL`."""
        assert isinstance(self._illegal, Tensor)
        assert isinstance(self._illegal_start, Tensor)
        return Chain(
            self.transitions.masked_fill(self._illegal, ILLEGAL),
            self.start.masked_fill(self._illegal_start, ILLEGAL),
            self.end,
        )


def log_partition(emissions: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Log of the summed exponentiated scores of all label sequences, by the forward algorithm. Returns [batch]."""
    alpha = chain.start + emissions[:, 0]  # [batch, labels]
    for step in range(1, emissions.shape[1]):
        onward = torch.logsumexp(alpha.unsqueeze(2) + chain.transitions, dim=1) + emissions[:, step]
        alpha = torch.where(mask[:, step, None], onward, alpha)
    return torch.logsumexp(alpha + chain.end, dim=1)


def sequence_score(emissions: Tensor, mask: Tensor, chain: Chain, labels: Tensor) -> Tensor:
    """Score of the given label sequences, labels int64 [batch, words]. Returns [batch]."""
    real = mask.to(emissions.dtype)
    emitted = emissions.gather(2, labels.unsqueeze(2)).squeeze(2) * real
    moved = chain.transitions[labels[:, :-1], labels[:, 1:]] * real[:, 1:]
    last = labels.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
    return emitted.sum(1) + moved.sum(1) + chain.start[labels[:, 0]] + chain.end[last]


def negative_log_likelihood(emissions: Tensor, mask: Tensor, chain: Chain, labels: Tensor) -> Tensor:
    """``log_partition - sequence_score``, at least 0. Returns [batch]."""
    return log_partition(emissions, mask, chain) - sequence_score(emissions, mask, chain, labels)


def viterbi(emissions: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """The best label sequence of each row (Viterbi 1967), int64 [batch, words]; 0 where padded."""
    best = chain.start + emissions[:, 0]
    stay = torch.arange(emissions.shape[2], device=emissions.device).expand_as(best)
    came_from: list[Tensor] = []
    for step in range(1, emissions.shape[1]):
        scores = best.unsqueeze(2) + chain.transitions
        origin = scores.argmax(dim=1)  # max(dim=1) would wake every thread for these few numbers, each step
        real = mask[:, step, None]
        best = torch.where(real, scores.amax(dim=1) + emissions[:, step], best)
        came_from.append(torch.where(real, origin, stay))  # padding hands the label through unchanged
    label = (best + chain.end).argmax(dim=1)
    path = [label]
    for origin in reversed(came_from):
        label = origin.gather(1, label.unsqueeze(1)).squeeze(1)
        path.append(label)
    return torch.stack(path[::-1], dim=1) * mask


def marginals(emissions: Tensor, mask: Tensor, chain: Chain) -> Tensor:
    """Posterior probability of each label at each word, by forward and backward passes. [batch, words, labels]."""
    words = emissions.shape[1]
    alpha = [chain.start + emissions[:, 0]]
    for step in range(1, words):
        onward = torch.logsumexp(alpha[-1].unsqueeze(2) + chain.transitions, dim=1) + emissions[:, step]
        alpha.append(torch.where(mask[:, step, None], onward, alpha[-1]))
    beta = [chain.end.expand_as(alpha[0])]
    for step in range(words - 1, 0, -1):
        back = torch.logsumexp(chain.transitions + (emissions[:, step] + beta[-1]).unsqueeze(1), dim=2)
        beta.append(torch.where(mask[:, step, None], back, beta[-1]))
    scores = torch.stack(alpha, dim=1) + torch.stack(beta[::-1], dim=1)
    return torch.softmax(scores, dim=2) * mask.unsqueeze(2)
