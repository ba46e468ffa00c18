"""How an adapter lies in a folder: ``adapter_model.safetensors``, and where peft has the method, its configuration in
``adapter_config.json``, both as peft writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hone.core.errors import BundleError
from hone.core.settings import Settings
from hone.models.adapters.linear import PREFIX, tuned_modules
from hone.models.adapters.prompts import TABLE
from hone.models.adapters.table import METHODS
from hone.models.model import UNREADABLE, Model, own_parts

ADAPTER_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"


def adapter_state(model: Model) -> dict[str, Tensor]:
    """What an adapter file holds, by its names there: what the method learned, and a head of transformers' own."""
    found = {
        f"{PREFIX}{name}.{own}": value
        for name, layer in tuned_modules(model.backbone).items()
        for own, value in layer.saved().items()
    }
    for name, part in own_parts(model).items():
        found |= {f"{PREFIX}{name}.{own}": value for own, value in part.named_parameters()}
    if model.before is not None:
        found[TABLE] = model.before.table()
    return found


def _places(model: Model) -> dict[str, Tensor]:
    """Where the tensors of an adapter file go."""
    found: dict[str, Tensor] = {
        f"{PREFIX}{name}.{own}": value
        for name, layer in tuned_modules(model.backbone).items()
        for own, value in layer.own()
    }
    for name, part in own_parts(model).items():
        found |= {f"{PREFIX}{name}.{own}": value for own, value in part.named_parameters()}
    return found if model.before is None else {**found, TABLE: model.before.plain}


def write_adapter(model: Model, folder: Path, *, base: str) -> list[str]:
    """Write the adapter that is in ``model``; returns the names of the files.

    Args:
        base: Hub id of the base; empty where it has none.
    """
    assert model.tuning is not None
    name, settings = model.tuning
    method = METHODS[name]
    state = {name: value.detach().cpu().contiguous() for name, value in adapter_state(model).items()}
    save_file(state, folder / ADAPTER_FILE)
    if not method.peft:
        return [ADAPTER_FILE]
    config = {
        "base_model_name_or_path": base or None,
        "task_type": None,
        "inference_mode": True,
        **method.peft_config(settings, model),
    }
    if own_parts(model):
        config["modules_to_save"] = list(own_parts(model))
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return [ADAPTER_FILE, CONFIG_FILE]


def put_adapter(model: Model, name: str, settings: Settings, file: Path) -> None:
    """Put the adapter in ``file``, tuned by the method ``name``, into a model of its base.

    Raises:
        BundleError: The file is damaged, or does not fit the base or the method.
    """
    method = METHODS[name]
    try:
        state = load_file(file)
        method.attach(model, settings, state)
        model.tuning = (name, settings)
        _copy(state, _places(model))
    except UNREADABLE as error:
        raise BundleError(f"the adapter in {file} does not fit: {error}", code="bundle.adapter") from error
    model.eval()


def _copy(state: Mapping[str, Tensor], into: Mapping[str, Any]) -> None:
    if state.keys() != into.keys():
        odd = sorted(state.keys() ^ into.keys())
        raise ValueError(f"{len(odd)} tensors are missing or unknown, {odd[0]} among them")
    with torch.no_grad():
        for name, value in state.items():
            if into[name].shape != value.shape:
                raise ValueError(f"{name} has the shape {tuple(value.shape)}, not {tuple(into[name].shape)}")
            into[name].copy_(value)
