"""Heads that write: transformers' own scores over the vocabulary, of the tokens after the places that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hone.models.heads import Gives, Head, Outputs

ASKED: ContextVar[list[Tensor] | None] = ContextVar("places whose next tokens are asked for", default=None)


class LanguageModel(Head):
    """Base of both. ``target_places``, int64 [n, 2], are the places asked for: which text of the batch, and which token
    of what the decoder reads there. The scores are float [n, vocabulary], of the token that comes after each.

    Args:
        start: Token that a decoder reads first; None: that of the base's configuration.
        forced: Token that every text begins with, where there is one.
    """

    gives: ClassVar[Gives] = "logits"
    axes: ClassVar[tuple[str, ...]] = ("places",)
    sparse: ClassVar[bool] = True
    writes: ClassVar[bool] = True

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        width: int,
        dropout: float,
        start: int | None = None,
        forced: int | None = None,
    ) -> None:
        super().__init__()
        self._start, self._forced = start, forced

    def adjust(self, backbone: Any) -> None:
        """Where the task has a start and a forced token of its own, the class alone writes by them, too."""
        if self._start is not None:
            backbone.config.decoder_start_token_id = self._start
            backbone.generation_config.decoder_start_token_id = self._start
        if self._forced is not None:
            backbone.generation_config.forced_bos_token_id = self._forced

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": states}  # [n, vocabulary]


class SequenceToSequence(LanguageModel):
    """An encoder reads ``input_ids``; a decoder writes ``target_ids``, int64 [batch, written], of which each token is
    told from those before it."""

    auto_class = "AutoModelForSeq2SeqLM"

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        written = batch["target_ids"]
        begin = written.new_full((len(written), 1), backbone.config.decoder_start_token_id)
        before = torch.cat([begin, written[:, :-1]], dim=1)
        return next_tokens(backbone, {**given, "decoder_input_ids": before}, batch["target_places"])

    def entries(self) -> tuple[str, ...]:
        return ("target_ids", "target_places")


class CausalLanguageModel(LanguageModel):
    """A decoder reads ``input_ids``, what is written among them."""

    auto_class = "AutoModelForCausalLM"

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        return next_tokens(backbone, given, batch["target_places"])

    def entries(self) -> tuple[str, ...]:
        return ("target_places",)


def next_tokens(backbone: Any, given: Mapping[str, Tensor], places: Tensor) -> Tensor:
    """What a language model of transformers' says comes after each of ``places``, int64 [n, 2]: float [n, vocabulary].

    Its last layer, whose outputs are the vocabulary, is applied there and nowhere else: all scores of a batch would be
    [batch, tokens, vocabulary].
    """
    asked = ASKED.set([places])
    hook = backbone.get_output_embeddings().register_forward_pre_hook(_choose)
    try:
        return backbone(**given, use_cache=False).logits[0]  # type: ignore[no-any-return]
    finally:
        hook.remove()
        ASKED.reset(asked)


def _choose(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
    """The states at the places that this thread's call asks for, once, as one row [1, n, width]: another thread may
    have the same hook there at the same time."""
    places = ASKED.get()
    if not places:
        return None
    at = places.pop()
    return (inputs[0][at[:, 0], at[:, 1]].unsqueeze(0),)
