"""transformers' configurations of models that start from nothing: of given sizes, for a vocabulary of ``vocab_size``.

What is special about some tokens stands in the tokenizer, and `hone.models.new_base` copies it.
"""

from __future__ import annotations

import math
from typing import Any

from hone.models.architectures import BartSettings, BertSettings, Gpt2Settings, LlamaSettings, T5Settings


def bert(settings: BertSettings, vocab_size: int) -> Any:
    """Of a BERT."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.inner or 4 * settings.hidden,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )


def gpt2(settings: Gpt2Settings, vocab_size: int) -> Any:
    """Of a GPT-2."""
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=vocab_size,
        bos_token_id=None,  # GPT-2's own is beyond most vocabularies
        eos_token_id=None,
        n_positions=settings.max_length,
        n_embd=settings.hidden,
        n_layer=settings.layers,
        n_head=settings.heads,
        n_inner=settings.inner or 4 * settings.hidden,
        embd_pdrop=settings.dropout,
        resid_pdrop=settings.dropout,
        attn_pdrop=settings.dropout,
    )


def llama(settings: LlamaSettings, vocab_size: int) -> Any:
    """Of a Llama."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocab_size,
        bos_token_id=None,
        eos_token_id=None,
        max_position_embeddings=settings.max_length,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.inner or 16 * math.ceil(settings.hidden / 6),
        attention_dropout=settings.dropout,
        tie_word_embeddings=True,
    )


def bart(settings: BartSettings, vocab_size: int) -> Any:
    """Of a BART. Nothing is forced: what a text ends with is learned, not assumed."""
    from transformers import BartConfig

    inner = settings.inner or 4 * settings.hidden
    return BartConfig(
        vocab_size=vocab_size,
        max_position_embeddings=settings.max_length,
        d_model=settings.hidden,
        encoder_layers=settings.layers,
        decoder_layers=settings.decoder_layers or settings.layers,
        encoder_attention_heads=settings.heads,
        decoder_attention_heads=settings.heads,
        encoder_ffn_dim=inner,
        decoder_ffn_dim=inner,
        dropout=settings.dropout,
        scale_embedding=True,  # else positions, drawn as wide as tokens, drown them
        forced_bos_token_id=None,
        forced_eos_token_id=None,
    )


def t5(settings: T5Settings, vocab_size: int) -> Any:
    """Of a T5. ``n_positions``, which no weight of it depends on, keeps how long its rows may be."""
    from transformers import T5Config

    return T5Config(
        vocab_size=vocab_size,
        n_positions=settings.max_length,
        d_model=settings.hidden,
        d_kv=settings.d_kv or settings.hidden // settings.heads,
        d_ff=settings.inner or 4 * settings.hidden,
        num_layers=settings.layers,
        num_decoder_layers=settings.decoder_layers or settings.layers,
        num_heads=settings.heads,
        relative_attention_num_buckets=settings.relative_attention_num_buckets,
        relative_attention_max_distance=settings.relative_attention_max_distance,
        dropout_rate=settings.dropout,
        feed_forward_proj=settings.feed_forward_proj,
    )
