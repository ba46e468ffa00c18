"""transformers' own head over the vocabulary, applied where tokens are asked for and nowhere else: all scores of a
batch would be [batch, tokens, vocabulary]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM

from hone.core.errors import RecipeError
from hone.models.heads import Gives, Head, Outputs
from hone.models.quiet import quiet_loading

KNOWN = "a base like BERT, RoBERTa, DistilBERT, DeBERTa, ELECTRA or ModernBERT"  # of which the head is known
# Modules that one after the other are a head: of ELECTRA and ConvBERT, and of ModernBERT.
CHAINS = (("generator_predictions", "generator_lm_head"), ("head", "decoder"))
OTHERS = ("embedding_decoder", "pred_layer")  # single modules that take or give other things than states and scores


class MaskedTokens(Head):
    """transformers' own masked-language-model head. ``mask_places``, int64 [n, 2], are the places asked for: which text
    of the batch, and which token of it. The scores are [n, vocabulary]."""

    auto_class = "AutoModelForMaskedLM"
    gives: ClassVar[Gives] = "logits"
    axes: ClassVar[tuple[str, ...]] = ("places",)
    sparse: ClassVar[bool] = True

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": states}  # [n, vocabulary]

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return scores_at(backbone, given, batch["mask_places"])

    def entries(self) -> tuple[str, ...]:
        return ("mask_places",)


def scores_at(backbone: Any, given: Mapping[str, Tensor], places: Tensor) -> Tensor:
    """What a masked language model of transformers' says of ``places``, int64 [n, 2]: float [n, vocabulary].

    Raises:
        RecipeError: The parts of its head are not known here.
    """
    head = _head_of(backbone)
    if head is None:
        raise RecipeError(
            f"the base is a {backbone.config.model_type}, whose head over the vocabulary is not known here",
            expected=KNOWN,
            code="base.no-masked-head",
        )
    states = getattr(backbone, backbone.base_model_prefix)(**given).last_hidden_state
    return head(states[places[:, 0], places[:, 1]])  # of states [n, width]


def knows_head(config: Any) -> bool:
    """Whether the head over the vocabulary of a base with this configuration is known here; of a class that cannot be
    made without weights `scores_at` tells."""
    try:
        with quiet_loading(), torch.device("meta"):
            backbone = AutoModelForMaskedLM.from_config(config)
    except ValueError:  # transformers knows none
        return False
    except (NotImplementedError, RuntimeError):
        return True
    return _head_of(backbone) is not None


def _head_of(backbone: Any) -> Callable[[Tensor], Tensor] | None:
    """What makes scores [n, vocabulary] of states [n, width]; None where that is not known."""
    if hasattr(backbone, "vocab_projector"):  # DistilBERT's
        inner = (backbone.vocab_transform, backbone.activation, backbone.vocab_layer_norm, backbone.vocab_projector)
        return partial(_through, inner)
    if hasattr(backbone, "lm_predictions"):  # DeBERTa's, where it is not the one of BERT
        return lambda states: cast(Tensor, backbone.lm_predictions(states, backbone.get_input_embeddings()))
    parts = {name: child for name, child in backbone.named_children() if name != backbone.base_model_prefix}
    names = tuple(name for name, part in parts.items() if not isinstance(part, nn.modules.loss._Loss))
    if names in CHAINS or (len(names) == 1 and names[0] not in OTHERS):
        return partial(_through, [parts[name] for name in names])
    return None


def _through(modules: Sequence[Callable[[Tensor], Tensor]], states: Tensor) -> Tensor:
    for module in modules:
        states = module(states)
    return states
