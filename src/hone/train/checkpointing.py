"""``gradient-checkpointing``: layers keep only their input for the way back (Chen et al. 2016): less memory, and a
second forward pass of each layer."""

from __future__ import annotations

from typing import Any, cast

from hone.core.errors import RecipeError
from hone.train.technique import Course, Technique
from hone.train.techniques import CheckpointingSettings

NEW_NAME, OLD_NAME = "activation_checkpointing_enable", "gradient_checkpointing_enable"  # in transformers 5


class Checkpointing(Technique):
    """Through hone's own encoder, and through transformers' layers wherever they run.

    Args:
        settings: None that matter.
        course: Whose layers they are.
    """

    def __init__(self, settings: CheckpointingSettings, course: Course) -> None:
        backbone, encoder = cast(Any, course.model.backbone), course.model.encoder
        if encoder is not None:
            encoder.recomputes = True
        if backbone.supports_gradient_checkpointing:  # where transformers' own layers run, on a GPU say
            getattr(backbone, NEW_NAME if hasattr(backbone, NEW_NAME) else OLD_NAME)()
        elif encoder is None:
            raise RecipeError(
                f"gradient-checkpointing, and a base of type {backbone.config.model_type!r}",
                expected="one whose layers transformers can compute again",
                code="recipe.technique",
            )
