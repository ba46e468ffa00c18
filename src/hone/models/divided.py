"""Layers that several processes compute together: each has some of the heads and some of the inner units, and what they
make is added up (Shoeybi et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor as Divided
from torch.distributed.tensor import Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, ParallelStyle, RowwiseParallel, parallelize_module
from transformers.pytorch_utils import Conv1D

QUERIES_KEYS_VALUES = 3
WAYS = (2, 4, 8)  # within a machine of eight GPUs


class Plan(NamedTuple):
    """Which linear parts of a layer are divided how, by their names in it.

    Attributes:
        columns: By what they give: heads or inner units.
        rows: By what they read of those.
        joint: By what they give, which is queries, keys and values side by side.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    joint: tuple[str, ...] = ()


_BERT = Plan(
    ("attention.self.query", "attention.self.key", "attention.self.value", "intermediate.dense"),
    ("attention.output.dense", "output.dense"),
)
_LLAMA = Plan(
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"),
    ("self_attn.o_proj", "mlp.down_proj"),
)
_GPT2 = Plan(("mlp.c_fc",), ("attn.c_proj", "mlp.c_proj"), ("attn.c_attn",))
PLANS = {
    "bert": _BERT, "camembert": _BERT, "roberta": _BERT, "xlm-roberta": _BERT,
    "llama": _LLAMA, "mistral": _LLAMA, "qwen2": _LLAMA,
    "gpt2": _GPT2,
}  # fmt: skip


def undivided(config: Any, ways: int) -> str:
    """Why the layers of a model with this configuration cannot be divided in so many ways; empty where they can."""
    if config.model_type not in PLANS:
        return f"a base of type {config.model_type!r}, whose layers are not known here"
    heads = int(config.num_attention_heads)
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size
    sizes = {
        "attention heads": heads,
        "heads of keys and values": int(getattr(config, "num_key_value_heads", None) or heads),
        "inner units": int(inner),
    }
    return next((f"a base of {size} {what}" for what, size in sizes.items() if size % ways), "")


def ways_of(config: Any) -> tuple[int, ...]:
    """Which of `WAYS` the layers of a model with this configuration can be divided in."""
    return tuple(ways for ways in WAYS if not undivided(config, ways))


def blocks_of(backbone: nn.Module) -> Iterator[nn.Module]:
    """The layers of a transformers model, those of all its stacks: members of lists that are in no other list."""
    for child in backbone.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from blocks_of(child)


def divide(backbone: nn.Module, mesh: DeviceMesh) -> None:
    """Leave in each layer what this process has of it.

    Args:
        mesh: Of one dimension: those that compute together, all with the same weights now. `undivided` has nothing
            against so many.
    """
    config: Any = backbone.config
    plan = PLANS[config.model_type]
    for layer in blocks_of(backbone):
        styles: dict[str, ParallelStyle] = {}
        for name in (*plan.columns, *plan.rows, *plan.joint):
            parent_name, _, child = name.rpartition(".")
            parent, module = layer.get_submodule(parent_name), layer.get_submodule(name)
            if not isinstance(module, Conv1D):
                styles[name] = RowwiseParallel() if name in plan.rows else ColwiseParallel()
            elif name in plan.rows:
                setattr(parent, child, Rows(module, mesh))
            else:
                parts = QUERIES_KEYS_VALUES if name in plan.joint else 1
                setattr(parent, child, Columns(module, mesh, parts=parts))
                if parts > 1:
                    parent.split_size = module.nf // parts // mesh.size()
        parallelize_module(layer, mesh, styles)


class Columns(nn.Module):
    """Some of the columns of each of the ``parts`` that a layer of GPT-2 gives side by side.

    Its weight is that of the layer as [inputs, parts, columns], its bias [parts, columns], divided by columns.
    """

    def __init__(self, layer: Conv1D, mesh: DeviceMesh, *, parts: int) -> None:
        super().__init__()
        self._mesh = mesh
        self.weight = _parameter(layer.weight.unflatten(1, (parts, -1)), mesh, Shard(2))
        self.bias = _parameter(layer.bias.unflatten(0, (parts, -1)), mesh, Shard(1))

    def forward(self, states: Tensor) -> Tensor:
        """Of states [..., inputs] this process's columns of every part, [..., parts x own columns]."""
        everywhere = Divided.from_local(states, self._mesh, [Replicate()])
        states = everywhere.to_local(grad_placements=[Partial()])  # each gives back the share of its own columns
        return states @ _own(self.weight).flatten(1) + _own(self.bias).flatten()


class Rows(nn.Module):
    """The rows of a layer of GPT-2 that read what this process has; what all make of theirs is added up."""

    def __init__(self, layer: Conv1D, mesh: DeviceMesh) -> None:
        super().__init__()
        self._mesh = mesh
        self.weight = _parameter(layer.weight, mesh, Shard(0))
        self.bias = _parameter(layer.bias, mesh, Replicate())

    def forward(self, states: Tensor) -> Tensor:
        """Of states [..., own inputs] all outputs, [..., outputs]."""
        shares = Divided.from_local(states @ _own(self.weight), self._mesh, [Partial()])
        total = shares.redistribute(placements=[Replicate()]).to_local()
        return total + _own(self.bias)


def _parameter(value: Tensor, mesh: DeviceMesh, placement: Shard | Replicate) -> nn.Parameter:
    parts = distribute_tensor(value.detach().contiguous(), mesh, [placement], src_data_rank=None)
    return nn.Parameter(parts, requires_grad=value.requires_grad)


def _own(parameter: nn.Parameter) -> Tensor:
    assert isinstance(parameter, Divided)
    found: Tensor = parameter.to_local()
    return found
