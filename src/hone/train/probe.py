"""A new head fitted to the base's own features before the base learns: linear probing, then fine-tuning (Kumar et al.
2022). A random head sends the base derivatives that say nothing about the task, and these distort what it knew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.core.errors import RecipeError
from hone.core.progress import Progress
from hone.models.heads import MeanPooled, PairStates, SequenceLogits
from hone.models.model import Model
from hone.models.places import MarkerStates
from hone.predict.batching import budgeted
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import Batch, IntArray, Rows
from hone.train.frozen import FrozenStates

MOST_ROWS = 20_000  # bounds the time and the memory that features take
PENALTY = 1e-3  # times the squared weights, beside the mean loss: scikit-learn's C is 1 / (2 * PENALTY * rows)
ITERATIONS = 100


def fit_head(
    model: Model,
    task: Task,
    rows: Rows,
    *,
    seed: int,
    options: LossOptions,
    progress: Progress,
    device: torch.device,
    frozen: FrozenStates | None = None,
) -> None:
    """Set the head's linear layer to what has the least of the task's own loss on what the layer reads.

    Args:
        task: Over whole texts, with one target.
        rows: With their targets; of more than ``MOST_ROWS`` so many are drawn.
        seed: Of that draw.
        options: As training will use them.
        frozen: What the frozen layers give for the rows, where it was made beforehand.

    Raises:
        RecipeError: The model is none whose last layer is known here.
    """
    layer = probed(model)
    chosen = np.arange(len(rows))
    if len(rows) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False))
    model.to(device)

    def batch(index: IntArray) -> Batch:
        read = task.collate(rows, index)
        return read if frozen is None else {**read, "lower_states": frozen.of(index)}

    features, targets = _features(model, layer, batch, chosen, target=task.targets[0].name, lengths=rows.lengths,
                                  progress=progress, device=device)  # fmt: skip

    def mean_loss(logits: Tensor) -> Tensor:
        found = task.loss({"logits": logits}, targets, options=options)
        return found.total / found.weight

    # A loss over several labels is the mean of theirs, and each of them is a regression of its own.
    penalty = PENALTY / layer.out_features if task.says == "several" else PENALTY
    weight, bias = linear_fit(features, outputs=layer.out_features, loss=mean_loss, penalty=penalty)
    with torch.no_grad():
        layer.weight.copy_(weight)
        assert layer.bias is not None
        layer.bias.copy_(bias)


def probed(model: Model) -> nn.Linear:
    """The layer that turns the features of a whole text into its logits.

    Raises:
        RecipeError: There is none that is known here.
    """
    backbone: Any = model.backbone
    found = getattr(model.head, "linear", None) or getattr(backbone, "classifier", None)
    found = getattr(found, "out_proj", found)  # RoBERTa's classifier is a dense layer, then this one
    whole = MeanPooled | PairStates | MarkerStates | SequenceLogits
    if not isinstance(model.head, whole) or not isinstance(found, nn.Linear):
        raise RecipeError(
            f"the head {type(model.head).__name__} of a {backbone.config.model_type}: its last layer is not known here",
            expected="a task over whole texts, and a base whose last layer is called classifier",
            fix="Set head_init to random, not probe, and leave out the technique contrastive: both look at that layer.",
            code="recipe.head-init",
        )
    return found


def _features(
    model: Model,
    layer: nn.Linear,
    batch_of: Callable[[IntArray], Batch],
    chosen: IntArray,
    *,
    target: str,
    lengths: IntArray,
    progress: Progress,
    device: torch.device,
) -> tuple[Tensor, Batch]:
    """What ``layer`` reads of each chosen row, float32 [rows, width], and their target, as the loss takes it."""
    order, targets = [], []
    found = torch.empty(len(chosen), layer.in_features, device=device)
    read: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: read.append(given[0].detach().float()))
    was_learning = model.training
    model.eval()
    progress.begin("features for the head", total=len(chosen), unit="row")
    try:
        with torch.no_grad():
            for index in budgeted(lengths[chosen]):
                batch = {k: v.to(device) for k, v in batch_of(chosen[index]).items()}
                model(batch)
                found[torch.from_numpy(index).to(device)] = read.pop()
                order.append(index)
                targets.append(batch[target])
                progress.advance(len(index))
    finally:
        progress.finish()
        hook.remove()
        model.train(was_learning)
    back = torch.from_numpy(np.argsort(np.concatenate(order))).to(device)
    return found, {target: torch.cat(targets)[back]}


def logistic_regression(features: Tensor, labels: Tensor, *, classes: int) -> tuple[Tensor, Tensor]:
    """Weight [classes, width] and bias [classes] of the least mean cross-entropy.

    Args:
        features: float32 [rows, width].
        labels: int64 [rows].
    """
    return linear_fit(
        features, outputs=classes, loss=lambda logits: functional.cross_entropy(logits, labels), penalty=PENALTY
    )


def linear_fit(
    features: Tensor, *, outputs: int, loss: Callable[[Tensor], Tensor], penalty: float
) -> tuple[Tensor, Tensor]:
    """Weight [outputs, width] and bias [outputs] of the least loss plus ``penalty`` times the squared weights, found by
    L-BFGS from zero.

    Args:
        features: float32 [rows, width].
        loss: Of what they give of all features [rows, outputs], a mean over the rows.
    """
    center = features.mean(0)
    weight = torch.zeros(outputs, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(outputs, device=features.device, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_grad=1e-5, history_size=20, line_search_fn="strong_wolfe"
    )
    centered = features - center  # the same model, whose bias does not depend on the weights' every move

    def closure() -> float:
        solver.zero_grad()
        value = loss(functional.linear(centered, weight, bias)) + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]
    weight = weight.detach()
    return weight, bias.detach() - weight @ center
