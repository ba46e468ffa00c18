"""The writer of a model."""

from __future__ import annotations

from typing import Any

from hone.models.adapters.prompts import Before
from hone.models.rnn_seq2seq import RnnSeq2Seq
from hone.models.writers.begun import BegunWriter
from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.families import PARTS
from hone.models.writers.net import Parts, UnlikeError
from hone.models.writers.quick import QuickWriter
from hone.models.writers.recurrent import RecurrentWriter
from hone.models.writers.writer import Continuing, Writer


def writer_of(model: Any, before: Before | None = None, *, lean: bool = False) -> Writer:
    """What writes by ``model``, a transformers model with a language-modeling head (``GPT2LMHeadModel``,
    ``BartForConditionalGeneration``) or an `RnnSeq2Seq`, on the device where it is: one of our own where the model's
    family has one (`hone.models.writers.families`), on a CPU in float32; else one over transformers' own passes and
    caches.

    Weights are read where they are, and some are copied: make another writer once they have changed.

    Args:
        before: What stands before every prompt or source.
        lean: Whether nothing may be copied.

    Raises:
        BundleError: It is a model that cannot write.
    """
    if isinstance(model, RnnSeq2Seq):
        return RecurrentWriter(model)
    parts = None if lean else _parts(model)
    if model.config.is_encoder_decoder:
        source = SourceWriter(model, before)
        if parts is None:
            return source
        table = None if before is None else before.table().detach()
        return QuickWriter(parts, start=source.start, most_tokens=source.most_tokens, before_source=table)
    plain = CausalWriter(model)
    writer: Continuing = plain if parts is None else QuickWriter(parts, start=None, most_tokens=plain.most_tokens)
    return writer if before is None else BegunWriter(writer, before.past(model))


def _parts(model: Any) -> Parts | None:
    """What a writer of our own is made of; None where its family has none."""
    parts_of = PARTS.get(model.config.model_type)
    try:
        return None if parts_of is None else parts_of(model)
    except UnlikeError:
        return None
