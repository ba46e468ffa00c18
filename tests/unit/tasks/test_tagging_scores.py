"""Taggings are scored by entity and by word; tables and mistakes read as a person reads them."""

from __future__ import annotations

import numpy as np
import pytest

from hone.tasks.tagging_scores import SPECS, measures, scored, tally, types_of
from hone.text.words import join_words

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
GOLD = [["B-PER", "I-PER", "O"], ["B-LOC", "O", "B-PER"], ["O"]]
SAID = [["B-PER", "I-PER", "O"], ["B-LOC", "I-LOC", "O"], ["O"]]
SURE = [[0.9], [0.6], []]  # of the entities said
WORDS = [["Ada", "Fox", "left"], ["Rome", "saw", "Kim"], ["well"]]


def test_types_are_read_off_the_tags() -> None:
    assert types_of(TAGS) == ("LOC", "PER")


def test_a_tally_counts_hits_said_and_true_of_entities_then_of_words() -> None:
    counts = tally(GOLD, SAID, SURE, tags=TAGS)
    assert counts.shape == (3, 3 * 2 + 3 * 5 + 15)
    assert counts[:, :6].tolist() == [[0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]]
    assert counts[1, 6:21].tolist() == [0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0]


def test_measures_are_those_of_the_summed_counts() -> None:
    found = measures(tally(GOLD, SAID, SURE, tags=TAGS), tags=TAGS)
    assert found.keys() == SPECS.keys()
    assert found["entity_precision"] == pytest.approx(1 / 2)
    assert found["entity_recall"] == pytest.approx(1 / 3)
    assert found["entity_f1"] == pytest.approx(0.4)
    assert found["entity_macro_f1"] == pytest.approx((0 + 2 / 3) / 2)
    assert found["token_accuracy"] == pytest.approx(5 / 7)


def test_perfect_tags_score_one_throughout() -> None:
    found = measures(tally(GOLD, GOLD, [[1.0], [1.0, 1.0], []], tags=TAGS), tags=TAGS)
    assert found.pop("entity_ece") == 0.0
    assert set(found.values()) == {1.0}


def test_the_calibration_error_is_that_of_the_entities_said() -> None:
    found = measures(tally(GOLD, SAID, SURE, tags=TAGS), tags=TAGS)["entity_ece"]
    assert found == pytest.approx((abs(1 - 0.9) + abs(0 - 0.6)) / 2)
    tables = scored(WORDS, GOLD, SAID, SURE, tags=TAGS, join=join_words).tables
    assert tables["ece_perfect"].rows[0][0] == pytest.approx(found)
    assert [row[2] for row in tables["reliability"].rows] == [1, 1]


def test_without_entities_said_there_is_no_calibration() -> None:
    nothing = [["O"] * len(tags) for tags in GOLD]
    assert measures(tally(GOLD, nothing, [[], [], []], tags=TAGS), tags=TAGS)["entity_ece"] is None
    assert "reliability" not in scored(WORDS, GOLD, nothing, [[], [], []], tags=TAGS, join=join_words).tables


@pytest.mark.parametrize("texts", [[], [[]]])
def test_without_words_nothing_has_a_value(texts: list[list[str]]) -> None:
    counts = tally(texts, texts, texts, tags=TAGS)
    assert counts.shape == (len(texts), 36)
    assert measures(counts, tags=TAGS) == dict.fromkeys(SPECS)


def test_badness_is_entities_missed_and_made_up() -> None:
    assert scored(WORDS, GOLD, SAID, SURE, tags=TAGS, join=join_words).badness.tolist() == [0, 3, 0]


def test_a_mistake_reads_as_text_and_entities() -> None:
    found = scored(WORDS, GOLD, SAID, SURE, tags=TAGS, join=join_words)
    assert (found.texts[1], found.gold[1], found.said[1]) == ("Rome saw Kim", "LOC: Rome · PER: Kim", "LOC: Rome saw")
    assert (found.gold[2], found.said[2]) == ("–", "–")


def test_tables_count_entities_words_and_confusions() -> None:
    tables = scored(WORDS, GOLD, SAID, SURE, tags=TAGS, join=join_words).tables
    assert tables["per_entity"].rows == [["LOC", 0.0, 0.0, 0.0, 1], ["PER", pytest.approx(2 / 3), 1.0, 0.5, 2]]
    assert [row[-1] for row in tables["per_token"].rows] == [3, 1, 0, 2, 1]
    confusion = np.array([row[1:] for row in tables["confusion"].rows])
    assert confusion.sum() == 7
    assert confusion[TAGS.index("O"), TAGS.index("I-LOC")] == 1
    assert confusion[TAGS.index("B-PER"), TAGS.index("O")] == 1
