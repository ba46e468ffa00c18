"""Conversations in rows: every answer once, whole turns, and nothing lost without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.errors import DataError
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.tasks.cut import cut_texts
from hone.tasks.faulty import FaultyExamples
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import TARGET, Rows
from hone.tasks.table import SETTINGS

THINKING = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' }}"
    "{% if loop.last and m['role'] == 'assistant' %}{{ 'so ' }}{% endif %}{{ m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("talk") / "gpt2", kind="gpt2", layers=1)


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return build_model(folder, task_of(folder).head, dropout=0.0).eval()


def task_of(folder: Path, name: str = "dialogue", **settings: Any) -> Any:
    settings = {"decoding": {"max_new_tokens": 8}, **settings}
    return make_task(name, SETTINGS[name].model_validate(settings), labels=(), folder=folder)


def talk(answers: int, *, system: str = "") -> list[dict[str, str]]:
    """A conversation in which the user and the assistant speak by turns, each a few tokens."""
    first = [{"role": "system", "text": system}] if system else []
    each = [(f"money {i}", f"thanks {i}") for i in range(answers)]
    said = [
        {"role": role, "text": text} for pair in each for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*first, *said]


def encoded(task: Any, *talks: list[dict[str, str]], purpose: str = "learn", name: str = "turns") -> Rows:
    return Rows(task.encode({name: list(talks)}, purpose=purpose))


def learned(task: Any, rows: Rows) -> list[str]:
    """The answers that are learned, row after row."""
    texts = []
    for i in range(len(rows)):
        told, spans = rows.row(TARGET, i).tolist(), rows.row("learned", i).reshape(-1, 2).tolist()
        assert all(told[end - 1] == task.tokenizer.eos_id for _, end in spans)
        texts += task.tokenizer.decode([told[begin:end] for begin, end in spans])
    return texts


def test_all_answers_of_a_conversation_are_learned_in_one_row(folder: Path) -> None:
    task = task_of(folder)
    rows = encoded(task, talk(3, system="please"))
    assert len(rows) == 1
    assert learned(task, rows) == ["thanks 0", "thanks 1", "thanks 2"]


@pytest.mark.parametrize("settings", [{}, {"stride": 0}, {"max_length": 32}])
def test_a_longer_one_is_learned_in_several_rows_each_answer_once(folder: Path, settings: dict[str, Any]) -> None:
    task = task_of(folder, **settings)
    rows = encoded(task, talk(12, system="please"))
    assert len(rows) > 1
    assert learned(task, rows) == [f"thanks {i}" for i in range(12)]
    assert rows.lengths.max() <= task.max_tokens
    read = [task.tokenizer.pretrained.decode(rows.row("input_ids", i)) for i in range(len(rows))]
    assert all(text.startswith("</s><|system|>please</s><|user|>money") for text in read)


def test_what_is_written_from_is_what_a_prediction_reads(folder: Path) -> None:
    task, turns = task_of(folder), talk(12, system="please")
    [first, *_] = task.prompts(encoded(task, turns))
    for at, prompt in enumerate(first):
        asked = encoded(task, turns[: 2 + 2 * at], purpose="predict")
        assert task.prompts(asked) == [[prompt]]


def test_the_oldest_turns_are_left_out_before_the_next_answer(folder: Path) -> None:
    task = task_of(folder)
    rows = encoded(task, [*talk(12, system="please"), {"role": "user", "text": "money"}], purpose="predict")
    read = task.tokenizer.decode([rows.row("input_ids", 0)])[0]
    assert rows.scalar("truncated").tolist() == [1]
    assert read.startswith("pleasemoney")
    assert read.endswith("thanks 11money")
    assert task.max_tokens - 8 - 12 < rows.lengths[0] <= task.max_tokens - 8


def test_a_system_text_of_the_settings_stands_before_conversations_without_one(folder: Path) -> None:
    rows = encoded(task_of(folder, system="please"), talk(1), talk(1, system="the"))
    own = encoded(task_of(folder), talk(1, system="please"), talk(1, system="the"))
    assert rows.table.equals(own.table)


def test_text_generation_reads_conversations_as_dialogue_does(folder: Path) -> None:
    one = encoded(task_of(folder), talk(2))
    other = encoded(task_of(folder, "text-generation"), talk(2), name="messages")
    assert one.table.equals(other.table)


@pytest.mark.parametrize(
    ("turns", "settings", "said"),
    [
        (talk(12), {"long_text": "refuse"}, "long_text is 'refuse'"),
        (
            [{"role": "user", "text": "money " * 60}, *talk(1)[1:]],
            {},
            "answer 1 to a turn that is too long",
        ),
        ([*talk(1)[:1], {"role": "assistant", "text": "thanks " * 60}], {}, "answer 1, of "),
        ([*talk(2)[:3], {"role": "assistant", "text": "thanks " * 9}], {"max_target_length": 6}, "at most 6"),
    ],
)
def test_what_no_row_has_room_for_is_refused(
    folder: Path, turns: list[dict[str, str]], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(FaultyExamples) as caught:
        encoded(task_of(folder, **settings), talk(1), turns)
    assert said in str(caught.value)
    assert "1 of 2 (50.0%)" in str(caught.value)
    placed = caught.value.placed({1: ("rows.jsonl", 7)})
    assert "rows.jsonl:7: turns: found" in str(placed)


@pytest.mark.parametrize(("system", "user"), [(60, 1), (2, 60)])
def test_what_is_too_long_is_named_be_it_the_system_text_or_the_turn(system: int, user: int, folder: Path) -> None:
    turns = [{"role": "system", "text": "please " * system}, {"role": "user", "text": "money " * user}]
    beside = "after the system text (attributes and keywords are part of it)"
    with pytest.raises(DataError) as asked:
        encoded(task_of(folder), turns, purpose="predict")
    with pytest.raises(DataError) as learned_from:
        encoded(task_of(folder), [*turns, {"role": "assistant", "text": "thanks"}])
    assert [beside in str(refused.value) for refused in (asked, learned_from)] == [system > user] * 2


def test_a_turn_to_answer_that_is_too_long_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="a turn that is too long"):
        encoded(task_of(folder), [{"role": "user", "text": "money " * 60}], purpose="predict")


@pytest.mark.parametrize("settings", [{}, {"max_length": 32, "stride": 0}])
def test_each_answer_is_to_what_was_said_before_it(settings: dict[str, Any], folder: Path) -> None:
    task = task_of(folder, **settings)
    talks = [talk(2), talk(5)]
    rows = encoded(task, *talks)
    assert (len(rows) > 2) == bool(settings)
    assert cut_texts(rows) == (0, 7)
    asked = task.asked({"turns": talks}, rows)
    assert [len(texts) for texts in asked] == [len(prompts) for prompts in task.prompts(rows)]
    for example, answers in ((0, 2), (1, 5)):
        own = [text for of, texts in zip(rows.example, asked, strict=True) if of == example for text in texts]
        assert [text.splitlines()[-1] for text in own] == [f"user: money {i}" for i in range(answers)]
        assert own[1] == "user: money 0\nassistant: thanks 0\nuser: money 1"


def test_a_longer_answer_is_cut_where_the_settings_say_so(folder: Path) -> None:
    task = task_of(folder, long_target="truncate", max_target_length=4)
    rows = encoded(task, [*talk(1)[:1], {"role": "assistant", "text": "thanks " * 60}, *talk(1)])
    assert rows.row("learned", 0).tolist() == [0, 4]  # a turn that was cut is the last of its row
    assert len(rows) == 2
    assert cut_texts(rows) == (2, 2)


def test_answers_that_later_turns_change_are_learned_in_rows_of_their_own(folder: Path) -> None:
    task = task_of(folder)
    task.tokenizer.pretrained.split_special_tokens = False
    task.tokenizer.pretrained.backend_tokenizer.encode_special_tokens = False
    task.tokenizer.pretrained.chat_template = THINKING
    rows = encoded(task, talk(3))
    assert learned(task, rows) == ["thanks 0", "thanks 1", "thanks 2"]  # what stands before is not learned
    assert len(rows) == 3
    assert task.tokenizer.decode([rows.row("input_ids", 2)]) == ["money 0thanks 0money 1thanks 1money 2so "]


def losses(task: Any, model: Model, rows: Rows) -> tuple[float, float]:
    batch = task.collate(rows, np.arange(len(rows)))
    loss = task.loss(model(batch), batch, options=LossOptions())
    loss.total.backward()
    return float(loss.total.detach()), loss.weight


def test_answers_in_one_row_are_learned_as_in_rows_of_their_own(folder: Path, model: Model) -> None:
    task, turns = task_of(folder), talk(4, system="please")
    together = losses(task, model, encoded(task, turns))
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    each = [encoded(task, turns[: 1 + 2 * (i + 1)]) for i in range(4)]
    single = [0.0, 0.0]
    for rows in each:  # of each the last answer alone
        before, end = len(rows.row("input_ids", 0)), rows.row("learned", 0)[-2:].tolist()
        batch = task.collate(rows, np.arange(1))
        kept = batch["target_places"][:, 1] >= before + end[0] - 1
        batch = {**batch, "target_places": batch["target_places"][kept], "gold": batch["gold"][kept]}
        loss = task.loss(model(batch), batch, options=LossOptions())
        loss.total.backward()
        single = [single[0] + float(loss.total.detach()), single[1] + loss.weight]
    assert together == pytest.approx(tuple(single), rel=1e-6)
    for name, parameter in model.named_parameters():
        if name in found:
            torch.testing.assert_close(parameter.grad, found[name], atol=1e-5, rtol=1e-4)


def test_every_answer_is_measured_and_the_last_is_the_prediction(folder: Path) -> None:
    from hone.tasks.written import Draft, Drafts

    task, turns = task_of(folder), [talk(2), talk(1)]
    rows = encoded(task, *turns)
    drafts = [
        Drafts(((Draft("thanks 0", 3, -1.0, "stop"),), (Draft("no", 2, -2.0, "length"),)), (-6.0, 8, 3)),
        Drafts(((Draft("thanks 0", 3, -1.0, "stop"),),), (-2.0, 4, 4)),
    ]
    found = task.join({"turns": turns}, rows, drafts, constants={})
    assert [one["text"] for one in found] == ["no", "thanks 0"]
    assert [len(one["answers"]) for one in found] == [2, 1]
    measures = task.measures(task.tally(found, {"turns": turns}))
    assert measures["exact_match"] == pytest.approx(2 / 3)
    assert measures["perplexity"] == pytest.approx(np.exp(8 / 12))
    scored = task.scored(found, {"turns": turns})
    assert scored.tables["endings"].rows == [["stop", 2, 2 / 3], ["length", 1, 1 / 3]]
    assert (scored.gold[0], scored.said[0]) == ("thanks 0\nthanks 1", "thanks 0\nno")  # all that is measured
    assert list(scored.badness > 0) == [True, False]
    first, both = found[0], {**found[0], "answers": [found[0]["answers"][1]] * 2}
    assert task.agrees(first, found[0])
    assert not task.agrees(first, both)  # whose last answers are equal
    assert json.dumps(found)


def test_of_two_answers_to_a_conversation_each_is_learned_alone(folder: Path) -> None:
    task = task_of(folder)
    asked = talk(2)[:3]
    rows = Rows(task.encode(task.with_texts({"turns": [asked]}, ["no"]), purpose="learn"))
    assert learned(task, rows) == ["no"]
    assert task.prompts(rows) == task.prompts(encoded(task, asked, purpose="predict"))


@pytest.mark.parametrize(("learned", "converses"), [(None, True), (False, False), (True, True)])
def test_what_a_bundle_learned_from_says_whether_it_converses_and_not_its_base(
    learned: bool | None, converses: bool, folder: Path
) -> None:
    task = task_of(folder, "text-generation", messages=learned)
    task.tokenizer.pretrained.chat_template = THINKING
    assert task.converses is converses
    assert task.reads_conversations  # where it is given one
    plain = task_of(folder, "text-generation", messages=learned)
    assert plain.converses is plain.reads_conversations is bool(learned)
