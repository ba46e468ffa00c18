"""What a bundle answers to a data set, and how that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Run
from hone.data.checks import require_known
from hone.data.dataset import Dataset
from hone.evaluate.answering_settings import AnsweringSettings
from hone.evaluate.judged import attribute_of, labeled
from hone.predict.device import pick_device
from hone.predict.predictor import Predictor, open_bundle
from hone.predict.references import reference_of
from hone.report.catalog import Language, slice_name, word
from hone.tasks.encoded import encoded, placed
from hone.tasks.pairs import Pairs, over
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


def asked(
    settings: AnsweringSettings, bundle: Bundle, data: Dataset, *, inputs: Inputs, run: Run
) -> tuple[Predictor, Task]:
    """A bundle, opened to answer as the settings say, and what measures its answers to ``data``."""
    predictor = open_bundle(bundle, device=run.device)
    if settings.decoding:
        predictor = predictor.decoding(**settings.decoding)
    if settings.best_of is not None:
        (reward,) = inputs.others["reward"]
        predictor = predictor.best_of(settings.best_of, open_bundle(reward, device=run.device), label=settings.label)
    task: Any = predictor.task
    if settings.judge is not None:
        task = task.judging(attribute_of(settings, task.settings.attributes))
    return predictor, over(task, data.columns)


def judge_of(settings: AnsweringSettings, inputs: Inputs, run: Run) -> Predictor | None:
    """The bundle that says what texts are like; None where none is asked."""
    return None if settings.judge is None else open_bundle(inputs.others["judge"][0], device=run.device)


def beside_reference(task: Task, data: Dataset, reference: Bundle | None, run: Run) -> Task:
    """``task``; one over pairs beside what the reference says of them, where there is one."""
    if not isinstance(task, Pairs) or reference is None:
        return task
    predictor = open_bundle(reference, device=run.device)
    pairs = over(predictor.task, data.columns)
    assert isinstance(pairs, Pairs)
    device = pick_device(run.device).type
    said = reference_of(
        pairs, data, predictor.engine, bundle=reference, device=device, cache=run.cache, progress=run.progress
    )
    return cast(Task, task.against(said))


def answered(predictor: Predictor, task: Task, data: Dataset, *, run: Run, judge: Predictor | None = None) -> Answered:
    """Ask ``predictor``, whose task ``task`` is or measures, about every row of ``data``.

    Args:
        judge: Says what its texts are like.

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
    if judge is not None:
        predictions = labeled(judge, predictions)
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
