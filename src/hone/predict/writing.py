"""What rows of a task that writes come to: how likely the texts are that they have, and the texts that are written."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import Fault, RecipeError
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.models.tokenizer import Tokenizer
from hone.predict.engine import Engine, WritingEngine
from hone.predict.generation.generate import generate
from hone.predict.generation.stream import stream
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary, Written
from hone.predict.text_stream import TextStream
from hone.predict.workers import as_opened, by_workers
from hone.tasks.controls import rows_with_words, word_faults, words_of, written_by
from hone.tasks.decoding import DecodingSettings
from hone.tasks.faulty import FaultyExamples
from hone.tasks.protocol import Columns, Prediction, Task, Writing
from hone.tasks.rows import TARGET, Rows
from hone.tasks.writing_settings import ROW_WORDS, WritingSettings
from hone.tasks.written import Draft, Drafts, reference_of

ODD_WORDS = "rows have words that a text cannot be written by"
ROW_NAMES = [field.name for field in ROW_WORDS]
FEWEST_EACH = 4  # prompts that are worth a worker of their own
MOST_TOGETHER = 128  # prompts that are written together with others': more keep a loop busy by themselves
Score = Callable[[], Sequence[NDArray[np.float32]]]


def write_rows(
    task: Task,
    engine: Engine,
    rows: Rows,
    *,
    score: Score,
    done: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    together: bool = False,
) -> list[Drafts]:
    """What each row came to, in order.

    Args:
        score: Scores of every row's own target, where the rows have them.
        done: Called with the number of rows that were finished each time.
        stopped: Whether nobody waits any more, as of `generate`.
        together: Whether a few texts are written together with those that other threads ask for.
    """
    assert isinstance(task, Writing)
    references: list[Any] = [None] * len(rows)
    if TARGET in rows.table.column_names:
        references = [reference_of(found) for found in score()]
    texts: Sequence[tuple[tuple[Draft, ...], ...]] = [()] * len(rows)
    if task.writes:
        texts = _written(task, engine, rows, done=done, stopped=stopped, together=together)
    elif done is not None:
        done(len(rows))
    return [Drafts(each, reference) for each, reference in zip(texts, references, strict=True)]


def _written(
    task: Writing,
    engine: Engine,
    rows: Rows,
    *,
    done: Callable[[int], None] | None,
    stopped: Callable[[], bool],
    together: bool,
) -> list[tuple[tuple[Draft, ...], ...]]:
    """The texts of each row's prompts. Where the engine takes several batches at a time, so many share the prompts,
    long and short ones alike."""
    assert isinstance(engine, WritingEngine)
    settings, writer = cast(WritingSettings, cast(Task, task).settings).decoding, engine.writer
    each_row = task.prompts(rows)
    require_prompts(rows, each_row)
    prompts = [prompt for some in each_row for prompt in some]
    vocabulary = vocabulary_of(task)
    usual, own = Words(settings, vocabulary), _words_of(rows, own_settings(settings, rows), vocabulary)
    owner = [row for row, some in enumerate(each_row) for _ in some]
    asked = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    tell = _told_as_rows(done, rows=sum(map(bool, each_row)), prompts=len(prompts))

    least = min(map(len, prompts), default=0) + settings.max_new_tokens
    workers = engine.workers if len(asked) >= FEWEST_EACH * engine.workers else 1
    if done is not None:
        done(len(rows) - sum(map(bool, each_row)))

    def write(part: Sequence[int], room: int) -> list[list[Written]]:
        return generate(
            writer,
            [prompts[i] for i in part],
            settings,
            vocabulary=vocabulary,
            words=[own.get(owner[i], usual) for i in part],
            tokens_at_once=room,
            done=tell,
            stopped=stopped,
        )

    if together and workers == 1 and len(prompts) <= MOST_TOGETHER and not own:
        texts = engine.together.write(prompts, settings, vocabulary=vocabulary, stopped=stopped, done=tell)
    else:
        with engine.room_to_write(least) as room:
            texts = _in_parts(lambda part: write(part, room), asked, engine=engine, workers=workers)
    written = iter(tuple(_draft(text) for text in some) for some in texts)
    return [tuple(itertools.islice(written, len(some))) for some in each_row]


def _in_parts(
    write: Callable[[Sequence[int]], list[list[Written]]], asked: Sequence[int], *, engine: Engine, workers: int
) -> list[list[Written]]:
    """The texts of every prompt; what is ``asked``, their numbers, is dealt out to so many workers."""
    as_opened(engine.workers)
    parts = [asked[k::workers] for k in range(workers)]
    each = by_workers(write, parts, workers=workers) if workers > 1 else map(write, parts)
    texts: list[list[Written]] = [[] for _ in asked]
    for part, found in zip(parts, each, strict=True):
        for i, one in zip(part, found, strict=True):
            texts[i] = one
    return texts


def require_prompts(rows: Rows, each_row: Sequence[Sequence[Sequence[int]]]) -> None:
    """Raise `FaultyExamples` where a prompt has no tokens: not even one that begins a text, which some bases lack."""
    fault = Fault("generation.empty-prompt", "no text, and the base has no token that begins one", "a prompt",
                  field="prompt", fix="Give it a word to go on from.")  # fmt: skip
    empty = [row for row, some in enumerate(each_row) if not all(some)]
    if empty:
        raise FaultyExamples("prompts are empty", {int(rows.example[row]): fault for row in empty})


def own_settings(settings: DecodingSettings, rows: Rows) -> dict[int, DecodingSettings]:
    """Of each row that has words of its own the settings that it is written by.

    Raises:
        FaultyExamples: Such words do not go with the other settings, or with one another.
    """
    found, wrong = dict[int, DecodingSettings](), dict[int, Fault]()
    for row in rows_with_words(rows):
        made, fault = written_by(settings, words_of(rows, row))
        if made is not None:
            found[row] = made
        elif fault is not None:
            wrong[int(rows.example[row])] = fault
    if wrong:
        raise FaultyExamples(ODD_WORDS, wrong)
    return found


def _words_of(rows: Rows, own: Mapping[int, DecodingSettings], vocabulary: Vocabulary) -> dict[int, Words]:
    """The words of each row that has some of its own, in tokens.

    Raises:
        FaultyExamples: The tokenizer cannot write one of them.
    """
    made, found, wrong = dict[str, Words](), dict[int, Words](), dict[int, Fault]()
    for row, settings in own.items():
        key = settings.model_dump_json(include=set(ROW_NAMES))
        try:
            found[row] = made[key] = made.get(key) or Words(settings, vocabulary)
        except RecipeError as error:
            field = " and ".join(words_of(rows, row))
            wrong[int(rows.example[row])] = Fault(error.code, error.found, error.expected, field=field, fix=error.fix)
    if wrong:
        raise FaultyExamples(ODD_WORDS, wrong)
    return found


def unwritable_words(settings: DecodingSettings, data: Dataset, tokenizer: Tokenizer, *, at: str) -> list[Fault]:
    """Why no text can be written by ``settings`` and the words of rows beside them: the tokenizer cannot write one, or
    they do not go together. Of the first rows, with file and line; where it is the settings alone, under ``at``."""

    vocabulary = Vocabulary(
        () if tokenizer.eos_id is None else (tokenizer.eos_id,),
        encode=tokenizer.encode,
        decode=lambda ids: tokenizer.decode([ids])[0],
        special=tokenizer.special_tokens,
    )

    def fault_of(chosen: DecodingSettings) -> Fault | None:
        try:
            Words(chosen, vocabulary)
        except RecipeError as error:
            return Fault(error.code, error.found, error.expected, field=at, fix=error.fix)
        return None

    alone = fault_of(settings)
    return word_faults(settings, data, unwritable=fault_of) if alone is None else [alone]


def _told_as_rows(done: Callable[[int], None] | None, *, rows: int, prompts: int) -> Callable[[int], None]:
    """Takes numbers of prompts, from any thread, and calls ``done`` with the rows that they amount to."""
    one_at_a_time = threading.Lock()
    finished = 0

    def tell(count: int) -> None:
        nonlocal finished
        with one_at_a_time:
            before, finished = finished, finished + count
            if done is not None:
                done(finished * rows // prompts - before * rows // prompts)

    return tell


def vocabulary_of(task: Writing) -> Vocabulary:
    """What the tokens of the task's tokenizer mean."""
    tokenizer = cast(Task, task).tokenizer
    return Vocabulary(
        task.endings,
        encode=tokenizer.encode,
        decode=lambda ids: tokenizer.decode([ids])[0],
        forced_bos_token_id=task.forced_bos_token_id,
        spellings=lambda: tokenizer.spellings,
        most_tokens=cast(Task, task).max_tokens,
        special=tokenizer.special_tokens,
    )


def require_writing(task: Task) -> Task:
    """``task``, which writes.

    Raises:
        RecipeError: It does not.
    """
    if not isinstance(task, Writing):
        raise RecipeError(
            f"{task.name} writes no text",
            expected="a bundle of translation, summarization, text-generation or dialogue",
            fix="Ask it with predict.",
            code="decoding.task",
        )
    return task


def with_decoding(task: Task, values: Mapping[str, Any]) -> Task:
    """``task`` with some of its decoding settings replaced by ``values``.

    Raises:
        RecipeError: It does not write, or the settings cannot be used.
    """
    writing = cast(Writing, require_writing(task))
    settings = cast(WritingSettings, task.settings)
    chosen, faults = check_settings(DecodingSettings, {**settings.decoding.model_dump(), **values}, at="decoding")
    if chosen is None:
        raise RecipeError.of(faults, what="decoding")
    return writing.decoding(chosen)


def stream_of(task: Task, engine: Engine, columns: Columns) -> TextStream:
    """What is written for the one example of ``columns``, in pieces.

    Raises:
        DataError: Its prompt is too long.
        RecipeError: The task does not write, or looks for several texts at a time.
    """
    writing = cast(Writing, require_writing(task))
    assert isinstance(engine, WritingEngine)
    rows = Rows(task.encode(columns, purpose="predict"))
    settings = cast(WritingSettings, task.settings).decoding
    settings = own_settings(settings, rows).get(0, settings)
    each_row = writing.prompts(rows)
    require_prompts(rows, each_row)
    ((prompt,),) = each_row  # rows to predict have one
    vocabulary = vocabulary_of(writing)

    def whole(written: Written) -> Prediction:
        drafts: list[Any] = [Drafts(((_draft(written),),))]
        (one,) = task.join(columns, rows, drafts, constants=engine.constants)
        return one

    def pieces(stopped: Callable[[], bool]) -> Generator[str, None, Written | None]:
        return stream(engine.together, prompt, settings, vocabulary=vocabulary, stopped=stopped)

    return TextStream(pieces, whole)


def _draft(one: Written) -> Draft:
    return Draft(one.text or "", len(one.ids), one.score, one.ended, one.satisfied)
