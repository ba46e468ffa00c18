"""One label a text, or none of those that training showed: told by how sure the likeliest label is.

A text is called unknown where the likeliest of the other labels has a probability below a threshold (Hendrycks and
Gimpel 2017), or is less likely than the unknown label itself, where training had rows of it (Larson et al. 2019 compare
both). The threshold is the highest that costs little on texts that are known, so tuning it needs none that are not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.tasks.protocol import Columns, Decision, FloatArray, Prediction

SCOPE_COLUMN = 3  # of a tally: 1 for the examples whose label is known, 0 for the others; the next one the other way
SCOPE_SPECS: Mapping[str, MeasureSpec] = {
    "in_scope_accuracy": MeasureSpec(needs="unknown_label", counted=SCOPE_COLUMN),
    "out_of_scope_recall": MeasureSpec(needs="unknown_label", counted=SCOPE_COLUMN + 1),
}


class LabelAnswers:
    """Answers one label from the probabilities of ``labels``.

    Args:
        labels: In the order of the scores.
        unknown: What a text is called that none of the others fits; None: one of ``labels`` is always answered.
        decision: ``{"threshold": probability}`` that the likeliest label must have; None: any.

    Attributes:
        names: What may be answered: ``labels``, and ``unknown`` last where it is not among them.
    """

    def __init__(self, labels: tuple[str, ...], *, unknown: str | None, decision: Decision | None = None) -> None:
        self.names = names_of(labels, unknown)
        self.unknown = unknown
        self._least = 0.0 if decision is None else float(decision["threshold"])

    def of(self, scores: Mapping[str, float]) -> dict[str, Any]:
        """``label``, ``score`` and ``scores`` of an answer; ``scores`` has every label's probability."""
        best = max(scores, key=scores.__getitem__)
        if self.unknown is None:
            return {"label": best, "score": scores[best], "scores": scores}
        if best == self.unknown or scores[best] < self._least:
            return {"label": self.unknown, "score": self.chance(scores, self.unknown), "scores": scores}
        return {"label": best, "score": scores[best], "scores": scores}

    def chance(self, scores: Mapping[str, float], label: str) -> float:
        """Probability that ``label`` has; of the unknown one, that the likeliest of the others is not given."""
        if label != self.unknown:
            return scores[label]
        return 1 - max(chance for other, chance in scores.items() if other != label)

    def fit(self, predictions: Sequence[Prediction], gold: Sequence[str], *, drop: float) -> Decision | None:
        """The decision with the highest threshold that costs at most ``drop`` of the accuracy on the texts whose label
        is known, whatever these answers were made by; None without an unknown label, or where no text is answered
        right."""
        if self.unknown is None:
            return None
        known = [(p["scores"], label) for p, label in zip(predictions, gold, strict=True) if label != self.unknown]
        right = sorted(scores[label] for scores, label in known if max(scores, key=scores.__getitem__) == label)
        if not right:
            return None
        lost = min(int(drop * len(known) + 1e-9), len(right) - 1)
        return {"threshold": (right[lost - 1] + right[lost]) / 2 if lost else right[0]}

    def scope(self, gold: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The columns of a tally from `SCOPE_COLUMN` on, bool [examples, 2], of the places of the right labels among
        `names`, int64 [examples]."""
        known = np.array([name != self.unknown for name in self.names])[gold]
        return np.stack([known, ~known], axis=1)


class OneLabel:
    """What tasks have in common that answer one label a text: the decision by which it is told from none of them."""

    settings: Any
    labels: tuple[str, ...]
    measure_specs: Mapping[str, MeasureSpec]

    def _answer_by(self) -> None:
        """Make ready to answer as one does that was never fitted; called once labels and settings are there."""
        self.decision: Decision | None = None
        self._answers = LabelAnswers(self.labels, unknown=self.unknown_of(self.settings))
        self._ids = {name: i for i, name in enumerate(self._answers.names)}
        if self._answers.unknown is None:
            self.measure_specs = {name: spec for name, spec in self.measure_specs.items() if not spec.needs}

    @staticmethod
    def unknown_of(settings: Any) -> str | None:
        """What texts are called that no label fits."""
        name: str | None = settings.unknown_label
        return name

    @classmethod
    def untold(cls, settings: Any, data: Dataset) -> frozenset[str]:
        """Of texts whose label is known where there are none, of others where there are none."""
        unknown, seen = cls.unknown_of(settings), set(data.distinct("label"))
        if unknown is None:
            return frozenset()
        inside, outside = SCOPE_SPECS
        return frozenset([*([] if seen - {unknown} else [inside]), *([] if unknown in seen else [outside])])

    @property
    def decides(self) -> bool:
        """Only where a label stands for none of the others."""
        return self._answers.unknown is not None

    def fit_decision(self, predictions: Sequence[Prediction], columns: Columns) -> Decision | None:
        """``{"threshold": probability}`` below which the likeliest label is not answered; None without
        ``unknown_label``."""
        drop = 0.0 if self._answers.unknown is None else self.settings.max_in_scope_drop
        return self._answers.fit(predictions, columns["label"], drop=drop)

    def decided(self, decision: Decision | None) -> Self:
        """See `hone.tasks.protocol.Deciding`."""
        made = copy.copy(self)
        made.decision = decision
        made._answers = LabelAnswers(self.labels, unknown=self._answers.unknown, decision=decision)
        return made

    def answered(self, prediction: Prediction) -> Prediction:
        """See `hone.tasks.protocol.Deciding`."""
        return {**prediction, **self._answers.of(prediction["scores"])}


def probabilities(scores: FloatArray) -> FloatArray:
    """The softmax of scores [rows, labels]."""
    chances: FloatArray = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return chances


def names_of(labels: tuple[str, ...], unknown: str | None) -> tuple[str, ...]:
    """``labels``, and ``unknown`` last where it is a label that training never showed."""
    return labels if unknown is None or unknown in labels else (*labels, unknown)


def scope_measures(
    gold: NDArray[np.int64], said: NDArray[np.int64], names: Sequence[str], *, unknown: str
) -> dict[str, float | None]:
    """Accuracy on the texts whose label is known, and the share of the others that were called unknown; None where
    there are none.

    Args:
        gold, said: int64 [examples], places among ``names``.
    """
    inside = gold != names.index(unknown)
    right = gold == said
    return {
        "in_scope_accuracy": float(right[inside].mean()) if inside.any() else None,
        "out_of_scope_recall": float(right[~inside].mean()) if not inside.all() else None,
    }
