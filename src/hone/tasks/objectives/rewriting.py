"""``span-corruption`` and ``denoising``: a text that was damaged is read, and what it was is written."""

from __future__ import annotations

import itertools
import math
from functools import cached_property

import numpy as np

from hone.models.heads import HeadSpec
from hone.tasks.objectives.objective import TokensTold
from hone.tasks.objectives.settings import sentinel
from hone.tasks.rows import TARGET, Batch, IntArray, Rows

Tokens = list[int]


class Rewriting(TokensTold):
    """Base of both: an entry says what is read and what is written of a piece."""

    head = HeadSpec("sequence-to-sequence", ())

    def rewritten(self, ids: IntArray, sentences: IntArray, *, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """What is read and what is written of a piece's tokens, without special tokens around them."""
        raise TypeError(f"{type(self).__name__} rewrites nothing")

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [rows, tokens]; ``target_ids`` int64 [rows, written];
        ``target_places`` int64 [n, 2], where their tokens are; ``gold`` int64 [n]; ``counts`` int64 [rows]."""
        documents = self.documents
        pieces = zip(documents.pieces(rows, index), documents.pieces(rows, index, "sentences"), strict=True)
        both = [self.rewritten(ids, sentences, rng=rng) for ids, sentences in pieces]
        read, real = documents.padded([documents.framed_text(source) for source, _ in both])
        written, told = documents.padded([documents.framed_text(target) for _, target in both])
        return {
            "input_ids": read,
            "attention_mask": real.long(),
            TARGET: written,
            "target_places": told.nonzero(),
            "gold": written[told],
            "counts": told.sum(1),
        }

    @cached_property
    def _mask(self) -> int:
        assert self.tokenizer.mask_id is not None  # `ObjectiveEntry.masks`, where there are no marks
        return self.tokenizer.mask_id


class SpanCorruption(Rewriting):
    """See `hone.tasks.objectives.settings.SpanCorruptionSettings`."""

    name = "span-corruption"
    perplexity = "span_perplexity"
    accuracy = "span_accuracy"

    @cached_property
    def _sentinels(self) -> list[int]:
        """T5's marks; none where the vocabulary has not got them."""
        vocabulary = self.tokenizer.pretrained.get_vocab()
        names = itertools.takewhile(lambda name: name in vocabulary, map(sentinel, itertools.count()))
        return [vocabulary[name] for name in names]

    def _mark(self, number: int) -> int:
        return self._sentinels[number] if number < len(self._sentinels) else self._mask

    def rewritten(self, ids: IntArray, sentences: IntArray, *, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """Kept and lost spans in turn, a kept one first."""
        count = len(ids)
        lost = min(max(1, round(count * self.settings.noise_density)), max(1, count - 1))
        marked = (
            lost if self.tokenizer.mask_id is not None else len(self._sentinels)
        )  # most spans that can be told apart
        spans = max(1, min(round(lost / self.settings.mean_noise_span_length), lost, count - lost, marked))
        cuts = zip(_parts(count - lost, spans, rng), _parts(lost, spans, rng), strict=True)
        source, target, at = Tokens(), Tokens(), 0
        for number, (kept, gone) in enumerate(cuts):
            source += [*ids[at : at + kept].tolist(), self._mark(number)]
            target += [self._mark(number), *ids[at + kept : at + kept + gone].tolist()]
            at += kept + gone
        return source, target


def _parts(total: int, parts: int, rng: np.random.Generator) -> list[int]:
    """``total`` things as so many parts, none empty where there are enough; every division is equally likely."""
    if total < parts:
        return [1] * total + [0] * (parts - total)
    cuts = np.sort(rng.choice(total - 1, parts - 1, replace=False)) + 1
    ends = [0, *cuts.tolist(), total]
    return [after - before for before, after in itertools.pairwise(ends)]


class Denoising(Rewriting):
    """See `hone.tasks.objectives.settings.DenoisingSettings`."""

    name = "denoising"
    perplexity = "denoising_perplexity"
    accuracy = "denoising_accuracy"

    def rewritten(self, ids: IntArray, sentences: IntArray, *, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
        """First sentences change places, then spans are masked; what is read is never longer than a row."""
        parts = np.split(ids, sentences[1:])
        if self.settings.permute_sentences:
            parts = [parts[i] for i in rng.permutation(len(parts))]
        return self._infilled(np.concatenate(parts).tolist(), rng), ids.tolist()

    def _infilled(self, ids: Tokens, rng: np.random.Generator) -> Tokens:
        """Spans are masked until `mask_ratio` of the tokens are gone; where each mask stands among the tokens that are
        left is drawn evenly, so that spans that touch have a mask each."""
        lost = max(1, round(len(ids) * self.settings.mask_ratio))
        kept = len(ids) - lost
        lengths = infilled_lengths(lost, mean=self.settings.poisson_lambda, most=self.documents.room - kept, rng=rng)
        at = np.sort(rng.choice(kept + len(lengths), len(lengths), replace=False))  # of the masks, in what is read
        begins = at - np.arange(len(at)) + np.cumsum(lengths) - lengths  # of the spans, in the text
        out, end = Tokens(), 0
        for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True):
            out += [*ids[end:begin], self._mask]
            end = begin + length
        return out + ids[end:]


def infilled_lengths(lost: int, *, mean: float, most: int, rng: np.random.Generator) -> IntArray:
    """Tokens of the spans that one mask each stands for, ``lost`` in all, int64 [spans]: Poisson of the mean ``mean``
    (Lewis et al. 2020), the last one drawn being cut to what is left. One of none puts a mask in.

    Args:
        most: Spans, not fewer than ``lost``; those of no tokens that are more are left out.
    """
    some = max(-math.expm1(-mean), 1e-6)  # the chance of any; below, there is no room for all that have none anyway
    first = -np.log1p(-rng.random(lost) * some)  # a Poisson process's first event, given that there is any
    lengths = 1 + rng.poisson(np.maximum(0, mean - first))
    count = int(np.searchsorted(np.cumsum(lengths), lost)) + 1
    lengths = lengths[:count]
    lengths[-1] -= int(lengths.sum()) - lost
    none = min(int(rng.negative_binomial(count, some)), most - count)
    return rng.permutation(np.concatenate([lengths, np.zeros(none, dtype=np.int64)]))
