"""What of settings of decoding cannot be had; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.core.settings import check_settings
from hone.tasks.decoding import DecodingSettings
from hone.tasks.writing_settings import WritingSettings


def decided_decoding(
    asked: Mapping[str, Any], inputs: Inputs, *, best_of: int | None = None
) -> tuple[DecodingSettings | None, list[Fault]]:
    """How texts are written, None where none are; and what is wrong with the settings ``asked`` for, or with
    ``best_of`` texts under them, beside the task's own."""
    task = inputs.task.settings
    if not isinstance(task, WritingSettings):
        fault = Fault("recipe.no-decoding", f"settings of decoding for {inputs.task.name}, which writes no text",
                      "a task that writes", field="decoding", fix="Leave them out.")  # fmt: skip
        return None, [fault] if asked else []
    more = {} if best_of is None else {"num_return_sequences": best_of}
    if not asked and not more:
        return task.decoding, []
    return check_settings(DecodingSettings, {**task.decoding.model_dump(), **asked, **more}, at="decoding")
