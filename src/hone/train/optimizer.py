"""Optimizers and which parameters they treat how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from hone.models.model import Model
from hone.train.muon import Muon
from hone.train.settings import LoopSettings


def parameter_groups(
    model: Model, settings: LoopSettings, *, rates: Mapping[str, float] | None = None
) -> list[dict[str, object]]:
    """Groups by peak rate (backbone, its table of tokens, new head) and decay: biases, norms and other vectors have
    none.

    Args:
        rates: Shares of the peak rate that weights learn at, by name; of those not named the whole, or what their head
            says.

    Under ``muon`` a group says besides whether its updates are made ``orthogonal``: see `inner_matrices`.
    """
    new, muon = new_parameters(model), settings.optim == "muon"
    inner = inner_matrices(model) - new if muon else set()
    table = lazy_table(model, settings)
    shares = {**_head_rates(model), **(rates or {})}
    backbone: Any = model.backbone
    embeddings = {id(parameter) for parameter in backbone.get_input_embeddings().parameters()}
    groups: dict[tuple[bool, bool, float, bool, bool, bool, int], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            alone = table is not None and parameter is table.weight
            key = (
                id(parameter) in new,
                settings.embedding_learning_rate is not None and id(parameter) in embeddings,
                -shares.get(name, 1.0),
                parameter.ndim > 1 and not name.endswith("bias"),  # one that is divided may have another dimension
                alone,
                id(parameter) in inner,
                _mesh(parameter),
            )  # the whole rate first
            groups.setdefault(key, []).append(parameter)
    usual = settings.learning_rate
    peaks = {(True, False): settings.head_learning_rate or usual, (False, True): settings.embedding_learning_rate}
    return [
        {"params": members, "lr": peak, "peak": peak, "weight_decay": settings.weight_decay * decays}
        | ({"orthogonal": turned} if muon else {})
        for (fresh, words, share, decays, _, turned, _), members in sorted(groups.items())
        for peak in [-share * (peaks.get((fresh, words)) or usual)]
    ]


def _head_rates(model: Model) -> dict[str, float]:
    """What heads say themselves of the rates they learn at."""
    heads: dict[str, Any] = {"head": model.head, **{f"others.{name}": head for name, head in model.others.items()}}
    return {f"{at}.{name}": rate for at, head in heads.items() for name, rate in head.rates().items()}


def inner_matrices(model: Model) -> set[int]:
    """Ids of the backbone's matrices from states to states: without tables, whose rows are tokens or places, without
    the scores over the vocabulary, and without vectors that lie as a matrix of one row or column (``ia3``)."""
    backbone: Any = model.backbone
    outer = {id(module.weight) for module in backbone.modules() if isinstance(module, nn.Embedding)}
    scores = backbone.get_output_embeddings()
    outer |= {id(parameter) for parameter in scores.parameters()} if scores is not None else set()
    return {id(p) for p in backbone.parameters() if p.ndim == 2 and min(p.shape) > 1} - outer


def _mesh(parameter: nn.Parameter) -> int:
    """Dimensions of the mesh that a weight is divided over, 0 of one that is not: an operation of torch's over many
    weights wants all of them divided over one."""
    return parameter.device_mesh.ndim if isinstance(parameter, DTensor) else 0


def new_parameters(model: Model) -> set[int]:
    """Ids of the parameters that no pretraining has made: the heads'."""
    return _new_in_first(model) | {id(parameter) for parameter in model.others.parameters()}


def _new_in_first(model: Model) -> set[int]:
    if model.head.writes:  # trained with the base
        return set()
    if model.head.gives != "logits":
        return {id(parameter) for parameter in model.head.parameters()}
    backbone: Any = model.backbone  # transformers' own head: what lies outside the pretrained body
    old = {id(parameter) for parameter in getattr(backbone, backbone.base_model_prefix).parameters()}
    return {id(parameter) for parameter in model.backbone.parameters()} - old


def lazy_table(model: Model, settings: LoopSettings) -> nn.Embedding | None:
    """The word-embedding table, where AdamW can update its rows as they are read: a plain one that nothing shares."""
    backbone: Any = model.backbone
    table = backbone.get_input_embeddings()
    if settings.optim != "adamw" or type(table) is not nn.Embedding:
        return None
    owners = sum(parameter is table.weight for module in model.modules() for parameter in module._parameters.values())
    plain = owners == 1 and table.weight.requires_grad and table.max_norm is None and not table.scale_grad_by_freq
    return table if plain else None


def make_optimizer(
    model: Model, settings: LoopSettings, *, rates: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """The optimizer that ``settings`` ask for, over `parameter_groups`; each keeps its peak rate under ``peak``."""
    groups = parameter_groups(model, settings, rates=rates)
    if settings.optim == "adafactor":
        return torch.optim.Adafactor(groups, lr=settings.learning_rate)
    kind = Muon if settings.optim == "muon" else torch.optim.AdamW
    return kind(
        groups,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )
