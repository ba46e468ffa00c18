"""How good a bundle that reads finds what another one writes; of several texts the best comes first.

Best of n (Stiennon et al. 2020; Nakano et al. 2021): n texts are written for each input, and the one with the highest
reward is the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hone.bundle.stage import Inputs
from hone.core.errors import Fault, RecipeError, did_you_mean
from hone.tasks.protocol import FloatArray
from hone.tasks.table import TASKS
from hone.tasks.written import Draft, Drafts

if TYPE_CHECKING:
    from hone.predict.predictor import Predictor

LABELED, NUMBER = ("one", "several"), "number"  # what a task may say whose answers are rewards
REWARDING = "a bundle that labels texts or pairs of texts, or gives them a number"


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
        fault = _fault(predictor.task, predictor.task.labels, label)
        if fault is not None:
            raise RecipeError(fault.found, expected=fault.expected, fix=fault.fix, code=fault.code)
        self._fields = _texts(predictor.task)

    def of(self, read: Sequence[str], written: Sequence[str]) -> FloatArray:
        """The reward of each text, float64 [texts]; ``read``: what each was written from."""
        if not written:
            return np.zeros(0)
        texts = [list(written)] if len(self._fields) == 1 else [list(read), list(written)]
        answers = self._predictor.each(dict(zip(self._fields, texts, strict=True)))
        return np.fromiter(map(self._value, answers), dtype=np.float64, count=len(written))

    def ranked(self, read: Sequence[Sequence[str]], drafts: Sequence[Drafts]) -> list[Drafts]:
        """What each row came to, with the reward of each text, the best first; of equal rewards, as they were.

        Args:
            read: Of each row what the texts of each of its prompts were written from.
        """
        each = [
            (text, draft)
            for texts, one in zip(read, drafts, strict=True)
            for text, some in zip(texts, one.texts, strict=bool(one.texts))  # of a whole text nothing is written
            for draft in some
        ]
        rewards = iter(self.of([text for text, _ in each], [draft.text for _, draft in each]).tolist())
        return [replace(one, texts=tuple(_ordered(some, rewards) for some in one.texts)) for one in drafts]

    def _value(self, answer: Any) -> float:
        return float(answer["scores"][self._label] if self._label else answer["score"])


def reward_faults(inputs: Inputs, label: str) -> list[Fault]:
    """What keeps the bundle that a stage's setting ``reward`` names from giving a reward by its setting ``label``."""
    records = [bundle.manifest.task for bundle in inputs.others.get("reward", ())]
    none = Fault("reward.task", "a reward from a bundle without a task", REWARDING, field="reward")
    found = (none if one is None else _fault(TASKS[one.name], one.labels, label) for one in records)
    return [fault for fault in found if fault is not None]


def _texts(kind: Any) -> list[str]:
    """The inputs of a task, or its class, that are texts."""
    return [field.name for field in kind.inputs if field.kind == "text"]


def _fault(kind: Any, labels: Sequence[str], label: str) -> Fault | None:
    """What keeps a task with ``labels``, or its class, from giving a reward by ``label``."""
    reads = len(_texts(kind)) == len(kind.inputs) <= 2
    if not reads or kind.says not in (*LABELED, NUMBER):
        return Fault("reward.task", f"a reward from {kind.name}", REWARDING, field="reward")
    if kind.says == NUMBER:
        found = f"the label {label!r} of {kind.name}, which gives a number"
        return Fault("reward.label", found, "no label", field="label") if label else None
    if label in labels:
        return None
    found = f"the unknown label {label!r}" if label else "no label whose probability is the reward"
    fix = did_you_mean(label, labels)
    return Fault("reward.label", found, f"one of {', '.join(labels)}", field="label", fix=fix)


def _ordered(drafts: Sequence[Draft], rewards: Iterator[float]) -> tuple[Draft, ...]:
    """Texts for one prompt with the next of ``rewards``, the best first."""
    told = [replace(draft, reward=next(rewards)) for draft in drafts]
    return tuple(sorted(told, key=lambda draft: -(draft.reward or 0.0)))
