"""A base with more layers than the one it begins as: `grow_base`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.models.architectures import GrowthSettings
from hone.models.base import Base, digest_base
from hone.models.new_base import made_once
from hone.models.plain_base import plain_config, plain_model
from hone.models.quiet import quiet_loading
from hone.models.restacked import restacked
from hone.models.tokenizer import load_tokenizer

VERSION = 1  # raised whenever another base is made of the same


@dataclass(frozen=True)
class Family:
    """Where the layers of models of one kind are, and what of a layer adds to its states.

    Attributes:
        stacks: Where the layers are, under the model's own prefix -> what the configuration calls their number.
        adds: The last linear map of each part of a layer, whose result is added to the states.
        norms: Of layers that normalize what they give, the norms in their order, that of the whole layer last; none of
            layers that normalize what each part reads.
    """

    stacks: Mapping[str, str]
    adds: tuple[str, ...]
    norms: tuple[str, ...] = ()


BERT = Family(
    {"encoder.layer": "num_hidden_layers"},
    ("attention.output.dense", "output.dense"),
    ("attention.output.LayerNorm", "output.LayerNorm"),
)
BART = Family(
    {"encoder.layers": "encoder_layers", "decoder.layers": "decoder_layers"},
    ("self_attn.out_proj", "encoder_attn.out_proj", "fc2"),
    ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
)
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("bert", "camembert", "electra", "roberta", "xlm-roberta"), BERT),
    "distilbert": Family(
        {"transformer.layer": "n_layers"},
        ("attention.out_lin", "ffn.lin2"),
        ("sa_layer_norm", "output_layer_norm"),
    ),
    "bart": BART,
    "gpt2": Family({"h": "n_layer"}, ("attn.c_proj", "mlp.c_proj")),
    "llama": Family({"layers": "num_hidden_layers"}, ("self_attn.o_proj", "mlp.down_proj")),
    **dict.fromkeys(
        ("mt5", "t5"),
        Family(
            {"encoder.block": "num_layers", "decoder.block": "num_decoder_layers"},
            ("SelfAttention.o", "EncDecAttention.o", "DenseReluDense.wo"),
        ),
    ),
}


def grow_base(base: Base, settings: GrowthSettings, *, folder: Path) -> None:
    """Write into ``folder`` what `with_more_layers` makes of the base.

    Raises:
        RecipeError: As that, or transformers does not open the base.
        BundleError: It cannot be opened.
    """
    _family(plain_config(base, what="grown"), base.name)
    model = plain_model(base)
    with quiet_loading():
        with_more_layers(model, settings, name=base.name).save_pretrained(folder)
    load_tokenizer(base.folder).save(folder)


def with_more_layers(model: Any, settings: GrowthSettings, *, name: str) -> Any:
    """A new model with ``settings.layers`` layers in each stack, of which those it lacks are copies.

    ``stack`` puts as many of its upper layers as it lacks over it again (Gong et al. 2019); ``interleave`` puts copies
    behind the layers that they are of. ``identity`` does as ``interleave``, and a copy adds nothing to the states yet:
    the linear maps that end its parts are zero, so the new base tells what the old one told (Chen et al. 2016), and
    learns from the first step on, for those maps have derivatives. Where layers normalize what they give, the scale and
    shift of that go to the last copy, before which states then are normalized, and stay so.

    Raises:
        RecipeError: The base is of another kind, or has as many layers already.
    """
    family = _family(model.config, name)
    keys = {_under(model, stack): key for stack, key in family.stacks.items()}
    taken = {stack: layers_of(int(getattr(model.config, key)), settings, name=name) for stack, key in keys.items()}
    made = restacked(model, taken, keys=keys)
    if settings.how == "identity":
        for stack, layers in taken.items():
            _add_nothing(made.get_submodule(stack), layers, family)
    return made


def layers_of(had: int, settings: GrowthSettings, *, name: str) -> list[int]:
    """Which of ``had`` layers stand where in the grown base."""
    wanted = settings.layers
    if wanted <= had:
        raise RecipeError(
            f"base: {{grow: {name}, layers: {wanted}}}, and a stack of it has {had} layers",
            expected=f"more than {had}",
            fix="To have fewer, compress a bundle: hone compress.",
            code="base.grow-layers",
        )
    if settings.how == "stack":
        return [*list(range(had)) * (wanted // had), *range(had - wanted % had, had)]
    return [i * had // wanted for i in range(wanted)]


def _family(config: Any, name: str) -> Family:
    found = FAMILIES.get(config.model_type)
    if found is None:
        raise RecipeError(
            f"the base {name}, a {config.model_type}, whose layers are not known here",
            expected=f"one of {', '.join(sorted(FAMILIES))}",
            code="base.grow-kind",
        )
    return found


def _under(model: Any, stack: str) -> str:
    """Where a stack is in a model, which may be one under a head."""
    prefix = f"{model.base_model_prefix}." if hasattr(model, model.base_model_prefix) else ""
    return next(place for place in (f"{prefix}{stack}", stack) if _has(model, place))


def _has(model: Any, place: str) -> bool:
    try:
        return isinstance(model.get_submodule(place), nn.ModuleList)
    except AttributeError:
        return False


def _add_nothing(stack: Any, layers: Sequence[int], family: Family) -> None:
    """Have every layer that is one more copy of the one below pass its states on."""
    with torch.no_grad():
        for at in range(1, len(layers)):
            if layers[at] != layers[at - 1]:
                continue
            for name, module in stack[at].named_modules():
                if name.endswith(family.adds):
                    module.weight.zero_()
                    if getattr(module, "bias", None) is not None:
                        module.bias.zero_()
            _normalized_before(stack[at - 1], stack[at], family)


def _normalized_before(lower: Any, copy: Any, family: Family) -> None:
    """Move the scale and the shift of what ``lower`` gives to ``copy``. Each norm in between is given what has variance
    one already, of which it makes a little less, by ``eps``: its scale takes that back."""
    names = [name for name in family.norms if hasattr(copy, name.partition(".")[0])]
    if not names:
        return
    given = lower.get_submodule(names[-1])
    scale, shift = given.weight.clone(), given.bias.clone()
    given.weight.fill_(1.0)
    given.bias.zero_()
    for name in names:
        norm = copy.get_submodule(name)
        norm.weight.fill_(math.sqrt(1 + norm.eps))
        norm.bias.zero_()
    last = copy.get_submodule(names[-1])
    last.weight.mul_(scale)
    last.bias.copy_(shift)


def grown(base: Base, settings: GrowthSettings, *, cache: Path) -> Base:
    """The base that `grow_base` makes; from the cache where it has been made before.

    Raises:
        HoneError: As `grow_base`, or the cache cannot be written to.
    """
    made = {"grows": base.digest, **settings.model_dump(mode="json", exclude={"grow"})}
    folder = cache / digest_value({**made, "version": VERSION})
    made_once(folder, lambda place: grow_base(base, settings, folder=place))
    return Base(f"{base.name} grown", folder, digest_base(folder), made=made)
