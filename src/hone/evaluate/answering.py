"""What a bundle answers to a data set, and how that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hone.bundle.stage import Run
from hone.data.checks import require_known
from hone.data.dataset import Dataset
from hone.predict.predictor import Predictor
from hone.report.catalog import Language, slice_name, word
from hone.tasks.encoded import encoded, placed
from hone.tasks.protocol import Columns, FloatArray, Judging, Prediction, Scored, Task
from hone.tasks.rows import IntArray

TEXT_SHOWN = 300  # characters of a text in a report; files hold it whole


@dataclass(frozen=True)
class Answered:
    """Of every example, in their order.

    Attributes:
        task: What was measured.
        columns: The examples.
        predictions: The answers.
        tally: How they are counted; see `Task.tally`.
        scored: How bad each is.
        lengths: Tokens of each text, before anything was cut.
    """

    task: Task
    columns: Columns
    predictions: Sequence[Prediction]
    tally: FloatArray
    scored: Scored
    lengths: IntArray


def answered(predictor: Predictor, task: Task, data: Dataset, *, run: Run) -> Answered:
    """Ask ``predictor``, whose task ``task`` is or measures, about every row of ``data``.

    Raises:
        DataError: Rows have labels that the bundle does not know, or cannot be encoded.
    """
    require_known(task.known(task.settings, task.labels), data, chosen=hasattr(task.settings, "labels"))
    rows = encoded(task, data, cache=run.cache)
    run.progress.begin("evaluating", total=len(rows), unit="row")
    columns = data.slice(0, len(data))
    with placed(data):
        scores = predictor.came_to(columns, rows, task=task, done=run.progress.advance)
    run.progress.finish()
    predictions = task.join(columns, rows, scores, constants=predictor.engine.constants)
    if isinstance(task, Judging):
        tally, scored = task.judged(predictions, columns)
    else:
        tally, scored = task.tally(predictions, columns), task.scored(predictions, columns)
    return Answered(task, columns, predictions, tally, scored, rows.text_tokens())


def left_out_warnings(data: Dataset, language: Language) -> list[str]:
    """What to say of rows, or labels of rows, that ``data`` has no more, for they are not among those that count."""
    if not data.left_out:
        return []
    counts, split = data.left_out.values(), slice_name(data.name, language)
    values = {"split": split, "count": f"{len(counts):,}", "total": f"{sum(counts):,}"}
    return [word("warn.left_out", language, **values)]


def unmeasured_warnings(told: Answered, language: Language) -> list[str]:
    """What to say of examples of which something was not measured."""
    count = f"{len(told.predictions):,}"
    return [word(key, language, some=f"{some:,}", count=count) for key, some in told.scored.unmeasured.items()]


def shortened(text: str) -> str:
    """``text``, as far as a report shows it."""
    return text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + " […]"
