"""BM25 over lists in files is BM25 by its formula; two rankings made one."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import hone.retrieval.words as words
from hone.retrieval.index import joined
from hone.retrieval.words import Words, WordsWriter, fused
from hone.text.terms import terms

TEXTS = ["The cat sat on the mat", "a dog", "", "the DOG and the cat, the cat!", "银行卡丢了", "我的银行"] * 3
K1, B = 1.2, 0.75


def by_formula(query: str) -> list[float]:
    counts = [Counter(term.name for term in terms(text)) for text in TEXTS]
    mean = sum(count.total() for count in counts) / len(TEXTS)
    out = []
    for count in counts:
        score = 0.0
        for term in terms(query):
            within = sum(term.name in other for other in counts)
            idf = math.log(1 + (len(TEXTS) - within + 0.5) / (within + 0.5))
            often = count[term.name]
            score += idf * often * (K1 + 1) / (often + K1 * (1 - B + B * count.total() / mean))
        out.append(score)
    return out


@pytest.fixture(params=[1 << 20, 4])
def lists(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Words:
    monkeypatch.setattr(words, "SPILLED", request.param)
    writer = WordsWriter(tmp_path)
    writer.add(TEXTS[:5])
    writer.add(TEXTS[5:])
    writer.finish(k1=K1, b=B)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(words.FILES)
    return Words(tmp_path, count=len(TEXTS))


@pytest.mark.parametrize("query", ["cat", "the cat the", "Dog", "银行", "银行 cat"])
def test_scores_are_those_of_the_formula(query: str, lists: Words) -> None:
    rows, scores = lists.nearest(query, k=len(TEXTS))
    expected = np.array(by_formula(query))
    assert np.allclose(scores, expected[rows], rtol=1e-5)
    assert set(rows.tolist()) == set(np.flatnonzero(expected).tolist())
    assert (np.diff(scores) <= 0).all()


def test_texts_that_share_no_word_are_no_answers(lists: Words) -> None:
    rows, _ = lists.nearest("zebra", k=3)
    assert rows.tolist() == []


def test_no_text_with_a_word_makes_empty_lists(tmp_path: Path) -> None:
    writer = WordsWriter(tmp_path)
    writer.add(["", "..."])
    writer.finish(k1=K1, b=B)
    rows, _ = Words(tmp_path, count=2).nearest("cat", k=2)
    assert rows.tolist() == []


def test_chinese_is_found_by_characters_and_by_pairs() -> None:
    assert [term.name for term in terms("银行A卡")] == ["银", "行", "a", "卡", "银行"]


def test_full_width_forms_are_read_as_the_usual_ones() -> None:
    assert [tuple(term) for term in terms("Ｎｏ．７，卡")] == [("no.7", 0, 4), ("卡", 5, 6)]


def test_stretches_that_overlap_are_shown_as_one() -> None:
    assert joined([(2, 3), (0, 1), (0, 2), (1, 2)]) == [[0, 2], [2, 3]]


def test_terms_stand_where_they_say() -> None:
    text = "Don't STOP, 不要停!"
    assert all(text[term.start : term.end].casefold() == term.name for term in terms(text))


def test_fusion_sums_what_ranks_are_worth() -> None:
    rows, sums = fused([np.array([4, 2, 9]), np.array([2, 7])], k=3)
    assert rows.tolist() == [2, 4, 7]
    assert sums.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_the_lists_have_room_on_the_disk_before_they_are_filled(tmp_path: Path) -> None:
    """A sparse file that is mapped kills the process where the disk is full."""
    made = words._zeros(tmp_path / "list", np.float32, 70_000)
    assert made.shape == (70_000,)
    assert not made.any()
    assert (tmp_path / "list").stat().st_blocks * 512 >= 280_000
