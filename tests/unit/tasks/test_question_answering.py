"""``question-answering``: targets and answers at exact offsets, windows joined to one answer, none where none is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.tasks.cut import unseen_said
from hone.tasks.encoded import encoded
from hone.tasks.long_text import TooMuch
from hone.tasks.make import make_task
from hone.tasks.protocol import Deciding, LossOptions
from hone.tasks.question_answering import UNTOLD, best_span
from hone.tasks.questions import QuestionTooLong
from hone.tasks.rows import Rows
from hone.tasks.settings import QuestionAnsweringSettings

CONTEXT = "the screen is broken , please reset the password now"
LONG = CONTEXT + " thanks" * 12 + " and my money back" + " today" * 12


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = QuestionAnsweringSettings.model_validate(settings)
        return make_task("question-answering", chosen, labels=("start", "end"), folder=tiny_base)

    return make


def columns(*answers: str, context: str = CONTEXT, question: str = "what") -> dict[str, list[Any]]:
    """One example a given answer; an empty one stands for none."""
    gold = [[{"text": text, "start": context.index(text)}] if text else [] for text in answers]
    return {"context": [context] * len(gold), "question": [question] * len(gold), "answers": gold}


def tokens_at(task: Any, rows: Rows, row: int, place: int) -> str:
    """The text of the token at a place of a row."""
    batch = task.collate(rows, np.array([row]))
    at = batch["answer_positions"][0, place]
    return str(task.tokenizer.pretrained.decode([int(batch["input_ids"][0, at])]))


def test_targets_are_the_tokens_of_the_answer(make: Any) -> None:
    task = make()
    rows = Rows(task.encode(columns("broken", "reset the password", ""), purpose="learn"))
    targets = task.collate(rows, np.arange(3))["targets"].tolist()
    assert [tokens_at(task, rows, 0, place) for place in targets[0]] == ["broken", "broken"]
    assert [tokens_at(task, rows, 1, place) for place in targets[1]] == ["reset", "password"]
    assert targets[2] == [0, 0]


def test_what_windows_repeat_is_counted_before_any_is_made(make: Any) -> None:
    """A question that leaves little room is read again and again."""
    task = make(stride=8)
    given = columns(*[""] * 3, context=CONTEXT * 20, question="the screen is broken " * 12)
    rows = Rows(task.encode(given, purpose="predict"))
    count = int(rows.lengths.sum())
    assert count > 10 * len((CONTEXT * 20).split())
    assert len(task.within(count).encode(given, purpose="predict")) == len(rows)
    with pytest.raises(TooMuch, match=f"found {count:,} tokens to read") as refused:
        task.within(count - 1).encode(given, purpose="predict")
    assert refused.value.code == "data.too-many-tokens"
    assert len(task.encode(given, purpose="predict")) == len(rows)  # the task itself is as it was


def test_every_word_of_a_context_is_found_again_at_its_offsets(make: Any) -> None:
    """A model that is sure of the gold places answers with the gold text, whatever the word."""
    task = make()
    words = sorted(set(CONTEXT.split()))
    given = columns(*words)
    rows = Rows(task.encode(given, purpose="learn"))
    batch = task.collate(rows, np.arange(len(rows)))
    partials = []
    for row, (start, end) in enumerate(batch["targets"].tolist()):
        scores = np.zeros((int(batch["answer_mask"][row].sum()), 2), dtype=np.float32)
        scores[start, 0] = scores[end, 1] = 5.0
        partials.append(scores)
    answers = task.join(given, rows, partials, constants={})
    assert [answer["answer"] for answer in answers] == words
    for answer in answers:
        assert CONTEXT[answer["start"] : answer["end"]] == answer["answer"]


def test_an_answer_across_two_windows_is_in_neither(make: Any) -> None:
    task = make(max_length=32, stride=2)
    rows = Rows(task.encode(columns("broken", context=LONG), purpose="learn"))
    assert len(rows) > 1
    assert rows.lengths.max() <= 32
    found = task.collate(rows, np.arange(len(rows)))["targets"]
    assert sum(int(pair.any()) for pair in found) >= 1
    whole = Rows(make(max_length=32, stride=0).encode(columns(LONG, context=LONG), purpose="learn"))
    assert (task.collate(whole, np.arange(len(whole)))["targets"] == UNTOLD).all()


def test_windows_of_an_answer_that_none_holds_whole_teach_nothing_and_it_is_told(make: Any) -> None:
    task = make(max_length=32, stride=0)
    lost, none, held = columns(LONG, "", "broken", context=LONG)["answers"]
    given = {"context": [LONG] * 3, "question": ["what"] * 3, "answers": [lost, none, held]}
    rows = Rows(task.encode(given, purpose="learn"))
    batch = task.collate(rows, np.arange(len(rows)))
    scores = torch.randn(*batch["answer_positions"].shape, 2)
    loss = task.loss({"logits": scores}, batch, options=LossOptions())
    taught = np.flatnonzero(rows.example > 0)
    only = task.loss({"logits": scores[taught]}, task.collate(rows, taught), options=LossOptions())
    assert float(loss.total) == pytest.approx(float(only.total), rel=1e-5)
    assert loss.weight == len(taught)
    [said] = unseen_said(rows, "train", "en")
    assert "Answers of train that no row holds whole: 1." in said
    nothing = task.collate(rows, np.flatnonzero(rows.example == 0))
    assert task.loss({"logits": scores[: len(nothing["targets"])]}, nothing, options=LossOptions()).total == 0


def test_of_several_answers_the_first_that_a_window_holds_is_learned(make: Any) -> None:
    task = make(max_length=32, stride=0)
    both = columns(LONG, "money", context=LONG)["answers"]
    given = {"context": [LONG], "question": ["what"], "answers": [[*both[0], *both[1]]]}
    rows = Rows(task.encode(given, purpose="learn"))
    targets = task.collate(rows, np.arange(len(rows)))["targets"].tolist()
    [(row, place)] = [(row, start) for row, (start, _) in enumerate(targets) if start]
    assert tokens_at(task, rows, row, place) == "money"
    assert unseen_said(rows, "train", "en") == []


def test_answers_longer_than_any_that_is_given_are_told(make: Any) -> None:
    rows = Rows(make(max_answer_tokens=2).encode(columns("broken", "reset the password"), purpose="learn"))
    [said] = unseen_said(rows, "train", "en")
    assert "Answers of train that are longer than max_answer_tokens: 1." in said
    assert unseen_said(rows, "train", "zh")[0].startswith("训练集中长于 max_answer_tokens 的答案：1 个")


def test_the_best_window_answers_and_all_must_deny(make: Any) -> None:
    task = make(max_length=32, stride=2)
    given = columns("money", context=LONG)
    rows = Rows(task.encode(given, purpose="learn"))
    batch = task.collate(rows, np.arange(len(rows)))
    partials = []
    for row, (start, end) in enumerate(batch["targets"].tolist()):
        scores = np.full((int(batch["answer_mask"][row].sum()), 2), -3.0, dtype=np.float32)
        scores[0] = 1.0  # every window without the answer denies one
        if start:
            scores[0], scores[start, 0], scores[end, 1] = 0.5, 2.0, 2.0
        partials.append(scores)
    [answer] = task.join(given, rows, partials, constants={})
    assert answer["answer"] == "money"
    assert answer["margin"] == pytest.approx(4.0 - 1.0)
    assert answer["score"] == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_the_best_span_is_found_among_all() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        scores = rng.normal(size=(int(rng.integers(1, 12)), 2)).astype(np.float32)
        most = int(rng.integers(1, 6))
        pairs = [(i, j) for i in range(len(scores)) for j in range(i, min(i + most, len(scores)))]
        expected = max(float(scores[i, 0] + scores[j, 1]) for i, j in pairs)
        value, first, last = best_span(scores, most=most)
        assert value == pytest.approx(expected)
        assert 0 <= last - first < most
    assert best_span(np.zeros((0, 2), dtype=np.float32), most=3)[0] == -np.inf


def test_an_empty_context_has_no_answer(make: Any) -> None:
    task = make()
    given = {"context": [""], "question": ["what"]}
    rows = Rows(task.encode(given, purpose="predict"))
    [answer] = task.join(given, rows, [np.zeros((1, 2), dtype=np.float32)], constants={})
    assert (answer["answer"], answer["start"], answer["end"]) == ("", None, None)


def test_places_that_are_padding_take_no_part_in_the_loss(make: Any) -> None:
    task = make()
    short, long = columns("broken", context="is broken"), columns("broken")
    both = {name: short[name] + long[name] for name in short}
    rows = Rows(task.encode(both, purpose="learn"))
    batch = task.collate(rows, np.arange(2))
    scores = torch.randn(*batch["answer_positions"].shape, 2)
    together = task.loss({"logits": scores}, batch, options=LossOptions())
    alone = task.collate(rows, np.array([0]))
    places = alone["answer_positions"].shape[1]
    first = task.loss({"logits": scores[:1, :places]}, alone, options=LossOptions())
    second = task.loss({"logits": scores[1:]}, task.collate(rows, np.array([1])), options=LossOptions())
    assert float(together.total) == pytest.approx(float(first.total + second.total), rel=1e-5)
    assert together.weight == 2.0


def said(margin: float, text: str) -> dict[str, Any]:
    return {"best": {"text": text, "start": 0, "end": len(text)}, "margin": margin, "truncated": False}


def test_the_margin_from_which_answering_is_best_is_tuned(make: Any) -> None:
    task = make()
    assert isinstance(task, Deciding)
    gold = [[{"text": "ada", "start": 0}]] * 3 + [[]] * 3
    given = [said(m, "ada") for m in (-1.0, 0.5, 3.0)] + [said(m, "x") for m in (-4.0, -3.0, -2.0)]
    decision = task.fit_decision(given, {"answers": gold})
    assert -2.0 < decision["margin"] < -1.0
    decided = task.decided(decision)
    assert [bool(decided.answered(one)["answer"]) for one in given] == [True] * 3 + [False] * 3
    assert task.answered(given[0])["answer"] == ""  # without a decision, from 0
    nothing = task.fit_decision([said(9.0, "x")] * 2, {"answers": [[], []]})
    assert task.decided(nothing).answered(said(9.0, "x"))["answer"] == ""


def test_equal_margins_are_decided_alike(make: Any) -> None:
    task = make()
    gold = [[{"text": "ada", "start": 0}], [], []]
    decision = task.fit_decision([said(1.0, "ada"), said(1.0, "x"), said(1.0, "x")], {"answers": gold})
    assert task.decided(decision).answered(said(1.0, "ada"))["answer"] == ""


def test_measures_of_a_known_case(make: Any) -> None:
    task = make()
    gold = [[{"text": "river Seine", "start": 0}], [{"text": "Ada", "start": 0}], [], []]
    answers = [{"answer": text} for text in ("Seine", "Ada", "", "x")]
    measures = task.measures(task.tally(answers, {"answers": gold}))
    assert measures == pytest.approx(
        {"f1": (2 / 3 + 1 + 1 + 0) / 4, "exact_match": 0.5, "f1_answerable": 5 / 6, "unanswerable_recall": 0.5}
    )


def test_a_question_that_fills_the_row_is_named(make: Any, tmp_path: Path) -> None:
    task = make(max_length=32)
    good, bad = columns("broken"), columns("broken", question="what " * 40)
    rows = Dataset.from_columns("train", {name: good[name] + bad[name] for name in good})
    with pytest.raises(QuestionTooLong) as caught:
        encoded(task, rows, cache=tmp_path)
    assert caught.value.lengths.keys() == {1}
    assert "question" in str(caught.value)
    with pytest.raises(DataError):
        make(max_length=32, long_text="refuse").encode(columns("broken", context=CONTEXT * 3), purpose="predict")
