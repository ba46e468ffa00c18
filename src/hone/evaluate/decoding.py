"""What of settings of decoding cannot be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.metrics.bleu import require_sacrebleu
from hone.models.tokenizer import load_tokenizer
from hone.predict.bases import find_base
from hone.predict.writing import unwritable_words
from hone.tasks.decoding import DecodingSettings
from hone.tasks.fields import holds_pairs
from hone.tasks.table import TASKS
from hone.tasks.writing_settings import ROW_WORDS, WritingSettings


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


def decoding_faults(asked: Mapping[str, Any], on: str, inputs: Inputs, *, best_of: int | None = None) -> list[Fault]:
    """What is wrong with the settings of decoding that a stage asks for, or with words of the rows ``on`` under them.
    Of pairs of texts nothing is written.

    Raises:
        MissingExtra: What measures written texts is not installed.
    """
    data = inputs.data.get(on)
    decoding, faults = decided_decoding(asked, inputs, best_of=best_of)
    if decoding is None or data is None or holds_pairs(TASKS[inputs.task.name], data.columns):
        return faults
    require_sacrebleu("What is measured of texts that are written")
    return [*faults, *words_not_written(decoding, data, inputs, asked=asked)]


def words_not_written(
    decoding: DecodingSettings, data: Dataset, inputs: Inputs, *, asked: Mapping[str, Any]
) -> list[Fault]:
    """Words that texts are to have, or not, and that the tokenizer of the bundle, or of the base that becomes one
    before this stage, cannot write; ``asked`` are the stage's own settings of decoding."""
    if inputs.bundle is not None:
        folder = find_base(inputs.bundle).folder if inputs.bundle.stands_on_base else inputs.bundle.path
    elif inputs.base is not None:
        folder = inputs.base.folder
    else:
        return []  # nothing to evaluate, which is told elsewhere
    own = set(asked) & {field.name for field in ROW_WORDS}
    return unwritable_words(decoding, data, load_tokenizer(folder), at="decoding" if own else "task.decoding")
