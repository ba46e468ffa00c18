"""transformers' own head over the vocabulary, applied where tokens are asked for and nowhere else: all scores of a
batch would be [batch, tokens, vocabulary]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from hone.core.errors import RecipeError
from hone.models.heads import Gives, Head, Outputs


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
    states = getattr(backbone, backbone.base_model_prefix)(**given).last_hidden_state
    found = states[places[:, 0], places[:, 1]]  # [n, width]
    if hasattr(backbone, "vocab_projector"):  # DistilBERT's head is no module of its own
        inner = backbone.activation(backbone.vocab_transform(found))
        return backbone.vocab_projector(backbone.vocab_layer_norm(inner))  # type: ignore[no-any-return]
    heads = [child for name, child in backbone.named_children() if name != backbone.base_model_prefix]
    heads = [head for head in heads if not isinstance(head, nn.modules.loss._Loss)]
    if len(heads) != 1:
        raise RecipeError(
            f"the base is a {backbone.config.model_type}, whose head over the vocabulary is not known here",
            expected="a base like BERT, RoBERTa or DistilBERT",
            code="base.no-masked-head",
        )
    return heads[0](found)  # type: ignore[no-any-return]
