"""What holds of a task unless its entry of the table says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.models.tokenizer import Tokenizer


class Form:
    """Settings that leave nothing to the data, a loss that weighs no labels, targets of which any may occur.

    Args:
        settings: The task's settings.
        labels: Names of the scores, in their order.
        tokenizer: The base's.
    """

    inputs: tuple[Field, ...]
    targets: tuple[Field, ...]

    def __init__(self, settings: Any, *, labels: tuple[str, ...], tokenizer: Tokenizer) -> None:
        self.settings = settings
        self.labels = labels
        self.tokenizer = tokenizer
        self._ids = {label: i for i, label in enumerate(labels)}

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        """One: all its inputs and targets."""
        return (Shape(cls.inputs, cls.targets),)

    @classmethod
    def settled(cls, settings: Any, train: Dataset) -> Any:
        """As they are."""
        return settings

    @classmethod
    def weighs_labels(cls, settings: Any) -> bool:
        """No."""
        return False

    @classmethod
    def smooths(cls, settings: Any) -> bool:
        """Where it weighs them."""
        return cls.weighs_labels(settings)

    @classmethod
    def known(cls, settings: Any, labels: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """None by name."""
        return {}

    @staticmethod
    def named(settings: Any) -> Mapping[str, str]:
        """None."""
        return {}

    @classmethod
    def untold(cls, settings: Any, data: Dataset) -> frozenset[str]:
        """None."""
        return frozenset()
