"""How surprised a model is by texts: of the log probabilities that it gives to their tokens.

Models with different tokenizers compare by word or by byte, never by token: the same sum over fewer tokens is a
larger mean. The sums and counts of each text add up, so any texts' measures are those of their sum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hone.metrics.classification import FloatArray

PERPLEXITY_COLUMNS = 4
_LARGEST = math.log(np.finfo(np.float64).max)


def perplexity_tally(
    log_probabilities: NDArray[np.floating],
    *,
    tokens: NDArray[np.integer],
    words: NDArray[np.integer],
    utf8_bytes: NDArray[np.integer],
) -> FloatArray:
    """Columns of each text, float64 [texts, 4]: sum of log probabilities, tokens, words, bytes.

    Args:
        log_probabilities: Sum of the natural logarithms of the probabilities of a text's tokens, [texts].
        tokens: How many tokens that sum is of, [texts].
        words: How many words the text has, [texts].
        utf8_bytes: How many bytes the text has in UTF-8, [texts].

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
    return np.stack([sums, *counts], axis=1)


def perplexities(tally: FloatArray) -> dict[str, float | None]:
    """Of a tally float64 [texts, 4], with ``L`` the sum of log probabilities (Jelinek et al. 1977):

    - ``perplexity``: ``exp(-L / tokens)``, 1 is no surprise.
    - ``word_perplexity``: ``exp(-L / words)``.
    - ``bits_per_byte``: ``-L / (bytes * log 2)``.

    None where there is nothing to divide by, or more than a float holds.
    """
    summed, tokens, words, size = tally.sum(axis=0).tolist()
    return {
        "perplexity": _exponential(summed, tokens),
        "word_perplexity": _exponential(summed, words),
        "bits_per_byte": abs(summed) / (size * math.log(2)) if size else None,
    }


def _exponential(summed: float, parts: float) -> float | None:
    return math.exp(-summed / parts) if parts and -summed / parts < _LARGEST else None
