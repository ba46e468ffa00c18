"""Optimizers and which parameters they treat how."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hone.models.model import Model
from hone.train.settings import FinetuneSettings


def parameter_groups(model: Model, settings: FinetuneSettings) -> list[dict[str, object]]:
    """Groups by peak rate (backbone, new head) and decay: biases, norms and other vectors have none."""
    new = {id(parameter) for parameter in model.head.parameters()}
    if model.head.gives == "logits":  # transformers' own head: what lies outside the pretrained body
        backbone: Any = model.backbone
        body = getattr(backbone, backbone.base_model_prefix)
        old = {id(parameter) for parameter in body.parameters()}
        new = {id(parameter) for parameter in model.backbone.parameters()} - old
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in new, parameter.ndim > 1), []).append(parameter)
    rates = {False: settings.learning_rate, True: settings.head_learning_rate or settings.learning_rate}
    return [
        {"params": members, "lr": rates[fresh], "peak": rates[fresh], "weight_decay": settings.weight_decay * decays}
        for (fresh, decays), members in sorted(groups.items())
    ]


def make_optimizer(model: Model, settings: FinetuneSettings) -> torch.optim.Optimizer:
    """The optimizer that ``settings`` ask for; each group keeps its peak rate under ``peak``."""
    groups = parameter_groups(model, settings)
    if settings.optim == "adafactor":
        return torch.optim.Adafactor(groups, lr=settings.learning_rate)
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )
