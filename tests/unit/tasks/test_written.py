from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.metrics.intervals import with_intervals
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.tasks.cut import cut_texts, unseen_said
from hone.tasks.make import make_task
from hone.tasks.pairs import Pairs
from hone.tasks.protocol import LossOptions, Task, Writing
from hone.tasks.rows import Rows
from hone.tasks.text_generation import TextGeneration
from hone.tasks.writing_settings import SummarizationSettings, TextGenerationSettings, TranslationSettings

SOURCES = ["the card", "my laptop is broken please help", "where"]
TARGETS = ["die Karte", "mein Laptop", "wo ist es nun wieder"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("writers")
    return {kind: write_tiny_writer(folder / kind, kind=kind) for kind in ("bart", "t5", "gpt2")}


def translation(folder: Path, **settings: Any) -> Task:
    return make_task("translation", TranslationSettings(**settings), labels=(), folder=folder)


def generation(folder: Path, **settings: Any) -> TextGeneration:
    task = make_task("text-generation", TextGenerationSettings(**settings), labels=(), folder=folder)
    assert isinstance(task, TextGeneration)
    return task


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_the_loss_is_that_of_transformers(kind: str, bases: dict[str, Path]) -> None:
    task = translation(bases[kind])
    rows = Rows(task.encode({"source": SOURCES, "target": TARGETS}, purpose="learn"))
    model = build_model(bases[kind], task.head, dropout=0.0).eval()
    batch = task.collate(rows, np.arange(3))
    mine = task.loss(model(batch), batch, options=LossOptions())
    labels = batch["target_ids"].clone()
    for row, count in enumerate(batch["counts"].tolist()):
        labels[row, count:] = -100
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    theirs = model.backbone(**inputs, labels=labels).loss
    assert float(mine.total.detach() / mine.weight) == pytest.approx(float(theirs.detach()), rel=1e-5)


def test_the_loss_of_a_decoder_is_that_of_transformers(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"])
    rows = Rows(task.encode({"prompt": SOURCES, "text": TARGETS}, purpose="learn"))
    model = build_model(bases["gpt2"], task.head, dropout=0.0).eval()
    batch = task.collate(rows, np.arange(3))
    mine = task.loss(model(batch), batch, options=LossOptions())
    labels = torch.full_like(batch["input_ids"], -100)
    for row in range(3):
        before, after = (rows.row(name, row) for name in ("input_ids", "target_ids"))
        labels[row, len(before) : len(before) + len(after)] = torch.from_numpy(after.astype(np.int64))
    theirs = model.backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
    assert float(mine.total.detach() / mine.weight) == pytest.approx(float(theirs.detach()), rel=1e-5)


def test_every_token_of_a_long_text_is_told_once(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"], max_length=16, stride=6)
    text = " ".join(["the card is broken and where is my laptop"] * 4)
    whole = [*task.tokenizer.encode([text])[0], *task.endings]
    rows = Rows(task.encode({"text": [text, "the"]}, purpose="learn"))
    told = [token for i in range(len(rows)) if rows.example[i] == 0 for token in rows.row("target_ids", i).tolist()]
    assert told == whole
    assert rows.lengths.max() == 16
    inner = [rows.row("input_ids", i).tolist() for i in range(1, len(rows)) if rows.example[i] == 0]
    assert all(len(window) == 6 for window in inner)


def test_a_window_goes_on_from_the_tokens_before_it(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"], max_length=16, stride=6)
    rows = Rows(
        task.encode({"text": ["the card is broken and where is my laptop please help me now"] * 1}, purpose="learn")
    )
    first = [*rows.row("input_ids", 0).tolist(), *rows.row("target_ids", 0).tolist()]
    assert rows.row("input_ids", 1).tolist() == first[-6:]


def test_a_prompt_without_room_loses_its_beginning_and_says_so(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"], max_length=16, decoding={"max_new_tokens": 8})
    rows = Rows(task.encode({"prompt": ["a b c d e f g h i j k l m n"]}, purpose="predict"))
    ids = task.tokenizer.encode(["a b c d e f g h i j k l m n"])[0]
    assert len(rows.row("input_ids", 0)) == 8
    assert rows.row("input_ids", 0).tolist()[1:] == ids[-7:]
    assert rows.scalar("truncated").tolist() == [1]


def test_a_whole_text_has_nothing_after_it(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"])
    assert task.prompts(Rows(task.encode({"text": ["the card"]}, purpose="learn"))) == [[]]


def test_instructions_stand_before_every_source(bases: dict[str, Path]) -> None:
    plain, told = translation(bases["t5"]), translation(bases["t5"], instruction="the order: ")
    one = Rows(plain.encode({"source": ["the order: my card"]}, purpose="predict"))
    other = Rows(told.encode({"source": ["my card"]}, purpose="predict"))
    assert one.row("input_ids", 0).tolist() == other.row("input_ids", 0).tolist()


def test_han_targets_are_measured_by_characters() -> None:
    from hone.data.dataset import Dataset
    from hone.tasks.summarization import Summarization
    from hone.tasks.translation import Translation

    chinese = Dataset.from_columns("train", {"source": ["a"], "target": ["我爱你 OK"]})
    german = Dataset.from_columns("train", {"source": ["a"], "target": ["ich liebe dich"]})
    assert Translation.settled(TranslationSettings(), chinese).bleu_tokenizer == "zh"
    assert Translation.settled(TranslationSettings(), german).bleu_tokenizer == "13a"
    assert Summarization.settled(SummarizationSettings(), chinese).units == "characters"
    assert Summarization.settled(SummarizationSettings(units="words"), chinese).units == "words"


def test_a_report_of_bleu_says_how_sacrebleu_counted(bases: dict[str, Path]) -> None:
    task = translation(bases["bart"], bleu_tokenizer="zh")
    assert isinstance(task, Writing)
    columns = {"source": ["a"], "target": ["我爱你"]}
    signatures = task.scored([{"text": "我爱你", "ended": "stop", "truncated": False}], columns).tables["signatures"]
    assert [row[0] for row in signatures.rows] == ["BLEU", "chrF"]
    assert str(signatures.rows[0][1]).startswith("nrefs:1|case:mixed|eff:no|tok:zh|")
    assert "signatures" not in task.silent().scored([{"truncated": False}], columns).tables


def test_texts_that_keep_to_the_constraint_are_counted_where_there_is_one(bases: dict[str, Path]) -> None:
    asked = translation(bases["bart"], decoding={"regex": "[a-z ]+"})
    said = [{"text": "a", "satisfied": True}, {"text": "B", "satisfied": False}, {"text": "c", "satisfied": True}]
    found = asked.measures(asked.tally(said, {"source": SOURCES, "target": TARGETS}))
    assert found["satisfied"] == pytest.approx(2 / 3)
    assert asked.measure_specs["satisfied"].interval == "wilson"
    assert "satisfied" not in translation(bases["bart"]).measure_specs


def test_texts_that_are_cut_are_counted(bases: dict[str, Path]) -> None:
    short = {"long_target": "truncate", "max_target_length": 6}
    long = " ".join(TARGETS)
    translated = translation(bases["bart"], **short).encode(
        {"source": SOURCES, "target": ["a", long, long]}, purpose="learn"
    )
    assert cut_texts(Rows(translated)) == (2, 3)
    told = generation(bases["gpt2"], **short).encode({"prompt": SOURCES, "text": ["a", "a", long]}, purpose="learn")
    assert cut_texts(Rows(told)) == (1, 3)
    assert unseen_said(Rows(told), "train", "en")[0].startswith("33.3% of the texts to write of train (1) are cut")
    whole = generation(bases["gpt2"], max_length=16).encode({"text": [long]}, purpose="learn")  # in windows
    assert unseen_said(Rows(whole), "train", "en") == []


def test_of_pairs_both_texts_are_counted(bases: dict[str, Path]) -> None:
    task: Any = translation(bases["bart"], long_target="truncate", max_target_length=6)
    given = {"source": SOURCES[:2], "chosen": ["a", " ".join(TARGETS)], "rejected": ["b", "c"]}
    assert cut_texts(Rows(Pairs(task).encode(given, purpose="learn"))) == (1, 4)


def test_how_wrong_a_text_is_goes_by_what_was_written(bases: dict[str, Path]) -> None:
    task = generation(bases["gpt2"])
    unlikely = {"reference_log_probability": -30.0, "reference_tokens": 3, "reference_right": 0, "truncated": False}
    said = [{"text": text, "ended": "stop", **unlikely} for text in ("die Karte", "mein laptop", "nein")]
    scored = task.scored(said, {"prompt": SOURCES, "text": TARGETS})
    assert scored.badness[0] == 0.0
    assert 0 < scored.badness[1] < scored.badness[2] <= 1
    whole = task.scored([unlikely] * 3, {"text": TARGETS})  # nothing comes after them
    assert whole.badness == pytest.approx(1 - np.exp(-10.0))


def test_what_a_summary_does_not_take_from_its_source_has_an_interval(bases: dict[str, Path]) -> None:
    task = make_task("summarization", SummarizationSettings(units="words"), labels=(), folder=bases["bart"])
    said = [{"text": text, "ended": "stop", "truncated": False} for text in ("the card", "my new laptop", "a b")]
    tally = task.tally(said, {"source": SOURCES, "target": TARGETS})
    found = {one.name: one for one in with_intervals(tally, task.measures, specs=task.measure_specs, additive=True)}
    assert found["novel_1"].value == pytest.approx(3 / 7)
    assert found["copied_1"].value == pytest.approx(4 / 7)
    assert found["novel_2"].value == pytest.approx(3 / 4)
    for name in ("novel_1", "novel_2", "copied_1"):
        assert found[name].low < found[name].value < found[name].high  # type: ignore[operator]
