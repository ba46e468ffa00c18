"""``span-classification``: which tokens an entity is, what is lost, the loss, and answers of several windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.settings import SpanClassificationSettings
from hone.tasks.span_classification import ranking_loss

LABELS = ("LOC", "ORG")
TEXT = "the screen is broken please help me with this"


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(**settings: Any) -> Any:
        chosen = SpanClassificationSettings.model_validate(settings)
        return make_task("span-classification", chosen, labels=LABELS, folder=tiny_base)

    return make


def entity(words: str, label: str, text: str = TEXT) -> dict[str, Any]:
    return {"start": text.index(words), "end": text.index(words) + len(words), "label": label}


def rows_of(task: Any, *entities: dict[str, Any], text: str = TEXT) -> Rows:
    return Rows(task.encode({"text": [text], "entities": [list(entities)]}, purpose="learn"))


def test_entities_are_first_and_last_tokens(make: Any) -> None:
    rows = rows_of(make(), entity("screen is broken", "ORG"), entity("screen", "LOC"))
    places, text = rows.row("spans", 0).reshape(-1, 2), TEXT
    found = rows.row("entities", 0).reshape(-1, 3).tolist()
    shown = [(LABELS[label], text[places[first, 0] : places[last, 1]]) for label, first, last in found]
    assert shown == [("ORG", "screen is broken"), ("LOC", "screen")]
    assert rows.scalar("lost").tolist() == [0]


def test_what_begins_within_a_token_or_ends_there_is_lost_and_counted(make: Any) -> None:
    inside = {"start": TEXT.index("please") + 1, "end": TEXT.index("please") + 6, "label": "LOC"}
    rows = rows_of(make(), inside, entity("broken", "ORG"))
    assert len(rows.row("entities", 0)) == 3
    assert rows.scalar("lost").tolist() == [1]


def test_blanks_at_the_ends_of_an_entity_are_no_part_of_it(make: Any) -> None:
    task, text = make(), "the screen is broken  please"
    given = [entity("screen ", "ORG", text), entity("  please", "LOC", text), entity("  ", "LOC", text)]
    bare = [entity("screen", "ORG", text), entity("please", "LOC", text)]
    rows = rows_of(task, *given, text=text)
    assert rows.row("entities", 0).tolist() == rows_of(task, *bare, text=text).row("entities", 0).tolist()
    assert rows.scalar("lost").tolist() == [1]  # of blanks alone
    said = [{"entities": [{**one, "text": "", "score": 0.9} for one in bare]}]
    columns = {"text": [text], "entities": [given[:2]]}
    assert task.measures(task.tally(said, columns))["entity_f1"] == 1.0
    found = task.scored(said, columns)
    assert found.gold == found.said == ["ORG: screen · LOC: please"]


def test_an_entity_longer_than_windows_is_lost_and_one_of_two_windows_is_not(make: Any) -> None:
    rows = rows_of(make(max_length=8, stride=3), entity(TEXT, "ORG"), entity("broken", "LOC"))
    assert len(rows) > 1
    assert rows.scalar("lost").tolist() == [1, *[0] * (len(rows) - 1)]
    assert sum(len(rows.row("entities", i)) for i in range(len(rows))) in (3, 6)


def test_the_loss_ranks_what_is_gold_above_zero_and_the_rest_below(make: Any) -> None:
    scores = torch.tensor([[[2.0], [-1.0], [0.5]]])
    gold = torch.tensor([[[True], [False], [False]]])
    expected = np.log(1 + np.exp(-1.0) + np.exp(0.5)) + np.log(1 + np.exp(-2.0))
    assert float(ranking_loss(scores, gold)) == pytest.approx(expected, abs=1e-5)
    assert float(ranking_loss(torch.tensor([[[-30.0], [30.0]]]), torch.tensor([[[False], [True]]]))) < 1e-6


def test_perfect_scores_have_no_loss_and_give_the_entities_back(make: Any) -> None:
    task = make()
    gold = [entity("screen", "LOC"), entity("screen is broken", "ORG")]
    rows = rows_of(task, *gold)
    batch = task.collate(rows, np.array([0]))
    count = batch["word_mask"].shape[1]
    scores = torch.full((1, count, count, 2), -20.0)
    for label, first, last in batch["entities"][0].tolist():
        scores[0, first, last, label] = 20.0
    loss = task.loss({"logits": scores}, batch, options=LossOptions())
    assert float(loss.total) / loss.weight < 1e-5
    [answer] = task.join({"text": [TEXT]}, rows, task.decode({"logits": scores}, batch), constants={})
    found = [{name: one[name] for name in ("start", "end", "label")} for one in answer["entities"]]
    assert found == gold
    assert [one["text"] for one in answer["entities"]] == ["screen", "screen is broken"]
    assert task.measures(task.tally([answer], {"text": [TEXT], "entities": [gold]}))["entity_f1"] == 1.0


def test_the_same_entity_of_two_windows_is_one_answer(make: Any) -> None:
    task = make(max_length=8, stride=3)
    rows = rows_of(task)
    partials = []
    for row in range(len(rows)):
        places = rows.row("spans", row).reshape(-1, 2)
        hits = np.flatnonzero(places[:, 0] == TEXT.index("please"))
        partials.append(np.array([[at, at, 1, row + 1] for at in hits], dtype=np.float32).reshape(-1, 4))
    [answer] = task.join({"text": [TEXT]}, rows, partials, constants={})
    assert len(answer["entities"]) == 1


def test_overlapping_entities_are_recalled_apart(make: Any) -> None:
    gold = [entity("screen", "LOC"), entity("screen is broken", "ORG"), entity("this", "LOC")]
    said = {"entities": [{**gold[0], "text": "screen", "score": 0.9}, {**gold[2], "text": "this", "score": 0.9}]}
    task = make()
    found = task.measures(task.tally([said], {"text": [TEXT], "entities": [gold]}))
    assert found["overlapping_recall"] == 0.5
    assert found["entity_recall"] == pytest.approx(2 / 3)
    assert found["entity_precision"] == 1.0
