"""Weights files of hone's own: int8 layers, layers of other shapes than the configuration says, sparse matrices.

All are read alike. The backbone that ``config.json`` names is made without weights, its layers are replaced by ones
that the file's tensors fit (`hone.models.shapes`), and the tensors are put in; what is written sparse is whole in
memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hone.models.body import body_of
from hone.models.encoder import FAMILIES
from hone.models.int8 import Int8Linear, is_int8
from hone.models.shapes import is_shaped, require_fitting, reshape
from hone.models.sparse import PARTS, WORTH, compact, expanded, zero_share

INT8_FILE = "model.int8.safetensors"
SHAPED_FILE = "model.shaped.safetensors"


def own_file(folder: Path) -> Path | None:
    """The weights file of hone's own in ``folder``; None where its weights are as transformers reads them."""
    return next((folder / name for name in (INT8_FILE, SHAPED_FILE) if (folder / name).is_file()), None)


def shapes_in(file: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a weights file, of hone's own or transformers', without reading their content."""
    with safe_open(file, framework="pt") as held:
        names = list(held.keys())
        sparse = {name.removesuffix(".high") for name in names if name.endswith(".high")}
        parts = {f"{name}.{part}" for name in sparse for part in PARTS}
        shapes = {name: tuple(held.get_slice(name).get_shape()) for name in names if name not in parts}
        return shapes | {name: tuple(held.get_tensor(f"{name}.shape").tolist()[:2]) for name in sorted(sparse)}


def write_own(backbone: Any, folder: Path) -> bool:
    """Write configuration and weights where transformers could not read the weights back; whether that was so."""
    name = own_name(backbone)
    if name is None:
        return False
    state = {name: value.contiguous() for name, value in _each_once(backbone).items()}
    backbone.config.save_pretrained(folder)
    save_file(compact(state, _sparse(backbone)), folder / name)
    return True


def _each_once(backbone: Any) -> dict[str, Tensor]:
    """The tensors of ``backbone`` without those that are tied to another one."""
    tied = getattr(backbone, "all_tied_weights_keys", {})
    state: dict[str, Tensor] = backbone.state_dict()

    def again(name: str, value: Tensor) -> bool:
        place, _, last = name.rpartition(".")
        source = tied.get(f"{place}.weight", "").rpartition(".")[0]
        first = state.get(f"{source}.{last}")
        return first is not None and first.data_ptr() == value.data_ptr()

    return {name: value for name, value in state.items() if not again(name, value)}


def own_name(backbone: nn.Module) -> str | None:
    """What the weights file of ``backbone`` is called; None where transformers can read its weights."""
    if is_int8(backbone):
        return INT8_FILE
    return SHAPED_FILE if is_shaped(backbone) or _sparse(backbone) else None


def _sparse(backbone: nn.Module) -> list[str]:
    """Names of the weights of linear layers that are mostly zeros."""
    weights = [
        (f"{name}.weight", layer.weight)
        for name, layer in backbone.named_modules()
        if isinstance(layer, nn.Linear | Int8Linear)
    ]
    return [name for name, weight in weights if zero_share(weight) >= WORTH]


def read_own(file: Path, config: Any, auto_class: Any, *, new_head: bool) -> tuple[Any, set[str]]:
    """The backbone written into ``file``, and the names of the weights that the file lacks, which are new.

    Args:
        config: Its configuration, for the head that is wanted.
        auto_class: transformers' class for it, such as ``AutoModel``.
        new_head: Make a new head of transformers' own, whatever the file has.

    Raises:
        ValueError, RuntimeError, KeyError, OSError, SafetensorError: The file is damaged, or of another model.
    """
    with torch.device("meta"):
        backbone = auto_class.from_config(config, dtype=torch.float32)
    state = _renamed(expanded(load_file(file)), backbone, body_alone=new_head)
    reshape(backbone, state)
    if config.model_type in FAMILIES:
        body = body_of(backbone)
        width = config.hidden_size
        require_fitting(body.encoder.layer, width=width, size=width // config.num_attention_heads)
    wanting = set(backbone.load_state_dict(state, strict=False, assign=True).missing_keys)
    wanting -= _tied(backbone, wanting)
    _fill(backbone)
    return backbone.eval(), wanting


def _renamed(state: dict[str, Tensor], backbone: Any, *, body_alone: bool) -> dict[str, Tensor]:
    """``state`` under the names of ``backbone``: with or without a head, the body's names begin otherwise."""
    prefix = f"{backbone.base_model_prefix}."
    inner = any(name.startswith(prefix) for name in state)
    body = {name.removeprefix(prefix): value for name, value in state.items() if not inner or name.startswith(prefix)}
    if not hasattr(backbone, backbone.base_model_prefix):
        return body
    rest = {name: value for name, value in state.items() if inner and not name.startswith(prefix)}
    return {f"{prefix}{name}": value for name, value in body.items()} | ({} if body_alone else rest)


def _tied(backbone: Any, wanting: set[str]) -> set[str]:
    """Those of the weights ``wanting`` that are another one's, and have got it: its module, or the weight alone."""
    tied = {name: source for name, source in getattr(backbone, "all_tied_weights_keys", {}).items() if name in wanting}
    for name, source in tied.items():
        place, _, last = name.rpartition(".")
        above, _, here = place.rpartition(".")
        module, giver = backbone.get_submodule(place), backbone.get_submodule(source.rpartition(".")[0])
        if isinstance(module, nn.Embedding) and not isinstance(giver, nn.Embedding):
            setattr(backbone.get_submodule(above), here, giver)
        else:
            setattr(module, last, giver.weight)
    return set(tied)


def _fill(backbone: Any) -> None:
    """Give what is still without content its own: tensors that no file holds, and the new ones of a head."""
    for module in backbone.modules():
        empty = [*_on_meta(module._parameters.items()), *_on_meta(module._buffers.items())]
        for name, value in empty:
            fresh = torch.empty_like(value, device="cpu")
            setattr(module, name, nn.Parameter(fresh) if isinstance(value, nn.Parameter) else fresh)
        if empty:
            backbone._init_weights(module)


def _on_meta(entries: Iterable[tuple[str, Any]]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in entries if value is not None and value.is_meta]
