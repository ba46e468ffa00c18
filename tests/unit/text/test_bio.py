"""BIO tags: what may follow what, and the reading of illegal ones."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.text.bio import legal_transitions, may_follow, repaired, tag_set

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_the_tag_set_has_both_tags_of_each_type_that_was_seen() -> None:
    assert tag_set(["I-PER", "O", "B-LOC"]) == TAGS


def test_the_tag_set_of_nothing_is_o() -> None:
    assert tag_set([]) == ("O",)


def test_a_type_may_hold_hyphens() -> None:
    assert tag_set(["B-creative-work"]) == ("O", "B-creative-work", "I-creative-work")
    assert may_follow("B-creative-work", "I-creative-work")


@pytest.mark.parametrize(
    ("previous", "tag", "legal"),
    [
        (None, "O", True),
        (None, "B-PER", True),
        (None, "I-PER", False),
        ("O", "I-PER", False),
        ("B-PER", "I-PER", True),
        ("I-PER", "I-PER", True),
        ("B-LOC", "I-PER", False),
        ("I-LOC", "I-PER", False),
        ("I-LOC", "B-PER", True),
        ("B-PER", "O", True),
    ],
)
def test_an_inner_tag_continues_its_own_type_only(previous: str | None, tag: str, legal: bool) -> None:
    assert may_follow(previous, tag) is legal


def test_the_matrices_say_what_may_follow_says() -> None:
    start, follow = legal_transitions(TAGS)
    assert start.tolist() == [may_follow(None, tag) for tag in TAGS]
    for (i, one), (j, other) in itertools.product(enumerate(TAGS), repeat=2):
        assert follow[i, j] == may_follow(one, other)


def test_an_inner_tag_that_continues_nothing_begins_an_entity() -> None:
    assert repaired(["I-PER", "I-PER", "O", "I-LOC", "I-PER"]) == ["B-PER", "I-PER", "O", "B-LOC", "B-PER"]


@given(st.lists(st.sampled_from(TAGS)))
def test_repaired_tags_are_legal_and_stay_as_they_are(tags: list[str]) -> None:
    mended = repaired(tags)
    assert all(may_follow(mended[i - 1] if i else None, tag) for i, tag in enumerate(mended))
    assert repaired(mended) == mended
    assert [tag[1:] for tag in mended] == [tag[1:] for tag in tags]
