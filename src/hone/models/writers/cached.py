"""Writers over transformers' own models and caches: any model that generates there, at that speed.

What they are given and what they give is on the CPU, where searches choose; in between it is where the model is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from hone.core.errors import BundleError
from hone.models.writers.writer import Beginning, Past

NEEDED = ("attention_mask", "past_key_values")  # of a causal model's forward
PLACED = "position_ids"  # where it takes these, it can be told where a token stands; else it counts all before it
WRITING = "a causal model that keeps keys and values of what it read (past_key_values) under an attention_mask"


class CausalState:
    """State of a model that continues its prompt.

    Between a prompt and what is written after it the cache has the padding of longer prompts beside it, which
    ``mask`` leaves out; ``places``, int64 [rows], where each row's next token stands, are counted without it.
    """

    def __init__(self, cache: DynamicCache, mask: Tensor, hidden: Tensor | None) -> None:
        self.cache = cache
        self.mask = mask  # int64 [rows, places]
        self.places = mask.sum(dim=1)
        self.hidden = hidden
        self.shows = hidden is not None  # whether later steps leave it too

    def __len__(self) -> int:
        return len(self.mask)

    def take(self, index: Tensor) -> None:
        self.cache.reorder_cache(index)
        self.hidden = None if self.hidden is None else self.hidden[index]
        index = index.to(self.mask.device)
        self.mask, self.places = self.mask[index], self.places[index]

    def join(self, other: CausalState) -> None:
        places = max(int(self.places.max()), int(other.places.max()))
        orders = [_packed(state.mask, places) for state in (self, other)]
        for own, its in zip(self.cache.layers, other.cache.layers, strict=True):
            for name in ("keys", "values"):
                parts = [getattr(layer, name) for layer in (own, its)]
                setattr(own, name, torch.cat([_placed(part, order) for part, order in zip(parts, orders, strict=True)]))
        self.places = torch.cat([self.places, other.places])
        self.mask = (torch.arange(places, device=self.mask.device) < self.places[:, None]).long()
        self.hidden = None  # of unlike lengths; the next step makes it


def _packed(mask: Tensor, places: int) -> Tensor:
    """For each of ``places`` of a row the place that its content comes from, int64 [rows, places], tokens first."""
    order = mask.argsort(dim=1, descending=True, stable=True)[:, :places]
    return torch.nn.functional.pad(order, (0, places - order.shape[1]))


def _placed(part: Tensor, order: Tensor) -> Tensor:
    """``part`` [rows, heads, places, size] with its places in ``order``."""
    return part.gather(2, order[:, None, :, None].expand(-1, part.shape[1], -1, part.shape[3]))


class CausalWriter:
    """A transformers model that continues its prompt, such as ``GPT2LMHeadModel``, in evaluation mode.

    Raises:
        BundleError: The model keeps no cache of keys and values.
    """

    before = 0
    start: int | None = None

    def __init__(self, model: Any) -> None:
        takes = inspect.signature(model.forward).parameters
        if lacking := lacked_by(model.forward):
            raise BundleError(
                f"{type(model).__name__} for writing text, whose forward takes no {' and no '.join(lacking)}",
                expected=WRITING,
                fix="Take a base of another architecture, such as gpt2 or llama.",
                code="writer.unsupported",
            )
        config = model.config.get_text_config(decoder=True)
        self.model = model.eval()
        self.most_tokens: int | None = getattr(config, "max_position_embeddings", None)
        self.most_prompt_tokens: int | None = self.most_tokens
        self.vocabulary: int = config.vocab_size
        self._placed = PLACED in takes
        self.pads: bool = self._placed and not _is_windowed(config)
        self.joins = self.pads
        self._keeps = "logits_to_keep" in takes

    @torch.inference_mode()
    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[CausalState, Tensor]:
        cache = DynamicCache() if self.pads else DynamicCache(config=self.model.config)
        return self._begin(cache, input_ids, attention_mask, hidden=hidden)

    @torch.inference_mode()
    def begin_after(
        self, past: Past, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False
    ) -> tuple[CausalState, Tensor]:
        cache = DynamicCache()
        for layer, pair in enumerate(past):
            cache.update(*(part.expand(len(input_ids), *part.shape) for part in pair), layer)
        return self._begin(cache, input_ids, attention_mask, hidden=hidden)

    def past_of(self, state: CausalState, *, tokens: int) -> Past:
        return tuple((layer.keys[0, :, :tokens], layer.values[0, :, :tokens]) for layer in state.cache.layers)

    def _begin(
        self, cache: DynamicCache, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool
    ) -> tuple[CausalState, Tensor]:
        """Read prompts after what the cache has."""
        before, device = cache.get_seq_length(), self.model.device
        input_ids, attention_mask = input_ids.to(device), attention_mask.to(device)
        last = attention_mask.sum(dim=1) - 1
        kept, at = torch.unique(last, return_inverse=True) if self._keeps else (None, last)
        mask = torch.cat([attention_mask.new_ones(len(input_ids), before), attention_mask], dim=1)
        found = self.model(
            input_ids=input_ids,
            attention_mask=mask,
            **self._placing(torch.arange(before, mask.shape[1], device=device).expand_as(input_ids)),
            past_key_values=cache,
            use_cache=True,
            output_hidden_states=hidden,
            **({} if kept is None else {"logits_to_keep": kept}),
        )
        state = CausalState(cache, mask, found.hidden_states[-1].cpu() if hidden else None)
        return state, found.logits[torch.arange(len(at), device=at.device), at].float().cpu()

    @torch.inference_mode()
    def step(self, state: CausalState, tokens: Tensor) -> Tensor:
        state.mask = torch.cat([state.mask, state.mask.new_ones(len(state), 1)], dim=1)
        found = self.model(
            input_ids=tokens[:, None].to(self.model.device),
            attention_mask=state.mask,
            **self._placing(state.places[:, None]),
            past_key_values=state.cache,
            use_cache=True,
            output_hidden_states=state.shows,
        )
        state.places = state.places + 1
        state.hidden = found.hidden_states[-1].cpu() if state.shows else None
        scores: Tensor = found.logits[:, -1].float().cpu()
        return scores

    def _placing(self, places: Tensor) -> dict[str, Tensor]:
        """Where tokens stand, int64 [rows, tokens], for a model that is told."""
        return {PLACED: places} if self._placed else {}


def lacked_by(forward: Callable[..., Any]) -> list[str]:
    """What the forward of a model would have to take for it to write."""
    return [name for name in NEEDED if name not in inspect.signature(forward).parameters]


def keeps_all(kind: Any, config: Any) -> bool:
    """Whether models of a class can go on from keys and values that are given to them: they are told where tokens
    stand, and look at all of the cache."""
    placed = PLACED in inspect.signature(kind.forward).parameters
    return placed and not lacked_by(kind.forward) and not _is_windowed(config)


def _is_windowed(config: Any) -> bool:
    """Whether a layer sees the last places of the cache alone, of which padding would take some."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if not hasattr(config, "layer_types") else None
    return kinds != {"full_attention"} or window is not None


class SourceState:
    """State of an encoder-decoder: what was read of the sources, and of what is written."""

    def __init__(self, cache: EncoderDecoderCache, encoded: Any, mask: Tensor) -> None:
        self.cache = cache
        self.encoded = encoded
        self.mask = mask  # int64 [rows, source tokens]
        self.hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.mask)

    def take(self, index: Tensor) -> None:
        self.cache.reorder_cache(index)
        self.hidden = None if self.hidden is None else self.hidden[index]
        index = index.to(self.mask.device)
        self.encoded.last_hidden_state = self.encoded.last_hidden_state[index]
        self.mask = self.mask[index]

    def join(self, other: SourceState) -> None:
        raise TypeError("rows of this writer cannot be joined: they are all at one place")


class SourceWriter:
    """A transformers encoder-decoder, such as ``T5ForConditionalGeneration``, in evaluation mode.

    Args:
        before: What stands before every source.

    Raises:
        BundleError: Its configuration does not say what token a text starts with.
    """

    pads = True
    joins = False  # the place of a token is read off the cache, one for all rows

    def __init__(self, model: Any, before: Beginning | None = None) -> None:
        config = model.config
        start = getattr(config, "decoder_start_token_id", None)
        if start is None:
            raise BundleError(
                f"a configuration of type {config.model_type!r} without decoder_start_token_id",
                expected="the token that texts start with",
                fix="Set it in the base's config.json.",
                code="writer.no-start",
            )
        self.model = model.eval()
        self.start: int | None = start
        self._start: int = start
        self.most_tokens: int | None = getattr(config, "max_position_embeddings", None)
        self.most_prompt_tokens: int | None = self.most_tokens
        if self.most_tokens is not None and before is not None:
            self.most_prompt_tokens = self.most_tokens - before.size
        self.vocabulary: int = config.vocab_size
        self._before = before

    @torch.inference_mode()
    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[SourceState, Tensor]:
        device = self.model.device
        given = {"input_ids": input_ids.to(device), "attention_mask": attention_mask.to(device)}
        if self._before is not None:
            given = self._before.given(self.model, given)
        encoded = self.model.get_encoder()(**given, return_dict=True)
        state = SourceState(EncoderDecoderCache(DynamicCache(), DynamicCache()), encoded, given["attention_mask"])
        return state, self._read(state, torch.full_like(input_ids[:, 0], self._start), hidden=hidden)

    @torch.inference_mode()
    def step(self, state: SourceState, tokens: Tensor) -> Tensor:
        return self._read(state, tokens, hidden=state.hidden is not None)

    def _read(self, state: SourceState, tokens: Tensor, *, hidden: bool) -> Tensor:
        found = self.model(
            encoder_outputs=state.encoded,
            attention_mask=state.mask,
            decoder_input_ids=tokens[:, None].to(self.model.device),
            past_key_values=state.cache,
            use_cache=True,
            output_hidden_states=hidden,
        )
        state.hidden = found.decoder_hidden_states[-1].cpu() if hidden else None
        scores: Tensor = found.logits[:, -1].float().cpu()
        return scores
