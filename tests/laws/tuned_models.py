"""A tiny model tuned by any method, every learned weight drawn at random, written as a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.core.choice import decided, opened
from hone.models.adapters.adalora import AdaLoraLinear
from hone.models.adapters.held_base import hold
from hone.models.adapters.linear import tuned_modules
from hone.models.adapters.table import METHODS
from hone.models.base import Base, resolve_base
from hone.models.grouped import Bits
from hone.models.model import Model, build_model
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.settings import TextClassificationSettings
from hone.train.finetune import frozen_layers, tune
from hone.train.settings import FinetuneSettings

TEXTS = ["i want my money back", "reset the password please", "the screen is broken", "printer broken again now"]
LABELS = ("broken", "password", "refund")
SMALL: Mapping[str, dict[str, Any]] = {
    "houlsby": {"bottleneck_size": 8},
    "p-tuning": {"num_virtual_tokens": 4, "encoder_hidden_size": 8},
    "p-tuning-v2": {"num_virtual_tokens": 4},
    "pfeiffer": {"bottleneck_size": 8, "non_linearity": "gelu"},
    "prefix": {"num_virtual_tokens": 4, "encoder_hidden_size": 8},
    "prompt": {"num_virtual_tokens": 4},
    "top-n": {"layers": 1},
}  # where the defaults ask for more than a tiny base has


class Tuned(NamedTuple):
    model: Model
    task: Task
    bundle: Bundle
    base: Base


def choice(name: str, **settings: Any) -> dict[str, Any]:
    """The decided method, with settings that suit a tiny base."""
    return decided({"name": name, **SMALL.get(name, {}), **settings}, METHODS)


def tuned(
    base: Path, method: Mapping[str, Any], folder: Path, *, pooling: str = "mean", bits: Bits | None = None
) -> Tuned:
    """A model of ``base``, held in ``bits``, whose learned weights are random, and the bundle it was written as."""
    settings = TextClassificationSettings.model_validate({"pooling": pooling, "max_length": 32})
    task = make_task("text-classification", settings, labels=LABELS, folder=base)
    torch.manual_seed(3)
    model = build_model(base, task.head, dropout=0.0)
    if bits is not None:
        hold(model, bits)
    tune(model, chosen := FinetuneSettings(method=dict(method)))
    if layers := frozen_layers(chosen, model):
        model.freeze(layers)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for name, layer in tuned_modules(model.backbone).items():
            if isinstance(layer, AdaLoraLinear):
                layer.lora_E[2:5] = 0.0  # ranks that were taken away
                if name.startswith(("encoder.layer.0", "bert.encoder.layer.0")) and name.endswith("value"):
                    layer.lora_E.zero_()  # all of them
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    found = resolve_base(str(base))
    bundle = write_model(folder / "bundle", model, task, lineage=lineage, base=found)
    bundle.base = str(base)
    return Tuned(model, task, bundle, found)


def name_of(method: Mapping[str, Any]) -> str:
    return str(opened(method, METHODS)[0].name)
