"""What of ``evaluate``'s settings of decoding cannot be had; no torch."""

from __future__ import annotations

from typing import cast

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.core.settings import Settings, check_settings
from hone.evaluate.settings import EvaluateSettings
from hone.tasks.decoding import DecodingSettings
from hone.tasks.writing_settings import WritingSettings


def decided_decoding(settings: Settings, inputs: Inputs) -> tuple[DecodingSettings | None, list[Fault]]:
    """How texts are written, None where none are; and what is wrong with ``decoding``, or with ``best_of`` under it,
    beside the task's own settings of it."""
    evaluated, task = cast(EvaluateSettings, settings), inputs.task.settings
    asked = dict(evaluated.decoding)
    if evaluated.best_of is not None and isinstance(task, WritingSettings):
        asked["num_return_sequences"] = evaluated.best_of
    if not isinstance(task, WritingSettings):
        fault = Fault("recipe.no-decoding", f"settings of decoding for {inputs.task.name}, which writes no text",
                      "a task that writes", field="decoding", fix="Leave them out.")  # fmt: skip
        return None, [fault] if asked else []
    if not asked:
        return task.decoding, []
    return check_settings(DecodingSettings, {**task.decoding.model_dump(), **asked}, at="decoding")
