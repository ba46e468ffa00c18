"""Dropout as configurations of transformers call it, each family in its own way."""

from __future__ import annotations

from typing import Any

OF_HEADS = ("classifier_dropout", "seq_classif_dropout")
OF_BACKBONES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "dropout_rate", "attention_dropout",
                "embedding_dropout", "mlp_dropout", "embd_pdrop", "resid_pdrop", "attn_pdrop")  # fmt: skip
WORDS = "word_dropout"  # of a net of hone's, which leaves out whole tokens


def set_dropout(config: Any, share: float, *, own: bool) -> None:
    """Have dropout be ``share`` wherever the configuration has any.

    Args:
        own: Whether the head is transformers' own.
    """
    for key in (*OF_BACKBONES, *OF_HEADS):
        if isinstance(getattr(config, key, None), int | float) or (key == "classifier_dropout" and own):
            setattr(config, key, share)


def drops_out(config: Any) -> bool:
    """Whether a backbone of this configuration gives other states when it reads a text in training again."""
    return any(getattr(config, key, None) for key in (*OF_BACKBONES, WORDS))
