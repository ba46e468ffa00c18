"""The writer of a model."""

from __future__ import annotations

from typing import Any

from hone.models.rnn_seq2seq import RnnSeq2Seq
from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.recurrent import RecurrentWriter
from hone.models.writers.writer import Writer


def writer_of(model: Any) -> Writer:
    """What writes by ``model``, a transformers model with a language-modeling head (``GPT2LMHeadModel``,
    ``BartForConditionalGeneration``) or an `RnnSeq2Seq`, on the device where it is.

    Weights are read where they are and must not change while a state is in use.

    Raises:
        BundleError: It is a model that cannot write.
    """
    if isinstance(model, RnnSeq2Seq):
        return RecurrentWriter(model)
    return SourceWriter(model) if model.config.is_encoder_decoder else CausalWriter(model)
