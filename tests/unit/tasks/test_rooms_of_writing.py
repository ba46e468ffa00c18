"""What is written keeps to the rooms that settings name, and what was cut is not measured as if it were whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.settings import check_settings
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.tasks.decoding import DecodingSettings
from hone.tasks.faulty import FaultyExamples
from hone.tasks.long_text import TextTooLong
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.rows import Rows
from hone.tasks.summarization import units_of
from hone.tasks.text_generation import TextGeneration
from hone.tasks.written_scores import REFERENCE_CUT, Likelihood

LONG = " ".join(["the card is broken and where is my laptop"] * 6)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("rooms") / "gpt2", kind="gpt2")


def generation(folder: Path, **settings: Any) -> TextGeneration:
    from hone.tasks.writing_settings import TextGenerationSettings

    task = make_task("text-generation", TextGenerationSettings(**settings), labels=(), folder=folder)
    assert isinstance(task, TextGeneration)
    return task


def engine(task: Task, folder: Path) -> TorchEngine:
    return TorchEngine(build_model(folder, task.head).eval(), torch.device("cpu"))


def test_evaluation_writes_from_what_prediction_reads(gpt2: Path) -> None:
    task = generation(gpt2, decoding={"max_new_tokens": 20})
    asked = Rows(task.encode({"prompt": [LONG, "where"]}, purpose="predict"))
    measured = Rows(task.encode({"prompt": [LONG, "where"], "text": ["ok", "ok"]}, purpose="learn"))
    assert asked.scalar("truncated").tolist() == measured.scalar("truncated").tolist() == [True, False]
    assert task.prompts(asked) == task.prompts(measured)


def test_a_row_has_no_more_tokens_than_max_length_those_written_among_them(gpt2: Path) -> None:
    task = generation(gpt2, max_length=16, decoding={"max_new_tokens": 40, "min_new_tokens": 40})
    rows = Rows(task.encode({"prompt": [LONG, "a"]}, purpose="predict"))
    drafts = score_rows(task, engine(task, gpt2), rows)
    written = [draft.texts[0][0] for draft in drafts]
    assert [rows.lengths[i] + one.tokens for i, one in enumerate(written)] == [16, 16]
    assert [one.ended for one in written] == ["length", "length"]


def test_a_prompt_that_is_refused_is_told_its_own_room(gpt2: Path) -> None:
    task = generation(gpt2, long_text="refuse", decoding={"max_new_tokens": 8})
    (target,) = task.tokenizer.encode([LONG[: len(LONG) // 3]])
    assert task.max_tokens - len(target) - 1 < task.before_answers  # the first prompt has less room, and is short
    columns = {"prompt": ["a", LONG * 2], "text": [LONG[: len(LONG) // 3], "ok"]}
    with pytest.raises(TextTooLong) as raised:
        task.encode(columns, purpose="learn")
    assert (list(raised.value.lengths), raised.value.room) == ([1], task.before_answers)


def test_an_empty_prompt_is_named_where_no_token_begins_a_text(gpt2: Path) -> None:
    task = generation(gpt2, decoding={"max_new_tokens": 2})
    task._begin = []
    rows = Rows(task.encode({"prompt": ["a", "", "b"]}, purpose="predict"))
    with pytest.raises(FaultyExamples) as raised:
        score_rows(task, engine(task, gpt2), rows)
    assert raised.value.examples == [1]


def test_what_was_cut_is_not_measured_by_the_words_and_bytes_of_the_whole(tmp_path: Path) -> None:
    from hone.tasks.writing_settings import TranslationSettings

    base = write_tiny_writer(tmp_path / "bart")
    settings = TranslationSettings(max_target_length=6, long_target="truncate")
    task = make_task("translation", settings, labels=(), folder=base)
    columns = {"source": ["a", "b"], "target": [LONG, "ok"]}
    rows = Rows(task.encode(columns, purpose="learn"))
    silent = task.silent()  # type: ignore[attr-defined]
    predictions = silent.join(columns, rows, score_rows(silent, engine(task, base), rows), constants={})
    assert [REFERENCE_CUT in one for one in predictions] == [True, False]
    assert silent.scored(predictions, columns).unmeasured == {"warn.cut_measured": 1}
    likelihood = Likelihood()
    both = likelihood.values(likelihood.tally(columns, predictions))
    whole = likelihood.values(likelihood.tally({name: values[1:] for name, values in columns.items()}, predictions[1:]))
    assert both["bits_per_byte"] == whole["bits_per_byte"]
    assert both["word_perplexity"] == whole["word_perplexity"]
    assert both["perplexity"] != whole["perplexity"]
    tally = likelihood.tally(columns, predictions)
    np.testing.assert_array_equal(tally.sum(axis=0)[2:5], tally[1, 2:5])


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("A good café has naïve guests. " + "The card is broken and where is my laptop. " * 20, "words"),
        ("Собака спит на старом ковре.", "characters"),
        ("Η γάτα κοιμάται.", "characters"),
        ("Größe und Länge müssen übereinstimmen.", "characters"),
        ("ねこはかわいいです。", "characters"),
        ("2024", "words"),
    ],
)
def test_only_english_is_measured_by_the_words_of_english(text: str, units: str) -> None:
    assert units_of([text]) == units


def test_a_length_penalty_that_no_float_holds_is_refused() -> None:
    made, faults = check_settings(DecodingSettings, {"num_beams": 2, "length_penalty": 500.0})
    assert made is None
    assert faults[0].field == "length_penalty"
