"""``low-rank``: one weight becomes the product of two narrow ones, the best such product for what goes in.

What a layer gives for its inputs has a covariance ``C = W cov(x) W^T``. With ``U`` its ``r`` first eigenvectors,
``U U^T W`` is the matrix of rank ``r`` whose outputs are nearest (Eckart and Young 1936, in the norm that the inputs
weigh; Chen et al. 2021). ``U`` and ``U^T W`` are its factors, and the bias takes up the mean of what is lost. With
``cov(x) = 1`` that is the singular value decomposition of ``W``. Of an embedding table it is the other side that is
weighed: every row as often as its token occurs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hone.compress.int8 import require_float
from hone.compress.recover import drawn, encoder_of, lesson, linear_layers, parameters, recover, rows_taught
from hone.compress.recovery import LowRankSettings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.models.encoder import Encoder
from hone.models.shapes import FactoredEmbedding, FactoredLinear, linear
from hone.predict.batching import budgeted
from hone.tasks.rows import IntArray, Rows


class Outputs(NamedTuple):
    """What a linear layer gives, without its bias, float64: mean [outputs] and covariance [outputs, outputs]."""

    mean: Tensor
    covariance: Tensor


class Factors(NamedTuple):
    """``second @ first`` in place of a matrix, float32: [rank, inputs] and [outputs, rank]."""

    first: Tensor
    second: Tensor


def factorize(settings: LowRankSettings, start: Start) -> Made:
    """Factor the word-embedding table and the encoder's linear layers where that makes them smaller.

    Raises:
        RecipeError: The bundle's layers are not known here, or there are no texts to measure or learn from.
    """
    require_float(start)
    model, encoder = start.model, encoder_of(start, "low-rank")
    _require_whole(start)
    taught = lesson(start) if settings.num_train_epochs else None
    model.to("cpu").eval()
    before, layers = parameters(model), linear_layers(encoder)
    rows, index = _measured(settings, start)
    if settings.embedding is not None:
        _factor_table(model.embeddings, settings, counts=_counts(rows, len(model.embeddings.word_embeddings.weight)))
    done = 0
    if settings.linear is not None:
        seen = _outputs(start, rows, index, encoder=encoder) if settings.by == "inputs" else {}
        for module, name, layer in layers:
            factored = factored_layer(layer, seen.get(layer), share=settings.linear, of=settings.of)
            done += factored is not layer
            setattr(module, name, factored)
    table = model.embeddings.word_embeddings
    facts: dict[str, Any] = {
        "factored_layers": done,
        "embedding_rank": table.second.in_features if isinstance(table, FactoredEmbedding) else 0,
        "parameters_before": before,
        "parameters": parameters(model),
    }
    if taught is not None:
        torch.manual_seed(start.run.seed)
        facts["seconds"] = round(recover(model, taught, start, settings=settings, method="low-rank").seconds, 1)
    return Made(model.to("cpu").eval(), start.task, facts)


def _require_whole(start: Start) -> None:
    if any(isinstance(module, FactoredLinear | FactoredEmbedding) for module in start.model.modules()):
        raise RecipeError(
            f"the weights of {start.bundle.path} are factored already",
            expected="a bundle with weights in one piece",
            fix="Give compress the bundle that this one was made from.",
            code="compress.low-rank",
        )


def rank_of(energies: Tensor, shape: tuple[int, int], *, share: float, of: str) -> int | None:
    """The rank of the factors of a matrix of ``shape``; None where they would be no smaller than the matrix.

    Args:
        energies: What each rank adds, float64, falling.
        share: Of the weights that the factors may hold, or of the energy that they keep at least; see ``of``.
    """
    weights = shape[0] * shape[1]
    if of == "weights":
        rank = max(1, int(share * weights / sum(shape)))
    else:
        total = energies.cumsum(0)
        rank = int(torch.searchsorted(total, share * total[-1])) + 1
    return rank if rank * sum(shape) < weights else None


def nearest(weight: Tensor, covariance: Tensor | None, *, share: float, of: str) -> Factors | None:
    """Factors of ``weight``, float32 [outputs, inputs], whose outputs are nearest where those of ``weight`` have this
    covariance; None: that of inputs of any kind alike. None where they would be no smaller."""
    wide = weight.detach().double()
    energies, vectors = _falling(wide @ wide.t() if covariance is None else covariance)
    rank = rank_of(energies, (weight.shape[0], weight.shape[1]), share=share, of=of)
    if rank is None:
        return None
    kept = vectors[:, :rank]
    return Factors((kept.t() @ wide).float(), kept.float())


def _falling(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, none below zero, falling, and their vectors, in columns."""
    values, vectors = torch.linalg.eigh(symmetric)
    return values.flip(0).clamp(min=0.0), vectors.flip(1)


def factored_layer(layer: nn.Linear, seen: Outputs | None, *, share: float, of: str) -> nn.Linear | FactoredLinear:
    """``layer`` as two, where that is smaller."""
    found = nearest(layer.weight, None if seen is None else seen.covariance, share=share, of=of)
    if found is None:
        return layer
    bias: Tensor | None = layer.bias
    if seen is not None and bias is not None:
        lost = seen.mean - found.second.double() @ (found.second.double().t() @ seen.mean)
        bias = (bias.detach().double() + lost).float()
    return FactoredLinear(linear(found.first, None), linear(found.second, bias))


def _factor_table(embeddings: Any, settings: LowRankSettings, *, counts: Tensor | None) -> None:
    table = embeddings.word_embeddings
    weight = table.weight.detach()
    assert settings.embedding is not None
    weighed = None if counts is None or settings.by == "weights" else counts
    found = nearest_rows(weight, weighed, share=settings.embedding, of=settings.of)
    if found is not None:
        narrow = nn.Embedding(
            len(found.second), found.second.shape[1], padding_idx=table.padding_idx, _weight=found.second
        )
        embeddings.word_embeddings = FactoredEmbedding(narrow, linear(found.first.t(), None))


def nearest_rows(table: Tensor, counts: Tensor | None, *, share: float, of: str) -> Factors | None:
    """Factors of ``table``, float32 [tokens, width], each row counting as often as ``counts``, float64 [tokens], says;
    None: all alike. ``second`` is [tokens, rank]. None where they would be no smaller."""
    wide = table.double()
    weighed = wide if counts is None else wide * counts.unsqueeze(1)
    energies, vectors = _falling(wide.t() @ weighed)
    rank = rank_of(energies, (table.shape[0], table.shape[1]), share=share, of=of)
    if rank is None:
        return None
    kept = vectors[:, :rank]
    return Factors(kept.t().float().contiguous(), (wide @ kept).float())


def _measured(settings: LowRankSettings, start: Start) -> tuple[Rows, IntArray]:
    rows, _, _ = rows_taught(start)
    return rows, drawn(np.arange(len(rows)), settings.measured_rows, seed=start.run.seed)


def _counts(rows: Rows, tokens: int) -> Tensor:
    """How often each token occurs in all the texts, and once more: any may occur in others. Float64 [tokens]."""
    return torch.from_numpy(1.0 + rows.counts("input_ids", size=tokens)).double()


def _outputs(start: Start, rows: Rows, index: IntArray, *, encoder: Encoder) -> dict[nn.Linear, Outputs]:
    """What each linear layer makes of the texts ``index``."""
    progress = start.run.progress
    progress.begin("measuring what layers give", total=len(index), unit="row")
    with torch.no_grad(), encoder.aside(), _summed(encoder) as (sums, batch):
        for part in budgeted(rows.lengths[index]):
            made = start.task.collate(rows, index[part])
            batch["mask"] = made["attention_mask"].bool()
            start.model(made)
            progress.advance(len(part))
    progress.finish()
    found = {}
    for layer, (count, total, products) in sums.items():
        mean = total / count
        covariance = products / count - torch.outer(mean, mean)
        if not _gives_less(layer):  # of the inputs
            weight = layer.weight.detach().double()
            mean, covariance = weight @ mean, weight @ covariance @ weight.t()
        found[layer] = Outputs(mean, covariance)
    return found


Sums = dict[nn.Linear, tuple[int, Tensor, Tensor]]


def _gives_less(layer: nn.Linear) -> bool:
    """Whether it has fewer outputs than inputs, so that summing up their products takes less."""
    return layer.out_features < layer.in_features


@contextmanager
def _summed(encoder: Encoder) -> Iterator[tuple[Sums, dict[str, Tensor]]]:
    """Within it what goes into each linear layer, or what it gives without its bias, is summed up at the positions of a
    batch's ``mask``, bool [rows, tokens]: how many, their sum, and the sum of their products, float64."""
    sums: Sums = {}
    batch: dict[str, Tensor] = {}

    def add(layer: nn.Linear, given: tuple[Tensor], gave: Tensor) -> None:
        states = (gave - layer.bias if _gives_less(layer) else given[0])[batch["mask"]]  # [n, width]
        count, total, products = sums.get(layer, (0, torch.zeros(()), torch.zeros(())))
        sums[layer] = (count + len(states), total + states.double().sum(0), products + (states.t() @ states).double())

    hooks = [layer.register_forward_hook(add) for _, _, layer in linear_layers(encoder)]
    try:
        yield sums, batch
    finally:
        for hook in hooks:
            hook.remove()
