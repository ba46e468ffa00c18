"""``low-rank``: one weight becomes the product of two narrow ones, the best such product for what goes in.

What a layer gives for its inputs has a mean and a covariance ``C = W cov(x) W^T``. With ``U`` its ``r`` first
eigenvectors, ``U U^T W`` is the matrix of rank ``r`` whose outputs are nearest (Eckart and Young 1936, in the norm
that the inputs weigh; Chen et al. 2021), ``U`` and ``U^T W`` are its factors, and the bias takes up the mean of what is
lost. With ``cov(x) = 1`` that is the singular value decomposition of ``W``. Of an embedding table it is the other side
that is weighed: every row as often as its token occurs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hone.compress.int8 import require_float
from hone.compress.recover import drawn, encoder_of, lesson, linear_layers, parameters, recover, rows_taught
from hone.compress.recovery import LowRankSettings
from hone.compress.start import Made, Start
from hone.models.encoder import Encoder
from hone.models.shapes import FactoredEmbedding, FactoredLinear, linear
from hone.predict.batching import budgeted
from hone.tasks.rows import IntArray, Rows


class Inputs(NamedTuple):
    """What goes into a linear layer, float64: mean [inputs] and covariance [inputs, inputs]."""

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
    taught = lesson(start) if settings.num_train_epochs else None
    model.to("cpu").eval()
    before, layers = parameters(model), linear_layers(encoder)
    rows, index = _measured(settings, start)
    if settings.embedding is not None:
        _factor_table(model.embeddings, settings, counts=_counts(rows, len(model.embeddings.word_embeddings.weight)))
    done = 0
    if settings.linear is not None:
        inputs = _inputs(start, rows, index, encoder=encoder) if settings.by == "inputs" else {}
        for module, name, layer in layers:
            factored = factored_layer(layer, inputs.get(layer), share=settings.linear, of=settings.of)
            done += factored is not layer
            setattr(module, name, factored)
    facts: dict[str, Any] = {
        "factored_layers": f"{done} / {len(layers)}",
        "embedding_rank": model.embeddings.word_embeddings.second.in_features
        if isinstance(model.embeddings.word_embeddings, FactoredEmbedding)
        else 0,
        "parameters_before": before,
        "parameters": parameters(model),
    }
    if taught is not None:
        torch.manual_seed(start.run.seed)
        facts["seconds"] = round(recover(model, taught, start, settings=settings, method="low-rank").seconds, 1)
    return Made(model.to("cpu").eval(), start.task, facts)


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
    """Factors of ``weight``, float32 [outputs, inputs], for inputs of this covariance; None: of any alike. None where
    they would be no smaller."""
    wide = weight.detach().double()
    spread = wide @ wide.t() if covariance is None else wide @ covariance @ wide.t()
    energies, vectors = torch.linalg.eigh(spread)  # ascending
    energies, vectors = energies.flip(0).clamp(min=0.0), vectors.flip(1)
    rank = rank_of(energies, (weight.shape[0], weight.shape[1]), share=share, of=of)
    if rank is None:
        return None
    kept = vectors[:, :rank]
    return Factors((kept.t() @ wide).float(), kept.float())


def factored_layer(
    layer: nn.Linear, inputs: Inputs | None, *, share: float, of: str
) -> nn.Linear | FactoredLinear:
    """``layer`` as two, where that is smaller."""
    found = nearest(layer.weight, inputs.covariance if inputs is not None else None, share=share, of=of)
    if found is None:
        return layer
    bias = layer.bias
    if inputs is not None and bias is not None:
        lost = layer.weight.detach().double() - found.second.double() @ found.first.double()
        bias = (bias.detach().double() + lost @ inputs.mean).float()
    return FactoredLinear(linear(found.first, None), linear(found.second, bias))


def _factor_table(embeddings: Any, settings: LowRankSettings, *, counts: Tensor | None) -> None:
    table = embeddings.word_embeddings
    if not isinstance(table, nn.Embedding):  # factored already
        return
    weight = table.weight.detach()
    assert settings.embedding is not None
    weighed = None if counts is None or settings.by == "weights" else counts
    found = nearest_rows(weight, weighed, share=settings.embedding, of=settings.of)
    if found is not None:
        narrow = nn.Embedding(*found.second.shape, padding_idx=table.padding_idx, _weight=found.second)
        embeddings.word_embeddings = FactoredEmbedding(narrow, linear(found.first.t(), None))


def nearest_rows(table: Tensor, counts: Tensor | None, *, share: float, of: str) -> Factors | None:
    """Factors of ``table``, float32 [tokens, width], each row counting as often as ``counts``, float64 [tokens], says;
    None: all alike. ``second`` is [tokens, rank]. None where they would be no smaller."""
    wide = table.double()
    weighed = wide if counts is None else wide * counts.unsqueeze(1)
    energies, vectors = torch.linalg.eigh(wide.t() @ weighed)
    energies, vectors = energies.flip(0).clamp(min=0.0), vectors.flip(1)
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
    return torch.from_numpy(1.0 + np.bincount(rows.ragged("input_ids")[0], minlength=tokens)).double()


def _inputs(start: Start, rows: Rows, index: IntArray, *, encoder: Encoder) -> Mapping[nn.Module, Inputs]:
    """What the texts ``index`` let into each linear layer."""
    progress = start.run.progress
    progress.begin("measuring what layers are given", total=len(index), unit="row")
    with encoder.aside(), torch.inference_mode(), _summed(encoder) as (sums, batch):
        for part in budgeted(rows.lengths[index]):
            made = start.task.collate(rows, index[part])
            batch["mask"] = made["attention_mask"].bool()
            start.model(made)
            progress.advance(len(part))
    progress.finish()
    found = {}
    for layer, (count, total, products) in sums.items():
        mean = total / count
        found[layer] = Inputs(mean, products / count - torch.outer(mean, mean))
    return found


Sums = dict[nn.Module, tuple[int, Tensor, Tensor]]


@contextmanager
def _summed(encoder: Encoder) -> Iterator[tuple[Sums, dict[str, Tensor]]]:
    """Within it what goes into each linear layer at the positions of a batch's ``mask``, bool [rows, tokens], is summed
    up: how many, their sum, and their products, float64."""
    sums: Sums = {}
    batch: dict[str, Tensor] = {}

    def add(layer: nn.Module, given: tuple[Tensor]) -> None:
        states = given[0][batch["mask"]]  # [n, inputs]
        count, total, products = sums.get(layer, (0, torch.zeros(()), torch.zeros(())))
        sums[layer] = (count + len(states), total + states.double().sum(0), products + (states.t() @ states).double())

    hooks = [layer.register_forward_pre_hook(add) for _, _, layer in linear_layers(encoder)]
    try:
        yield sums, batch
    finally:
        for hook in hooks:
            hook.remove()
