"""Unigram vocabularies (Kudo 2018): the pieces under which words are likeliest, the same from the same words.

The tokenizers package's own trainer goes over hash maps in random order: three runs over the same texts gave three
vocabularies. Here everything is in a fixed order.
"""

from __future__ import annotations

import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping

LONGEST = 16  # characters of a piece
LONGEST_WORD = 64  # characters of a word that teaches anything: products of more pieces soon leave the range of floats
SEEDS = 4  # times as many pieces as are wanted to begin with
SHRINK = 0.6  # share of the pieces that a round leaves
ROUNDS = 2  # of expectation and maximization between two prunings
SPURIOUS = 0.5  # expected count below which a piece is dropped at once

Pieces = dict[str, float]  # piece -> its probability


def learn_unigram(
    words: Mapping[str, int], alphabet: Iterable[str], *, room: int, least: int
) -> list[tuple[str, float]]:
    """At most ``room`` pieces with the logarithms of their probabilities, the likeliest first.

    Args:
        words: How often each word occurs.
        alphabet: Characters that are pieces whatever comes; words with others teach nothing.
        room: At least as many as ``alphabet`` has.
        least: How often a piece occurs at least.
    """
    single = set(alphabet)
    taught = {word: count for word, count in sorted(words.items())
              if len(word) <= LONGEST_WORD and single.issuperset(word)}  # fmt: skip
    pieces = _seeds(taught, single, most=SEEDS * room, least=least)
    while True:
        for _ in range(ROUNDS):
            pieces = _maximized(_expected(taught, pieces), single)
        if len(pieces) <= room:
            break
        pieces = _pruned(taught, pieces, single, most=max(room, round(SHRINK * len(pieces))))
    return sorted(((piece, math.log(p)) for piece, p in pieces.items()), key=lambda one: (-one[1], one[0]))


def _seeds(words: Mapping[str, int], single: set[str], *, most: int, least: int) -> Pieces:
    """The parts of words that cover the most characters, and every single character."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    longer: list[tuple[str, int]] = []
    shorter = {piece for piece, count in counts.items() if count >= least}
    for size in range(2, LONGEST + 1):  # no part occurs oftener than what it begins with: few are ever in memory
        found = _parts(words, size, shorter)
        shorter = {piece for piece, count in found.items() if count >= least}
        frequent = ((piece, found[piece]) for piece in shorter)
        longer += heapq.nsmallest(most, frequent, key=lambda one: (-one[1], one[0]))
    longer.sort(key=lambda one: (-one[1] * len(one[0]), one[0]))
    chosen = {piece: float(count) for piece, count in longer[: max(0, most - len(single))]}
    return _normalized({**{piece: float(counts[piece] or 1) for piece in sorted(single)}, **chosen})


def _parts(words: Mapping[str, int], size: int, shorter: Container[str]) -> Counter[str]:
    """How often each part of ``size`` characters occurs whose first ones, but for the last, are in ``shorter``."""
    found: Counter[str] = Counter()
    for word, count in words.items():
        for begin in range(len(word) - size + 1):
            if word[begin : begin + size - 1] in shorter:
                found[word[begin : begin + size]] += count
    return found


def _normalized(counts: Mapping[str, float]) -> Pieces:
    total = math.fsum(counts.values())
    return {piece: count / total for piece, count in counts.items()}


def _expected(words: Mapping[str, int], pieces: Pieces) -> dict[str, float]:
    """How often each piece is expected, over all ways to divide the words (forward and backward)."""
    counts: dict[str, float] = dict.fromkeys(pieces, 0.0)
    for word, times in words.items():
        size = len(word)
        ahead = [1.0] + [0.0] * size
        found: list[tuple[int, int, str, float]] = []
        for begin in range(size):
            for end in range(begin + 1, min(size, begin + LONGEST) + 1):
                p = pieces.get(word[begin:end])
                if p is not None:
                    found.append((begin, end, word[begin:end], p))
                    ahead[end] += ahead[begin] * p
        if ahead[size] < sys.float_info.min:  # too unlikely for a float: of rare characters alone
            continue
        behind = [0.0] * size + [1.0]
        for begin, end, _, p in reversed(found):
            behind[begin] += p * behind[end]
        for begin, end, piece, p in found:
            counts[piece] += times * ahead[begin] * p * behind[end] / ahead[size]
    return counts


def _maximized(counts: Mapping[str, float], single: set[str]) -> Pieces:
    """Probabilities by expected counts; a character that none expects stays as the least likely."""
    kept = {piece: count for piece, count in counts.items() if count >= SPURIOUS and piece not in single}
    return _normalized({**{piece: max(counts.get(piece, 0.0), SPURIOUS) for piece in sorted(single)}, **kept})


def _pruned(words: Mapping[str, int], pieces: Pieces, single: set[str], *, most: int) -> Pieces:
    """Those whose loss would make the words the least likely: how much less likely the next best way to write a piece
    is, by how often the piece is used."""
    used: Counter[str] = Counter()
    for word, times in words.items():
        for piece in best(word, pieces.get)[0]:
            used[piece] += times

    def loss(piece: str) -> float:
        _, other = best(piece, lambda part: None if part == piece else pieces.get(part))
        return used[piece] * (math.log(pieces[piece]) - other)

    longer = sorted((-loss(piece), piece) for piece in pieces if piece not in single)
    kept = {piece for _, piece in longer[: max(0, most - len(single))]} | single
    return _normalized({piece: p for piece, p in pieces.items() if piece in kept})


def best(word: str, probability: Callable[[str], float | None]) -> tuple[list[str], float]:
    """The likeliest way to divide a word (Viterbi), and its log probability; of equal ones that with the longer last
    piece. Every single character must have a probability."""
    scores = [0.0] + [-math.inf] * len(word)
    begins = [0] * (len(word) + 1)
    for end in range(1, len(word) + 1):
        for begin in range(max(0, end - LONGEST), end):
            p = probability(word[begin:end])
            if p is not None and scores[begin] + math.log(p) > scores[end]:
                scores[end], begins[end] = scores[begin] + math.log(p), begin
    parts, end = list[str](), len(word)
    while end:
        parts.append(word[begins[end] : end])
        end = begins[end]
    return parts[::-1], scores[-1]
