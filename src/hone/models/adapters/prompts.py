"""What stands before every text.

``prompt`` (Lester et al. 2021) and ``p-tuning`` (Liu et al. 2021) learn embeddings of tokens that no text has,
``prefix`` (Li and Liang 2021) and ``p-tuning-v2`` (Liu et al. 2022) keys and values in every layer. What a bundle keeps
is a table; while it is learned, ``p-tuning`` and ``prefix`` have a network of peft's behind it. As in peft, token types
are left out: both texts of a pair have the same. In an encoder-decoder the embeddings stand before the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from hone.core.errors import Fault, RecipeError
from hone.core.settings import Settings
from hone.models.adapters.method import Method, Shapes, freeze_body
from hone.models.encoder import FAMILIES
from hone.models.model import Model, stack_of
from hone.models.writers.cached import keeps_all
from hone.models.writers.writer import Past

TABLE = "prompt_embeddings"  # peft's name for it
SCALED_LOOKUPS = ("blenderbot-small", "marian", "mvp", "pegasus")  # encoders that scale what they look up and no more
Count = Annotated[int, Field(ge=1)]


class Before(nn.Module):
    """What stands before every text: a table [virtual tokens, values], learned as it is or made by a network.

    Args:
        table: Its first values.
        network: What makes the table of ids int64 [1, virtual tokens]; None: the table is learned.
    """

    def __init__(self, table: Tensor, network: nn.Module | None = None) -> None:
        super().__init__()
        self.size = len(table)
        self.network = network
        self.plain = nn.Parameter(table) if network is None else None

    def table(self) -> Tensor:
        """float32 [virtual tokens, values]."""
        if self.network is None:
            assert self.plain is not None
            return self.plain
        ids = torch.arange(self.size, device=next(self.network.parameters()).device)
        made: Tensor = self.network(ids[None])[0]
        return made

    def mask(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The batch's mask with ones before it, int64 [rows, virtual tokens + tokens]."""
        real = batch["attention_mask"]
        return torch.cat([real.new_ones(len(real), self.size), real], dim=1)

    def given(self, backbone: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """What a backbone of transformers is given of a batch's ``input_ids`` and ``attention_mask``, and of this."""
        raise TypeError(f"{type(self).__name__} gives nothing")

    def states(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        """Last states of the texts' own tokens, [rows, tokens, width]."""
        raise TypeError(f"{type(self).__name__} gives no states")

    def scores(self, model: Model, head: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """What ``head``, which scores a vocabulary, says of the batch, float [n, vocabulary]."""
        scores: Tensor = head.scores(model.backbone, self.given(model.backbone, batch), batch)
        return scores

    def past(self, backbone: Any) -> Past:
        """What a decoder knows after it, of each layer."""
        raise TypeError(f"{type(self).__name__} is nothing that a decoder knows")


class TokensBefore(Before):
    """Embeddings before those of the text's tokens, in the first layer."""

    def given(self, backbone: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        words = backbone.get_input_embeddings()(batch["input_ids"])
        before = self.table().to(words.dtype).expand(len(words), -1, -1)
        return {"inputs_embeds": torch.cat([before, words], dim=1), "attention_mask": self.mask(batch)}

    def states(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        backbone: Any = model.backbone
        given = self.given(backbone, batch)
        if model.encoder is not None and model.encoder.takes(model.embeddings.LayerNorm.weight):
            embedded = model.embeddings(inputs_embeds=given["inputs_embeds"])
            return model.encoder.states(embedded, given["attention_mask"])[:, self.size :]
        states: Tensor = backbone(**given).last_hidden_state
        return states[:, self.size :]

    def scores(self, model: Model, head: Any, batch: Mapping[str, Tensor]) -> Tensor:
        backbone: Any = model.backbone
        if not backbone.config.is_encoder_decoder:  # the places of a decoder's tokens are among these
            places = batch["target_places"]
            batch = {**batch, "target_places": places + places.new_tensor([0, self.size])}
        return super().scores(model, head, batch)

    @torch.inference_mode()
    def past(self, backbone: Any) -> Past:
        cache = DynamicCache()
        backbone(inputs_embeds=self.table()[None], past_key_values=cache, use_cache=True)
        return tuple((layer.keys[0], layer.values[0]) for layer in cache.layers)


class StatesBefore(Before):
    """Keys and values before those of the text's tokens, in every layer; through transformers' own attention."""

    def given(self, backbone: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        rows = len(batch["input_ids"])
        pairs = [(k.expand(rows, *k.shape), v.expand(rows, *v.shape)) for k, v in self.past(backbone)]
        return {
            "input_ids": batch["input_ids"],
            "attention_mask": self.mask(batch),
            "past_key_values": DynamicCache(pairs),
        }

    def states(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        backbone: Any = model.backbone
        with model.module_by_module():
            states: Tensor = backbone(**self.given(backbone, batch)).last_hidden_state
        return states

    def past(self, backbone: Any) -> Past:
        heads, size = keys_of(backbone.config)
        parts = self.table().view(self.size, -1, heads, size).permute(1, 2, 0, 3)  # [2 layers, heads, tokens, size]
        return tuple((parts[i], parts[i + 1]) for i in range(0, len(parts), 2))


def keys_of(config: Any) -> tuple[int, int]:
    """How many heads keys and values have where a decoder keeps them, and how many numbers each."""
    heads, grouped = config.num_attention_heads, getattr(config, "num_key_value_heads", None)
    if getattr(config, "multi_query", False):  # Falcon's newer kind keeps its few heads spread to all
        grouped = heads if getattr(config, "new_decoder_architecture", False) else 1
    size = getattr(config, "head_dim", None) if grouped else None
    return int(grouped or heads), int(size or config.hidden_size // heads)


class _Prompting(Method):
    """What the four have in common; ``kind`` is what stands before a text."""

    adapter: ClassVar[bool] = True
    peft: ClassVar[bool] = True
    own_head: ClassVar[bool] = True
    kind: ClassVar[type[Before]]
    not_merged: ClassVar[str] = "what it learned stands before every text, and no weight of the base can say that"

    def faults(self, settings: Any, shapes: Shapes) -> list[Fault]:
        if self.goes_with(shapes.config):
            return []
        found = f"{self.name}, and a base of type {shapes.config.model_type!r}"
        return [Fault("recipe.method-base", found, self.bases(), field="name")]

    def goes_with(self, config: Any) -> bool:
        """Whether a base of this configuration can have something before its texts."""
        return config.model_type in FAMILIES or (stack_of(config) == "decoder" and _continues(config))

    def bases(self) -> str:
        """Those that can."""
        return f"one of {', '.join(sorted(FAMILIES))}, or a decoder whose layers see every token before"

    def positions(self, settings: Any) -> int:
        return int(settings.num_virtual_tokens)

    def values(self, config: Any) -> int:
        """Of a virtual token."""
        return int(config.hidden_size)

    def learning(self, settings: Any, shapes: Shapes) -> int:
        before = self.made(settings, shapes.config)
        return sum(value.numel() for value in before.parameters())

    def made(self, settings: Any, config: Any) -> Before:
        """A new one, for a base of this configuration."""
        return self.kind(torch.randn(settings.num_virtual_tokens, self.values(config)) * 0.02)

    def attach(self, model: Model, settings: Any, state: Mapping[str, Tensor] | None = None) -> None:
        # one that reads would read a virtual token, or its pooler what peft does not keep
        if model.head.gives == "logits" and not model.head.writes:
            raise RecipeError(
                f"the method {self.name}, and a task with a head of transformers' own",
                expected="a head of hone's, such as pooling: mean",
                fix="Take lora, ia3 or another method.",
                code="recipe.method-head",
            )
        freeze_body(model)
        backbone: Any = model.backbone
        model.before = self.made(settings, backbone.config) if state is None else self.kind(state[TABLE].clone())

    def peft_config(self, settings: Any, model: Model) -> dict[str, Any]:
        backbone: Any = model.backbone
        config = backbone.config
        written = "SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM"
        sizes = {
            "token_dim": config.hidden_size,
            "num_attention_heads": config.num_attention_heads,
            "num_layers": config.num_hidden_layers,
            "num_transformer_submodules": 1,
        }
        return {**settings.model_dump(), **sizes, "task_type": written if model.head.writes else "FEATURE_EXTRACTION"}


def _continues(config: Any) -> bool:
    """Whether a decoder can go on from keys and values that are given to it."""
    kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return kind is not None and keeps_all(kind, config)


class PromptSettings(Settings):
    """Settings of ``prompt``, as peft's `PromptTuningConfig` has them.

    Attributes:
        num_virtual_tokens: How many stand before a text; so many positions of the base are theirs.
        prompt_tuning_init: They begin as tokens of the vocabulary, drawn at random, or as random numbers.
    """

    num_virtual_tokens: Count = 20
    prompt_tuning_init: Literal["SAMPLE_VOCAB", "RANDOM"] = "SAMPLE_VOCAB"


class _Tokens(_Prompting):
    """Embeddings: they go before a source as well."""

    kind: ClassVar[type[Before]] = TokensBefore

    def goes_with(self, config: Any) -> bool:
        """Where embeddings that are given and those that are looked up become the same states: else a model would
        learn from others than it is to answer by."""
        if stack_of(config) != "encoder-decoder":
            return super().goes_with(config)
        return config.model_type not in SCALED_LOOKUPS or not config.scale_embedding

    def bases(self) -> str:
        odd = ", ".join(SCALED_LOOKUPS)
        return f"{super().bases()}, or an encoder-decoder (of {odd} without scale_embedding)"


class Prompt(_Tokens):
    """``prompt``."""

    name: ClassVar[str] = "prompt"
    settings: ClassVar[type[Settings]] = PromptSettings

    def attach(self, model: Model, settings: PromptSettings, state: Mapping[str, Tensor] | None = None) -> None:
        super().attach(model, settings, state)
        if state is None and settings.prompt_tuning_init == "SAMPLE_VOCAB":
            backbone: Any = model.backbone
            words = backbone.get_input_embeddings()
            drawn = torch.randint(len(words.weight), (settings.num_virtual_tokens,))
            assert model.before is not None  # looked up as a text's are: some tables scale what they give
            model.before.plain.data.copy_(words(drawn.to(words.weight.device)).detach())

    def peft_config(self, settings: PromptSettings, model: Model) -> dict[str, Any]:
        return {"peft_type": "PROMPT_TUNING", **super().peft_config(settings, model)}


class PTuningSettings(Settings):
    """Settings of ``p-tuning``, as peft's `PromptEncoderConfig` has them.

    Attributes:
        num_virtual_tokens: As for ``prompt``.
        encoder_reparameterization_type: The network behind them.
        encoder_hidden_size: Its width.
    """

    num_virtual_tokens: Count = 20
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = "MLP"
    encoder_hidden_size: Count = 128


class PTuning(_Tokens):
    """``p-tuning``."""

    name: ClassVar[str] = "p-tuning"
    settings: ClassVar[type[Settings]] = PTuningSettings
    trains_with_peft: ClassVar[bool] = True

    def made(self, settings: PTuningSettings, config: Any) -> Before:
        from peft import PromptEncoder, PromptEncoderConfig

        chosen = {**settings.model_dump(), "token_dim": config.hidden_size, "num_transformer_submodules": 1}
        network = PromptEncoder(PromptEncoderConfig(**chosen))
        return TokensBefore(torch.zeros(settings.num_virtual_tokens, config.hidden_size), network)

    def peft_config(self, settings: PTuningSettings, model: Model) -> dict[str, Any]:
        return {"peft_type": "P_TUNING", **super().peft_config(settings, model)}


class PrefixSettings(Settings):
    """Settings of ``prefix``, as peft's `PrefixTuningConfig` has them.

    Attributes:
        num_virtual_tokens: As for ``prompt``.
        encoder_hidden_size: Width of the network behind them.
    """

    num_virtual_tokens: Count = 20
    encoder_hidden_size: Count = 128


class Prefix(_Prompting):
    """``prefix``: with a network behind it."""

    name: ClassVar[str] = "prefix"
    settings: ClassVar[type[Settings]] = PrefixSettings
    kind: ClassVar[type[Before]] = StatesBefore
    trains_with_peft: ClassVar[bool] = True
    excludes: ClassVar[Mapping[str, str]] = {"recomputes": "whose keys and values layers that are made again lack"}

    def goes_with(self, config: Any) -> bool:
        """Where keys and values are kept as they are: those of DeepSeek lie in one narrow vector."""
        return super().goes_with(config) and getattr(config, "kv_lora_rank", None) is None

    def bases(self) -> str:
        return f"{super().bases()} and keep keys and values of heads"

    def values(self, config: Any) -> int:
        heads, size = keys_of(config)
        return int(2 * config.num_hidden_layers * heads * size)

    def made(self, settings: PrefixSettings, config: Any) -> Before:
        from peft import PrefixEncoder, PrefixTuningConfig

        heads, size = keys_of(config)
        sizes = {"token_dim": heads * size, "num_layers": config.num_hidden_layers}
        network = PrefixEncoder(PrefixTuningConfig(**settings.model_dump(), **sizes, prefix_projection=True))
        return StatesBefore(torch.zeros(settings.num_virtual_tokens, self.values(config)), network)

    def peft_config(self, settings: Any, model: Model) -> dict[str, Any]:
        backbone: Any = model.backbone
        heads, size = keys_of(backbone.config)
        return {
            "peft_type": "PREFIX_TUNING",
            "prefix_projection": self.name == "prefix",
            **super().peft_config(settings, model),
            "token_dim": heads * size,
            "num_attention_heads": heads,
        }


class PTuningV2Settings(Settings):
    """Settings of ``p-tuning-v2``, which in peft is prefix tuning without a network.

    Attributes:
        num_virtual_tokens: As for ``prompt``.
    """

    num_virtual_tokens: Count = 20


class PTuningV2(Prefix):
    """``p-tuning-v2``: the keys and values themselves are learned."""

    name: ClassVar[str] = "p-tuning-v2"
    settings: ClassVar[type[Settings]] = PTuningV2Settings
    trains_with_peft: ClassVar[bool] = False

    def made(self, settings: Any, config: Any) -> Before:
        return _Prompting.made(self, settings, config)


PROMPT, P_TUNING, PREFIX, P_TUNING_V2 = Prompt(), PTuning(), Prefix(), PTuningV2()
