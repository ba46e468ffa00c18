"""How good a bundle that reads finds what another one writes; of several texts the best comes first.

Best of n (Stiennon et al. 2020; Nakano et al. 2021): n texts are written for each input, and the one with the highest
reward is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.core.errors import RecipeError, did_you_mean
from hone.tasks.protocol import FloatArray
from hone.tasks.written import Draft, Drafts

if TYPE_CHECKING:
    from hone.predict.predictor import Predictor

LABELED, NUMBER = ("one", "several"), "number"  # what a task may say whose answers are rewards


class Reward:
    """The probability that a bundle gives to a label, or the number that it gives, of each text.

    A bundle over one text reads what was written; one over two texts, as ``text-pair-classification``, reads what it
    was written from first.

    Args:
        predictor: Of a bundle that labels texts, or gives them numbers.
        label: Whose probability counts; empty where the bundle gives numbers.

    Raises:
        RecipeError: The bundle does neither, or has no such label.
    """

    def __init__(self, predictor: Predictor, label: str = "") -> None:
        self._predictor, self._label = predictor, label
        task = predictor.task
        self._fields = [field.name for field in task.inputs if field.kind == "text"]
        reads = len(self._fields) == len(task.inputs) <= 2
        if not reads or task.says not in (*LABELED, NUMBER):
            raise RecipeError(
                f"a reward from {task.name}",
                expected="a bundle that labels texts or pairs of texts, or gives them a number",
                code="reward.task",
            )
        if task.says == NUMBER and label:
            raise RecipeError(f"the label {label!r} of {task.name}, which gives a number", expected="no label",
                              code="reward.label")  # fmt: skip
        if task.says != NUMBER and label not in task.labels:
            found = f"the unknown label {label!r}" if label else "no label whose probability is the reward"
            fix = did_you_mean(label, task.labels)
            raise RecipeError(found, expected=f"one of {', '.join(task.labels)}", fix=fix, code="reward.label")

    def of(self, read: Sequence[str], written: Sequence[str]) -> FloatArray:
        """The reward of each text, float64 [texts]; ``read``: what each was written from."""
        if not written:
            return np.zeros(0)
        texts = [list(written)] if len(self._fields) == 1 else [list(read), list(written)]
        answers = self._predictor.predict_columns(dict(zip(self._fields, texts, strict=True)))
        return np.array([self._value(answer) for answer in answers], dtype=np.float64)

    def ranked(self, read: Sequence[str], drafts: Sequence[Drafts]) -> list[Drafts]:
        """What each row came to, with the reward of each text, the best first; of equal rewards, as they were.

        Args:
            read: What each row's texts were written from.
        """
        each = [(text, draft) for text, one in zip(read, drafts, strict=True) for some in one.texts for draft in some]
        rewards = iter(self.of([text for text, _ in each], [draft.text for _, draft in each]).tolist())
        return [replace(one, texts=tuple(_ordered(some, rewards) for some in one.texts)) for one in drafts]

    def _value(self, answer: Any) -> float:
        return float(answer["scores"][self._label] if self._label else answer["score"])


def _ordered(drafts: Sequence[Draft], rewards: Iterator[float]) -> tuple[Draft, ...]:
    """Texts for one prompt with the next of ``rewards``, the best first."""
    told = [replace(draft, reward=next(rewards)) for draft in drafts]
    return tuple(sorted(told, key=lambda draft: -(draft.reward or 0.0)))
