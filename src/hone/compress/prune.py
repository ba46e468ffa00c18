"""``prune``: whole layers, attention heads and inner units go, those that the loss would miss least."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hone.compress.importance import Importance, Measured, importance, layer_losses
from hone.compress.int8 import require_float
from hone.compress.recover import drawn, encoder_of, lesson, parameters, recover, rows_taught
from hone.compress.recovery import PruneSettings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.models.encoder import Encoder
from hone.models.model import Model
from hone.models.shapes import kept
from hone.predict.device import pick_device
from hone.report.report import Cell, Grid


def prune(settings: PruneSettings, start: Start) -> Made:
    """Take away layers first, then heads and inner units, ranked over all the layers that are left.

    Raises:
        RecipeError: The bundle's layers are not known here or too few, or there are no labeled rows.
    """
    require_float(start)
    model, encoder = start.model, encoder_of(start, "prune")
    _require_layers(settings, encoder)
    taught = lesson(start) if settings.num_train_epochs else None
    measured = _measured(settings, start)
    before = _sizes(model)
    for _ in range(settings.layers):
        losses = layer_losses(model, measured)
        least = losses.index(min(losses))
        encoder.keep([i for i in range(len(losses)) if i != least])
        _configure(model, len(losses) - 1)
    if settings.heads or settings.inner:
        _cut(encoder, importance(model, measured), settings)
    seconds = 0.0
    if taught is not None:
        torch.manual_seed(start.run.seed)
        seconds = recover(model, taught, start, settings=settings, method="prune").seconds
    after = _sizes(model)
    facts = {
        "layers_before": before.layers, "layers": after.layers,
        "heads_before": before.heads, "heads": after.heads,
        "inner_units_before": before.inner, "inner_units": after.inner,
        "parameters_before": before.parameters, "parameters": after.parameters,
        "seconds": round(seconds, 1),
    }  # fmt: skip
    return Made(model.to("cpu").eval(), start.task, facts, {"by_layer": _grid(encoder)})


def _require_layers(settings: PruneSettings, encoder: Encoder) -> None:
    had = len(encoder.layer)
    if settings.layers >= had:
        raise RecipeError(
            f"{settings.layers} layers to prune from a bundle that has {had}",
            expected=f"at most {had - 1}",
            fix="Lower layers; distill with layers: 0 leaves token embeddings alone.",
            code="compress.prune",
        )


def _measured(settings: PruneSettings, start: Start) -> Measured:
    rows, labeled, _ = rows_taught(start)
    known = labeled.nonzero()[0]
    if not len(known):
        raise RecipeError(
            "prune was given no labeled rows to measure importance on", fix="Name train under data.",
            code="recipe.no-split",
        )  # fmt: skip
    index = drawn(known, settings.measured_rows, seed=start.run.seed)
    device = pick_device(start.run.device)
    start.model.to(device)
    return Measured(start, rows, index, device=device)


def _cut(encoder: Encoder, found: Importance, settings: PruneSettings) -> None:
    """Take the heads and inner units away that ``found`` puts last."""
    for layer, heads, units in zip(
        encoder.layer, chosen(found.heads, settings.heads), chosen(found.inner, settings.inner), strict=True
    ):
        cut_heads(layer, heads, size=encoder.head_size)
        cut_inner(layer, units)


def chosen(scores: list[Tensor], share: float) -> list[Tensor]:
    """Of each layer the indices that stay, int64, ascending, when ``share`` of all goes: the lowest over all the
    layers, but for the highest of each layer."""
    flat = torch.cat(scores)
    for i, at in enumerate(_starts(scores)):
        flat[at + int(scores[i].argmax())] = torch.inf
    gone = flat.argsort(stable=True)[: min(round(share * len(flat)), len(flat) - len(scores))]
    stays = torch.ones(len(flat), dtype=torch.bool)
    stays[gone] = False
    parts = torch.tensor_split(stays, _starts(scores)[1:])
    return [part.nonzero().squeeze(1) for part in parts]


def _starts(scores: list[Tensor]) -> list[int]:
    return [sum(len(layer) for layer in scores[:i]) for i in range(len(scores))]


def cut_heads(layer: Any, heads: Tensor, *, size: int) -> None:
    """Leave a transformer layer these heads alone, int64 [n], ascending; ``size``: width of a head."""
    places = (heads[:, None] * size + torch.arange(size)).flatten()
    own, out = layer.attention.self, layer.attention.output
    for name in ("query", "key", "value"):
        setattr(own, name, kept(getattr(own, name), outputs=places))
    out.dense = kept(out.dense, inputs=places)


def cut_inner(layer: Any, units: Tensor) -> None:
    """Leave the feed-forward block of a transformer layer these inner units alone, int64 [n]."""
    layer.intermediate.dense = kept(layer.intermediate.dense, outputs=units)
    layer.output.dense = kept(layer.output.dense, inputs=units)


def _configure(model: Model, layers: int) -> None:
    backbone: Any = model.backbone
    backbone.config.num_hidden_layers = layers


class _Sizes(NamedTuple):
    layers: int
    heads: int
    inner: int
    parameters: int


def _sizes(model: Model) -> _Sizes:
    encoder: Any = model.encoder
    return _Sizes(
        layers=len(encoder.layer),
        heads=sum(encoder.heads(layer) for layer in encoder.layer),
        inner=sum(layer.intermediate.dense.out_features for layer in encoder.layer),
        parameters=parameters(model),
    )


def _grid(encoder: Any) -> Grid:
    rows: list[list[Cell]] = [
        [i + 1, encoder.heads(layer), layer.intermediate.dense.out_features, parameters(layer)]
        for i, layer in enumerate(encoder.layer)
    ]
    return Grid(columns=["layer", "heads", "inner_units", "parameters"], rows=rows)
