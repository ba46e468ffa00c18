"""Windows cover every word, joined they say what one window says, and padding changes no score."""

from __future__ import annotations

import typing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_cases import CASES, Case, answered, built, forwarded, learned

from hone.tasks.long_text import spanned, spans
from hone.tasks.table import SETTINGS
from hone.tasks.word_windows import stitched, word_windows

many = settings(max_examples=60, deadline=None)


@many
@given(st.integers(0, 600), st.integers(1, 70), st.integers(0, 90))
def test_windows_over_tokens_cover_all_of_them_and_share_the_stride(length: int, room: int, stride: int) -> None:
    windows = spans(length, room=room, stride=stride)
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(0 <= end - start <= room for start, end in windows)
    for (_, end), (start, _) in zip(windows, windows[1:], strict=False):
        assert end - start == min(stride, room // 2)
    assert len(windows) == 1 or length > room
    assert spanned(length, room=room, stride=stride) == (len(windows), sum(end - start for start, end in windows))


@many
@given(st.data())
def test_windows_over_words_cover_all_of_them_in_order(data: st.DataObject) -> None:
    room = data.draw(st.integers(1, 40))
    pieces = np.array(data.draw(st.lists(st.integers(1, room), max_size=80)), dtype=np.int64)
    stride = data.draw(st.integers(0, 60))
    windows = word_windows(pieces, room=room, stride=stride)
    assert windows[0][0] == 0
    assert windows[-1][1] == len(pieces)
    assert all(pieces[first:end].sum() <= room for first, end in windows)
    for (first, end), (then, later) in zip(windows, windows[1:], strict=False):
        assert first < then <= end < later  # goes on, leaves no word out
        assert pieces[then:end].sum() <= min(stride, room // 2)
    assert len(windows) == 1 or pieces.sum() > room


@many
@given(st.integers(5, 60), st.integers(1, 30), st.integers(0, 200))
def test_neighboring_windows_share_as_many_words_as_the_stride_holds(room: int, stride: int, count: int) -> None:
    windows = word_windows(np.ones(count, dtype=np.int64), room=room, stride=stride)
    for (_, end), (then, _) in zip(windows, windows[1:], strict=False):
        assert end - then == min(stride, room // 2)


@many
@given(st.integers(1, 60), st.integers(2, 20), st.integers(0, 10))
def test_each_word_is_read_where_it_stands_farthest_from_a_cut(count: int, room: int, stride: int) -> None:
    windows = word_windows(np.ones(count, dtype=np.int64), room=room, stride=stride)
    parts = [
        (first, np.array([[number, word] for word in range(first, end)], dtype=np.float32))
        for number, (first, end) in enumerate(windows)
    ]
    found = stitched(parts)
    assert found[:, 1].tolist() == list(range(count))
    for word, chosen in enumerate(found[:, 0]):
        depth = {}
        for number, (first, end) in enumerate(windows):
            if first <= word < end:
                left = word - first if first else np.inf
                right = end - 1 - word if end < count else np.inf
                depth[number] = min(left, right)
        assert depth[int(chosen)] == max(depth.values())


@given(st.integers(1, 40))
def test_one_window_is_given_back_as_it_is(count: int) -> None:
    scores = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    assert np.array_equal(stitched([(0, scores)]), scores)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_padding_and_company_change_no_score(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    rows = learned(task, case.columns())
    index = np.random.default_rng(2).permutation(len(rows))
    together = dict(zip(index.tolist(), forwarded(task, model, rows, index), strict=True))
    for i in range(len(rows)):
        [alone] = forwarded(task, model, rows, np.array([i]))
        assert alone.shape == together[i].shape
        assert np.abs(alone - together[i]).max(initial=0.0) < 1e-5


@pytest.mark.parametrize("name", list(SETTINGS))
def test_where_one_window_suffices_long_text_changes_no_answer(name: str, tiny_base: Path) -> None:
    found = []
    for choice in typing.get_args(SETTINGS[name].model_fields["long_text"].annotation):
        case = Case(name, {"long_text": choice, "stride": 3})
        task, model = built(case, tiny_base)
        found.append(answered(task, model, case.inputs()))
    assert len(found) > 1
    assert all(one == found[0] for one in found)
