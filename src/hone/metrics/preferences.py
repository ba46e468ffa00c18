"""Which of two texts a model finds likelier: by itself, and beside a reference that it started from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PREFERENCE_COLUMNS = 8


def preference_tally(likelihoods: FloatArray, *, tokens: FloatArray, reference: FloatArray | None) -> FloatArray:
    """Sufficient counts of pairs, float64 [pairs, 8], which add up.

    Args:
        likelihoods: Log-probabilities of the better and the worse text, float64 [pairs, 2], in nats.
        tokens: How many tokens each has, float64 [pairs, 2].
        reference: The same of the reference's log-probabilities; None: there is none.
    """
    own = likelihoods[:, 0] - likelihoods[:, 1]
    each = np.full(len(own), 0.0 if reference is None else 1.0)
    gained = np.zeros(len(own)) if reference is None else own - (reference[:, 0] - reference[:, 1])
    fell = np.zeros(len(own)) if reference is None else likelihoods[:, 0] - reference[:, 0]
    ones = np.ones(len(own))
    return np.stack([ones, own > 0, each, gained > 0, gained, fell, -likelihoods[:, 0], tokens[:, 0]], axis=1)


def preferences(tally: FloatArray) -> dict[str, float | None]:
    """Of a tally, whole or in part:

    - ``likelihood_accuracy``: share of the pairs whose better text is likelier than the worse one;
    - ``preference_accuracy``: share of the pairs whose better text has gained on the worse one since the reference: the
      implicit reward of Rafailov et al. (2023) is higher. A tie is no preference;
    - ``preference_margin``: by how much it has, in nats, mean over the pairs;
    - ``chosen_gain``: how much likelier the better text itself is than it was, in nats, mean over the pairs;
    - ``perplexity``: of the better texts, a token.

    Those that need a reference are None without one.
    """
    pairs, likelier, each, preferred, gained, fell, surprise, tokens = tally.sum(axis=0).tolist()
    return {
        "preference_accuracy": preferred / each if each else None,
        "preference_margin": gained / each if each else None,
        "likelihood_accuracy": likelier / pairs if pairs else None,
        "chosen_gain": fell / each if each else None,
        "perplexity": float(np.exp(surprise / tokens)) if tokens else None,
    }
