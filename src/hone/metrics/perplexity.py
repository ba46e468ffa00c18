"""How surprised a model is by texts: of the log probabilities that it gives to their tokens.

Models with different tokenizers compare by word or by byte, never by token: the same sum over fewer tokens is a
larger mean. The sums and counts of each text add up, so any texts' measures are those of their sum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray

PERPLEXITY_COLUMNS = 5
_LARGEST = math.log(np.finfo(np.float64).max)


def perplexity_tally(
    log_probabilities: NDArray[np.floating],
    *,
    tokens: NDArray[np.integer],
    words: NDArray[np.integer],
    utf8_bytes: NDArray[np.integer],
    whole: NDArray[np.bool_] | None = None,
) -> FloatArray:
    """Columns of each text, float64 [texts, 5]: sum of log probabilities and tokens; and of texts that are told whole
    the same sum, words and bytes.

    Args:
        log_probabilities: Sum of the natural logarithms of the probabilities of a text's tokens, [texts].
        tokens: How many tokens that sum is of, [texts].
        words: How many words the text has, [texts].
        utf8_bytes: How many bytes the text has in UTF-8, [texts].
        whole: Whether the sum is of all of the text; None: of every text. Else words and bytes, which are the whole
            text's, are not held against it.

    Raises:
        ValueError: The arrays differ in shape, a sum is positive or not finite, or a count is negative.
    """
    sums = np.asarray(log_probabilities, dtype=np.float64)
    counts = [np.asarray(part, dtype=np.float64) for part in (tokens, words, utf8_bytes)]
    if sums.ndim != 1 or any(part.shape != sums.shape for part in counts):
        raise ValueError(f"all must be [texts], got {[part.shape for part in (sums, *counts)]}")
    if not (np.isfinite(sums) & (sums <= 0)).all():
        raise ValueError("sums of log probabilities must be finite and at most 0")
    if any((part < 0).any() for part in counts):
        raise ValueError("counts must be at least 0")
    there = np.ones(len(sums)) if whole is None else np.asarray(whole, dtype=np.float64)
    return np.stack([sums, counts[0], sums * there, counts[1] * there, counts[2] * there], axis=1)


def perplexities(tally: FloatArray) -> dict[str, float | None]:
    """Of a tally float64 [texts, 5], with ``L`` the sum of log probabilities (Jelinek et al. 1977):

    - ``perplexity``: ``exp(-L / tokens)``, 1 is no surprise.
    - ``word_perplexity``: ``exp(-L / words)``, of texts that are told whole.
    - ``bits_per_byte``: ``-L / (bytes * log 2)``, of these too.

    None where there is nothing to divide by, or more than a float holds.
    """
    summed, tokens, whole, words, size = tally.sum(axis=0).tolist()
    return {
        "perplexity": _exponential(summed, tokens),
        "word_perplexity": _exponential(whole, words),
        "bits_per_byte": abs(whole) / (size * math.log(2)) if size else None,
    }


def _exponential(summed: float, parts: float) -> float | None:
    return math.exp(-summed / parts) if parts and -summed / parts < _LARGEST else None
