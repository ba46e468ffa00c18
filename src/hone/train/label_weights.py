"""How much each label counts in the loss: so that rare ones are learned too."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hone.data.checks import label_counts
from hone.data.dataset import Dataset
from hone.tasks.protocol import LossOptions, Task
from hone.train.settings import FinetuneSettings

BETA = 0.999  # of the effective number of examples: more than a thousand of one label say little that is new
FloatArray = NDArray[np.float64]


def loss_options(settings: FinetuneSettings, task: Task, *, train: Dataset, device: torch.device) -> LossOptions:
    """The loss options that ``settings`` ask for, weights in the order of the task's labels.

    Args:
        train: The rows that labels are counted in, as often as an epoch has them.
    """
    chosen = settings.class_weights
    if chosen == "none":
        return LossOptions(settings.label_smoothing_factor)
    if isinstance(chosen, dict):
        weights = np.array([chosen.get(label, 1.0) for label in task.labels])
    else:
        seen = label_counts(train, task.targets[0].name)
        counts = np.array([seen[label] for label in task.labels], dtype=np.float64)
        weights = inverse(counts) if chosen == "balanced" else effective(counts)
    return LossOptions(settings.label_smoothing_factor, torch.from_numpy(weights).to(device, torch.float32))


def inverse(counts: FloatArray) -> FloatArray:
    """Weights by inverse frequency, float64 [labels]; their mean over the examples is 1. A label without examples has
    the weight 0: a tag set holds tags that no row shows, and smoothing would pull every word to a rare one.

    Args:
        counts: Examples of each label, float64 [labels], of one at least above 0.
    """
    seen = counts > 0
    weights: FloatArray = np.zeros_like(counts)
    weights[seen] = counts.sum() / (seen.sum() * counts[seen])
    return weights


def effective(counts: FloatArray) -> FloatArray:
    """Weights by the inverse effective number of examples, ``(1 - b^n) / (1 - b)`` (Cui et al. 2019), float64 [labels];
    their mean over the labels that have examples is 1, and others have 0, see `inverse`.

    Args:
        counts: As of `inverse`.
    """
    seen = counts > 0
    weights: FloatArray = np.zeros_like(counts)
    weights[seen] = (1 - BETA) / (1 - BETA ** counts[seen])
    weights /= weights[seen].mean()
    return weights
