"""The parts of the families of models that are written quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from hone.models.writers.net import (
    Cross,
    Head,
    Layer,
    Net,
    Norm,
    Parts,
    Turns,
    UnlikeError,
    act_of,
    line_of,
    rows_of,
    table_of,
)

BEFORE = frozenset({"mbart", "pegasus"})  # of those laid out as BART, they normalize what parts read
LENGTH_TURNS = frozenset({"dynamic", "longrope"})  # angles that depend on how long a text has become


def gpt2_parts(model: Any) -> Parts:
    """Those of ``GPT2LMHeadModel``.

    Raises:
        UnlikeError: It is not as GPT-2 is.
    """
    config, body = model.config, model.transformer
    if config.add_cross_attention:
        raise UnlikeError("attention to a source")
    net = Net(
        layers=tuple(_gpt2_layer(block) for block in body.h),
        heads=config.num_attention_heads,
        before=True,
        act=act_of(config.activation_function),
        tokens=table_of(body.wte),
        positions=rows_of(body.wpe),
        last=Norm.of(body.ln_f),
    )
    return Parts(net, Head(model.lm_head), None)


def _gpt2_layer(block: Any) -> Layer:
    own, attention = line_of([block.attn.c_attn]), block.attn
    return Layer(
        norm=Norm.of(block.ln_1),
        qkv=own.scaled(attention.embed_dim, attention.scaling),  # queries
        out=line_of([block.attn.c_proj]),
        cross=None,
        wide_norm=Norm.of(block.ln_2),
        wide=line_of([block.mlp.c_fc]),
        gate=None,
        narrow=line_of([block.mlp.c_proj]),
    )


def bart_parts(model: Any) -> Parts:
    """Those of ``BartForConditionalGeneration`` and of models that are laid out alike.

    Raises:
        UnlikeError: It is not as BART is.
    """
    config = model.config
    decoder = _bart_net(model.get_decoder(), config, heads=config.decoder_attention_heads)
    encoder = _bart_net(model.get_encoder(), config, heads=config.encoder_attention_heads)
    return Parts(decoder, Head(model.lm_head, bias=model.final_logits_bias.detach()[0]), encoder)


def _bart_net(body: Any, config: Any, *, heads: int) -> Net:
    first, last = getattr(body, "layernorm_embedding", None), getattr(body, "layer_norm", None)
    return Net(
        layers=tuple(_bart_layer(layer) for layer in body.layers),
        heads=heads,
        before=config.model_type in BEFORE,
        act=act_of(config.activation_function),
        tokens=table_of(body.embed_tokens),
        scale=float(getattr(body.embed_tokens, "embed_scale", getattr(body, "embed_scale", 1.0))),
        positions=rows_of(body.embed_positions)[getattr(body.embed_positions, "offset", 0) :],
        first=None if first is None else Norm.of(first),
        last=None if last is None else Norm.of(last),
    )


def _bart_layer(layer: Any) -> Layer:
    own, other = layer.self_attn, getattr(layer, "encoder_attn", None)
    return Layer(
        norm=Norm.of(layer.self_attn_layer_norm),
        qkv=line_of([own.q_proj, own.k_proj, own.v_proj], first=own.scaling),
        out=line_of([own.out_proj]),
        cross=None
        if other is None
        else Cross(
            norm=Norm.of(layer.encoder_attn_layer_norm),
            q=line_of([other.q_proj], first=other.scaling),
            kv=line_of([other.k_proj, other.v_proj]),
            out=line_of([other.out_proj]),
        ),
        wide_norm=Norm.of(layer.final_layer_norm),
        wide=line_of([layer.fc1]),
        gate=None,
        narrow=line_of([layer.fc2]),
    )


def t5_parts(model: Any) -> Parts:
    """Those of ``T5ForConditionalGeneration``.

    Raises:
        UnlikeError: It is not as T5 is.
    """
    decoder, encoder = model.get_decoder(), model.get_encoder()
    looking, around = (body.block[0].layer[0].SelfAttention for body in (decoder, encoder))

    def of_decoder(count: int) -> Tensor:
        found: Tensor = looking.compute_bias(1, count, past_seen_tokens=count - 1)[0, :, 0].detach()
        return found

    def of_encoder(count: int) -> Tensor:
        found: Tensor = around.compute_bias(count, count)[0].detach()
        return found

    config = model.config
    head = Head(model.lm_head, scale=config.d_model**-0.5 if config.scale_decoder_outputs else 1.0)
    return Parts(_t5_net(decoder, config, of_decoder), head, _t5_net(encoder, config, of_encoder))


def _t5_net(body: Any, config: Any, distances: Callable[[int], Tensor]) -> Net:
    return Net(
        layers=tuple(_t5_layer(block.layer) for block in body.block),
        heads=config.num_heads,
        before=True,
        act=act_of(config.dense_act_fn),
        tokens=table_of(body.embed_tokens),
        positions=None,
        last=Norm.of(body.final_layer_norm),
        distances=distances,
    )


def _t5_layer(parts: Sequence[Any]) -> Layer:
    own, wide = parts[0].SelfAttention, parts[-1].DenseReluDense
    gated = hasattr(wide, "wi_0")
    cross = None
    if len(parts) == 3:
        other = parts[1].EncDecAttention
        cross = Cross(
            norm=Norm.of(parts[1].layer_norm),
            q=line_of([other.q]),
            kv=line_of([other.k, other.v]),
            out=line_of([other.o]),
        )
    return Layer(
        norm=Norm.of(parts[0].layer_norm),
        qkv=line_of([own.q, own.k, own.v]),
        out=line_of([own.o]),
        cross=cross,
        wide_norm=Norm.of(parts[-1].layer_norm),
        wide=line_of([wide.wi_0 if gated else wide.wi]),
        gate=line_of([wide.wi_1]) if gated else None,
        narrow=line_of([wide.wo]),
    )


def llama_parts(model: Any) -> Parts:
    """Those of ``LlamaForCausalLM`` and of models that are laid out alike.

    Raises:
        UnlikeError: It is not as Llama is, looks at a window of tokens alone, or turns by angles that change with the
            length of a text.
    """
    config, body = model.config, model.model
    angles = body.rotary_emb
    if any(getattr(layer.self_attn, "sliding_window", None) for layer in body.layers) or _windowed(config):
        raise UnlikeError("a window of attention")
    if angles.rope_type in LENGTH_TURNS:
        raise UnlikeError(f"angles that depend on the length: {angles.rope_type}")
    net = Net(
        layers=tuple(_llama_layer(layer) for layer in body.layers),
        heads=config.num_attention_heads,
        before=True,
        act=act_of(config.hidden_act),
        tokens=table_of(body.embed_tokens),
        positions=None,
        last=Norm.of(body.norm),
        shared=config.num_attention_heads // config.num_key_value_heads,
        turns=Turns(angles.inv_freq.detach().float(), scale=float(angles.attention_scaling)),
    )
    if 2 * len(angles.inv_freq) != net.size:
        raise UnlikeError("a part of a head is turned")
    return Parts(net, Head(model.lm_head), None)


def _windowed(config: Any) -> bool:
    """Whether layers look at the last tokens alone, as the configuration has it."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return any(kind != "full_attention" for kind in kinds)
    return getattr(config, "sliding_window", None) is not None


def _llama_layer(layer: Any) -> Layer:
    own, wide = layer.self_attn, layer.mlp
    return Layer(
        norm=Norm.of(layer.input_layernorm),
        qkv=line_of([own.q_proj, own.k_proj, own.v_proj], first=own.scaling),
        out=line_of([own.o_proj]),
        cross=None,
        wide_norm=Norm.of(layer.post_attention_layernorm),
        wide=line_of([wide.gate_proj]),
        gate=line_of([wide.up_proj]),
        narrow=line_of([wide.down_proj]),
    )


PARTS: dict[str, Callable[[Any], Parts]] = {
    "bart": bart_parts,
    "gpt2": gpt2_parts,
    "llama": llama_parts,
    "marian": bart_parts,
    "mbart": bart_parts,
    "mistral": llama_parts,
    "pegasus": bart_parts,
    "qwen2": llama_parts,
    "t5": t5_parts,
}
