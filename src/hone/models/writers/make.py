"""The writer of a model."""

from __future__ import annotations

from typing import Any

from hone.models.rnn_seq2seq import RnnSeq2Seq
from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.families import PARTS
from hone.models.writers.net import UnlikeError
from hone.models.writers.quick import QuickWriter
from hone.models.writers.recurrent import RecurrentWriter
from hone.models.writers.writer import Writer


def writer_of(model: Any) -> Writer:
    """What writes by ``model``, a transformers model with a language-modeling head (``GPT2LMHeadModel``,
    ``BartForConditionalGeneration``) or an `RnnSeq2Seq`, on the device where it is: one of our own where the model's
    family has one (`hone.models.writers.families`), on a CPU in float32; else one over transformers' own passes and
    caches.

    Weights are read where they are, and some are copied: make another writer once they have changed.

    Raises:
        BundleError: It is a model that cannot write.
    """
    if isinstance(model, RnnSeq2Seq):
        return RecurrentWriter(model)
    plain = SourceWriter(model) if model.config.is_encoder_decoder else CausalWriter(model)
    parts_of = PARTS.get(model.config.model_type)
    if parts_of is None:
        return plain
    try:
        parts = parts_of(model)
    except UnlikeError:
        return plain
    return QuickWriter(parts, start=plain.start, most_tokens=plain.most_tokens)
