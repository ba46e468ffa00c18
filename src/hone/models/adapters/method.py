"""What a tuning method is: which weights learn, and what it puts into a model beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.models.body import body_of
from hone.models.held import HeldLinear
from hone.models.model import Model, own_parts
from hone.models.nets import class_for, read_config
from hone.models.quiet import quiet_loading
from hone.models.shapes import linear

Layer: TypeAlias = nn.Linear | Conv1D | HeldLinear


@dataclass(frozen=True)
class Shapes:
    """What a base looks like, by its configuration alone.

    Attributes:
        config: Of transformers.
        linear: Name of each linear layer below the pooler -> [outputs, inputs].
        biases: How many numbers all biases below the pooler are.
    """

    config: Any
    linear: Mapping[str, tuple[int, int]]
    biases: int = 0

    @property
    def layers(self) -> int:
        """Transformer layers."""
        return int(getattr(self.config, "num_hidden_layers", 0))


def shapes_of(folder: Path) -> Shapes:
    """The shapes of the base in ``folder``; no weight is read."""
    with quiet_loading(), torch.device("meta"):
        config = read_config(folder)
        backbone = class_for(config, "AutoModel").from_config(config)
    named = [(name, value) for name, value in backbone.named_parameters() if not name.startswith("pooler.")]
    return Shapes(
        config,
        {name: sizes_of(layer) for name, layer in linear_layers(backbone).items()},
        sum(value.numel() for name, value in named if name.endswith("bias")),
    )


def linear_layers(backbone: Any) -> dict[str, Layer]:
    """The linear layers of the pretrained part by their names in ``backbone``, its pooler and what scores a vocabulary
    left out. Those of GPT-2 are `Conv1D`, whose weight is [inputs, outputs]."""
    body, scores = body_of(backbone), backbone.get_output_embeddings()
    prefix = "" if body is backbone else f"{backbone.base_model_prefix}."
    return {
        f"{prefix}{name}": layer
        for name, layer in body.named_modules()
        if isinstance(layer, nn.Linear | Conv1D | HeldLinear) and layer is not scores and not name.startswith("pooler.")
    }


def sizes_of(layer: Layer) -> tuple[int, int]:
    """How many outputs and inputs it has."""
    if isinstance(layer, nn.Linear | HeldLinear):
        return layer.out_features, layer.in_features
    inputs, outputs = layer.weight.shape
    return outputs, inputs


def is_turned(layer: Layer) -> bool:
    """Whether its weights lie [inputs, outputs] in the base."""
    return isinstance(layer, Conv1D) or (isinstance(layer, HeldLinear) and layer.turned)


def turned_back(weight: Tensor, bias: Any, *, turned: bool) -> nn.Linear | Conv1D:
    """A layer of a weight float32 [outputs, inputs] and a bias, of the kind that lies so in the base."""
    made = linear(weight, bias)
    if not turned:
        return made
    back = Conv1D(*weight.shape)
    back.weight = nn.Parameter(made.weight.detach().t().contiguous())
    back.bias = made.bias
    return back


class Method:
    """Everything learns. An entry of the table overrides what it needs.

    Attributes:
        name: In recipes.
        settings: Its settings model; where peft has a name for a setting, it is that name.
        adapter: Whether what it learns stands beside the weights of the base, which stay as they are: its bundles hold
            that alone.
        merges: Whether that can be worked into the weights of the base.
        not_merged: Why not.
        peft: Whether peft opens what it writes.
        own_head: Whether it goes with heads of hone's own alone.
        trains_with_peft: Whether tuning by it, unlike answering, takes the package.
        divides: Whether it does the same where each process has but a part of every weight.
        excludes: What a technique of the loop may not do beside it (see `hone.train.techniques.DOES`) -> why.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Settings]]
    adapter: ClassVar[bool] = False
    merges: ClassVar[bool] = False
    not_merged: ClassVar[str] = "it has no adapter"
    peft: ClassVar[bool] = False
    own_head: ClassVar[bool] = False
    trains_with_peft: ClassVar[bool] = False
    divides: ClassVar[bool] = False
    excludes: ClassVar[Mapping[str, str]] = {}

    def faults(self, settings: Any, shapes: Shapes) -> list[Fault]:
        """What of the settings this base cannot give; a fault's field is a key of them."""
        return []

    def frozen(self, settings: Any, layers: int) -> int | None:
        """How many of a base's lowest layers learn nothing, where the method says so."""
        return None

    def learning(self, settings: Any, shapes: Shapes) -> int | None:
        """Weights that learn besides the head; None: as many as the layers that are not frozen have."""
        return None

    def decided(self, settings: Any, model: Model) -> Any:
        """``settings`` with what is left to the base filled in: what the bundle keeps."""
        return settings

    def attach(self, model: Model, settings: Any, state: Mapping[str, Tensor] | None = None) -> None:
        """Make ``model`` ready to learn by this method, or to take the adapter ``state``.

        Args:
            settings: Decided ones.
            state: Tensors of an adapter, whose shapes are those that are made; their content is not read.
        """

    def positions(self, settings: Any) -> int:
        """Positions of the base that are not left to texts."""
        return 0

    def peft_config(self, settings: Any, model: Model) -> dict[str, Any]:
        """What peft's ``adapter_config.json`` says of it, where peft has it."""
        raise TypeError(f"peft has no method {self.name}")


def freeze_body(model: Model) -> None:
    """Let nothing but the head learn: hone's own, or transformers' own with its pooler."""
    model.backbone.requires_grad_(False)
    for part in own_parts(model).values():
        part.requires_grad_(True)


def matched(names: Mapping[str, Any], target: str) -> list[str]:
    """Those of ``names`` that peft takes ``target`` for: equal, or ending in it after a dot."""
    return [name for name in names if name == target or name.endswith(f".{target}")]


def replace(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` in the place ``name``, dotted, of ``root``."""
    parent, _, last = name.rpartition(".")
    setattr(root.get_submodule(parent), last, module)
