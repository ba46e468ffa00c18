"""How far is a network above counting? A modified Kneser-Ney model (Chen and Goodman 1999) over the same tokens.

python benchmarks/generation/kneser_ney.py TOKENIZER TRAIN VALIDATION [--test FILE] [--order 5]
TOKENIZER is a folder with a tokenizer: a base or a bundle. The files are jsonl with the field ``text``, or plain text,
a text a line. Every text is read by itself and ends with the tokenizer's end token, which is predicted too. The order
is the best on VALIDATION. One JSON object is printed.

With ``c`` the counts of an order, ``h'`` the context ``h`` less its first token, and ``N_i(h)`` how many tokens follow
``h`` ``i`` times (``N_3``: three times or more):

    p(w | h) = max(0, c(h w) - D(c(h w))) / c(h) + g(h) p(w | h')
    g(h) = (D_1 N_1(h) + D_2 N_2(h) + D_3 N_3(h)) / c(h)

The longest order counts occurrences, shorter ones how many different tokens stand before; an n-gram that begins a text
has none before it and counts occurrences in every order. Below one token all are equally likely. Of every order

    Y = n_1 / (n_1 + 2 n_2),  D_i = i - (i + 1) Y n_{i+1} / n_i

where ``n_i`` n-grams have the count ``i``. Where one of these is 0, as in very small or odd texts, ``D_i = i / 2``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import lines_of  # noqa: E402

from hone.metrics.perplexity import perplexities, perplexity_tally  # noqa: E402
from hone.models.tokenizer import load_tokenizer  # noqa: E402
from hone.text.units import words_and_characters  # noqa: E402

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Texts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Contexts:
    """The contexts of one length that stand in the training texts, and what follows them.

    Attributes:
        keys: Of each context ``shorter context * (vocabulary + 1) + token before it``, sorted, int64 [contexts].
        shorter: The context less its first token, an index into those of one token less, int64 [contexts].
        first: Whether it begins a text, bool [contexts].
        ngrams: ``context * vocabulary + token``, sorted, int64 [n-grams].
        occurrences: How often each n-gram stands in the texts, int64 [n-grams].
    """

    keys: IntArray
    shorter: IntArray
    first: NDArray[np.bool_]
    ngrams: IntArray
    occurrences: IntArray


@dataclass(frozen=True)
class Order:
    """One order's discounted shares: ``kept`` of each n-gram float64 [n-grams], ``given`` down of each context float64
    [contexts]."""

    kept: FloatArray
    given: FloatArray


class Counts:
    """All n-grams of up to ``order`` tokens of texts, from which models of every order to that are made.

    Args:
        texts: Token ids of each text.
        vocabulary: How many tokens there are.

    Raises:
        ValueError: There is no token, one lies outside the vocabulary, or ``order`` is less than 1.
    """

    def __init__(self, texts: Texts, *, vocabulary: int, order: int) -> None:
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        self.vocabulary = vocabulary
        stream, places, offset = _stream(texts, vocabulary)
        if not len(places):
            raise ValueError("there is no token to learn from")
        self.levels = [_counted(np.zeros(len(places), np.int64), np.zeros(1, np.int64), stream[places], vocabulary)]
        context = np.zeros(len(places), np.int64)  # of each place, of the length reached
        for length in range(1, order):
            there = offset >= length  # a context holds at most one mark of where the text begins, in front
            places, offset, context = places[there], offset[there], context[there]
            keys, context = np.unique(context * (vocabulary + 1) + stream[places - length], return_inverse=True)
            self.levels.append(_counted(context, keys, stream[places], vocabulary))

    def model(self, order: int) -> KneserNey:
        """The model of ``order``, at most that of the counts."""
        if not 1 <= order <= len(self.levels):
            raise ValueError(f"order must be 1 to {len(self.levels)}, got {order}")
        return KneserNey(self.levels[:order], self.vocabulary)


class KneserNey:
    """A model made of `Counts`."""

    def __init__(self, levels: Sequence[Contexts], vocabulary: int) -> None:
        self.levels, self.vocabulary = levels, vocabulary
        self.orders = []
        for at, level in enumerate(levels):
            longer = levels[at + 1] if at + 1 < len(levels) else None
            self.orders.append(_discounted(level, _adjusted(level, longer, vocabulary), vocabulary))

    def log_probabilities(self, texts: Texts) -> list[FloatArray]:
        """Natural logarithm of the probability of each token after those before it, float64 [tokens], text by text.

        Raises:
            ValueError: A token lies outside the vocabulary.
        """
        stream, places, offset = _stream(texts, self.vocabulary)
        probability = np.full(len(places), 1 / self.vocabulary)
        known, context = np.arange(len(places)), np.zeros(len(places), np.int64)  # places whose context was seen
        for length, (level, order) in enumerate(zip(self.levels, self.orders, strict=True)):
            if length:
                there = offset[known] >= length
                known, context = known[there], context[there]
                before = stream[places[known] - length]
                context, found = _found(level.keys, context * (self.vocabulary + 1) + before)
                known, context = known[found], context[found]
            ngram, found = _found(level.ngrams, context * self.vocabulary + stream[places[known]])
            kept = np.zeros(len(known))
            kept[found] = order.kept[ngram[found]]
            probability[known] = kept + order.given[context] * probability[known]
        return np.split(np.log(probability), np.cumsum([len(text) for text in texts])[:-1]) if len(texts) else []

    def following(self, tokens: Sequence[int]) -> FloatArray:
        """Probability of every token after ``tokens``, which begin a text; float64 [vocabulary]."""
        each = self.log_probabilities([[*tokens, token] for token in range(self.vocabulary)])
        return np.exp([logs[-1] for logs in each])


def chosen(counts: Counts, validation: Texts) -> tuple[KneserNey, dict[int, float]]:
    """The model whose order has the lowest perplexity of ``validation``, and the perplexity of every order."""
    found: dict[int, float] = {}
    for order in range(1, len(counts.levels) + 1):
        logs = counts.model(order).log_probabilities(validation)
        found[order] = float(np.exp(-np.concatenate(logs).mean()))
    return counts.model(min(found, key=lambda order: found[order])), found


def _stream(texts: Texts, vocabulary: int) -> tuple[IntArray, IntArray, IntArray]:
    """All texts in a row, each after the mark ``vocabulary``; the places of their tokens, and of each its distance to
    the mark, 1 for the first; int64."""
    sizes = np.array([len(text) for text in texts], dtype=np.int64)
    stream = np.full(int(sizes.sum()) + len(sizes), vocabulary, dtype=np.int64)
    offset = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    places = np.arange(int(sizes.sum())) + np.repeat(np.arange(len(sizes)), sizes) + 1
    if len(places):
        stream[places] = np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])
        if not 0 <= int(stream[places].min()) <= int(stream[places].max()) < vocabulary:
            raise ValueError(f"tokens must be 0 to {vocabulary - 1}")
    return stream, places, offset


def _counted(context: IntArray, keys: IntArray, following: IntArray, vocabulary: int) -> Contexts:
    ngrams, occurrences = np.unique(context * vocabulary + following, return_counts=True)
    return Contexts(
        keys=keys,
        shorter=keys // (vocabulary + 1),
        first=keys % (vocabulary + 1) == vocabulary,
        ngrams=ngrams,
        occurrences=occurrences,
    )


def _adjusted(level: Contexts, longer: Contexts | None, vocabulary: int) -> IntArray:
    """The count of each n-gram, int64 [n-grams]: occurrences where nothing stands before it or it is of the longest
    order, else how many different tokens stand before it."""
    if longer is None:
        return level.occurrences
    context, token = np.divmod(longer.ngrams, vocabulary)
    inner = np.searchsorted(level.ngrams, longer.shorter[context] * vocabulary + token)
    before = np.bincount(inner, minlength=len(level.ngrams))
    return np.where(level.first[level.ngrams // vocabulary], level.occurrences, before)


def _discounted(level: Contexts, counts: IntArray, vocabulary: int) -> Order:
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    context = level.ngrams // vocabulary
    total = np.bincount(context, counts, minlength=len(level.keys))
    return Order(
        kept=(counts - discounts) / total[context],
        given=np.bincount(context, discounts, minlength=len(level.keys)) / total,
    )


def _discounts(counts: IntArray) -> FloatArray:
    """What is taken off a count of 0, 1, 2, and 3 or more; float64 [4]."""
    of = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(np.float64)
    out = np.array([0.0, 0.5, 1.0, 1.5])
    if of[1:].all():
        share = of[1] / (of[1] + 2 * of[2])
        out[1:] = [max(0.0, i - (i + 1) * share * of[i + 1] / of[i]) for i in (1, 2, 3)]
    return out


def _found(table: IntArray, keys: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
    """Where ``keys`` stand in a sorted table, and whether they do."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return at, table[at] == keys


def read(path: Path) -> list[str]:
    lines = lines_of(path)
    return [json.loads(line)["text"] for line in lines] if path.suffix == ".jsonl" else [line for line in lines if line]


def measured(model: KneserNey, texts: Sequence[str], tokens: Texts) -> dict[str, float | None]:
    logs = model.log_probabilities(tokens)
    tally = perplexity_tally(
        np.array([each.sum() for each in logs]),
        tokens=np.array([len(each) for each in logs]),
        words=np.array([len(words_and_characters(text)) for text in texts]),
        utf8_bytes=np.array([len(text.encode()) for text in texts]),
    )
    return perplexities(tally)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("validation", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--order", type=int, default=5, help="the longest that is tried")
    given = parser.parse_args()
    tokenizer = load_tokenizer(given.tokenizer)
    if tokenizer.eos_id is None:
        parser.error(f"the tokenizer of {given.tokenizer} has no end token")
    files = {name: getattr(given, name) for name in ("train", "validation", "test") if getattr(given, name)}
    texts = {name: read(path) for name, path in files.items()}
    tokens = {name: [[*ids, tokenizer.eos_id] for ids in tokenizer.encode(part)] for name, part in texts.items()}
    counts = Counts(tokens["train"], vocabulary=tokenizer.vocab_size, order=given.order)
    model, perplexity = chosen(counts, tokens["validation"])
    found: dict[str, Any] = {
        "vocabulary": counts.vocabulary,
        "tokens": {name: sum(map(len, part)) for name, part in tokens.items()},
        "validation_perplexity_of_order": perplexity,
        "order": len(model.levels),
        **{name: measured(model, texts[name], tokens[name]) for name in ("validation", "test") if name in texts},
        "machine": machine(),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
