"""The writer of a model."""

from __future__ import annotations

from typing import Any

from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.writer import Writer


def writer_of(model: Any) -> Writer:
    """What writes by ``model``, a transformers model with a language-modeling head (``GPT2LMHeadModel``,
    ``BartForConditionalGeneration``), on the device where it is.

    Weights are read where they are and must not change while a state is in use.

    Raises:
        BundleError: It is a model that cannot write.
    """
    return SourceWriter(model) if model.config.is_encoder_decoder else CausalWriter(model)
