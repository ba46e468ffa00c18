"""Texts that are asked for at the same time are written in one loop, each as if it were alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from table_writer import ENDING, TableState, TableWriter, random_writer, together_of
from torch import Tensor

from hone.core.errors import DataError
from hone.predict.generation import together as module
from hone.predict.generation.generate import Abandoned, generate
from hone.predict.generation.together import Asked, Together
from hone.tasks.decoding import DecodingSettings

SETTINGS = DecodingSettings(max_new_tokens=12)
PROMPTS = [[[1, 2]], [[3], [4, 5, 1]], [[2, 2, 2]], [[5]]]  # of each caller
WAYS: list[dict[str, Any]] = [
    {},
    {"num_beams": 3, "num_return_sequences": 2},
    {"do_sample": True, "seed": 4, "num_return_sequences": 2},
    {"penalty_alpha": 0.4, "top_k": 3},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 3},
]


class GatedWriter(TableWriter):
    """Waits with its first prompt until ``go`` is set, so that whoever comes before that is there."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self.go = threading.Event()
        self.fails = False

    def begin(self, input_ids: Tensor, attention_mask: Tensor, *, hidden: bool = False) -> tuple[TableState, Tensor]:
        assert self.go.wait(20)
        return super().begin(input_ids, attention_mask, hidden=hidden)

    def step(self, state: TableState, tokens: Tensor) -> Tensor:
        if self.fails:
            raise RuntimeError("no memory is left")
        return super().step(state, tokens)


def gated() -> GatedWriter:
    """It writes long texts: what ends them is unlikely."""
    table = random_writer(places=14, tokens=8, seed=2).table.clone()
    table[..., 0] = -9.0
    return GatedWriter(table)


def ask(together: Together, prompts: Sequence[Sequence[int]], settings: DecodingSettings, **more: Any) -> Asked:
    return together.ask(prompts, settings, vocabulary=ENDING, **more)


def texts_of(asked: Asked) -> list[list[tuple[int, ...]]]:
    found = dict(told for told in asked.news() if isinstance(told, tuple))
    return [[text.ids for text in found[which]] for which in range(len(found))]


def alone(writer: TableWriter, prompts: Sequence[Sequence[int]], settings: DecodingSettings) -> Any:
    plain = TableWriter(writer.table)
    return [[text.ids for text in some] for some in generate(plain, prompts, settings, vocabulary=ENDING)]


def until_idle(together: Together) -> None:
    limit = time.monotonic() + 20
    while together._desks:
        assert time.monotonic() < limit
        time.sleep(0.001)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_each_caller_gets_the_texts_that_it_would_get_alone_from_shared_passes(options: dict[str, Any]) -> None:
    settings, writer = DecodingSettings(max_new_tokens=12, **options), gated()
    together = together_of(writer)
    asked = [ask(together, prompts, settings) for prompts in PROMPTS]
    writer.go.set()
    assert [texts_of(each) for each in asked] == [alone(writer, prompts, settings) for prompts in PROMPTS]
    rows = max(settings.num_beams, settings.num_return_sequences) * (settings.top_k or 1)
    assert max(writer.stepped) >= 5 * rows  # the first caller's, whose prompt was read alone, and the others' beside it
    assert len(writer.stepped) <= 12 + 1
    until_idle(together)


def test_other_settings_have_a_loop_of_their_own() -> None:
    writer, other = gated(), DecodingSettings(max_new_tokens=5)
    together = together_of(writer)
    asked = [ask(together, [[1]], SETTINGS), ask(together, [[1]], other)]
    assert len(together._desks) == 2
    writer.go.set()
    assert [len(texts_of(each)[0][0]) for each in asked] == [12, 5]
    assert set(writer.stepped) == {1}


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_who_goes_is_written_for_no_further_and_the_others_are(options: dict[str, Any]) -> None:
    settings, writer = DecodingSettings(max_new_tokens=12, **options), gated()
    together = together_of(writer)
    gone = threading.Event()
    leaves, stays = ask(together, [[1], [3]], settings, stopped=gone.is_set), ask(together, [[2]], settings)
    waits = ask(together, [[4]], settings, stopped=lambda: True)
    gone.set()
    writer.go.set()
    for each in (leaves, waits):
        with pytest.raises(Abandoned):
            texts_of(each)
    assert texts_of(stays) == alone(writer, [[2]], settings)
    rows = max(settings.num_beams, settings.num_return_sequences)
    assert writer.stepped[-1] <= rows * (settings.top_k or 1)
    until_idle(together)


def test_who_stops_asking_is_written_for_no_further() -> None:
    writer = gated()
    together = together_of(writer)
    writer.go.set()
    for told in ask(together, [[1]], DecodingSettings(max_new_tokens=1000), follows=True).news():
        assert isinstance(told, list)
        break
    until_idle(together)
    assert len(writer.stepped) < 900


def test_more_prompts_than_a_loop_takes_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PROMPTS", 2)
    writer = gated()
    together = together_of(writer)
    prompts = [[1], [2], [3], [4], [5]]
    first, second = ask(together, prompts, SETTINGS), ask(together, prompts[:3], SETTINGS)
    writer.go.set()
    assert texts_of(first) == alone(writer, prompts, SETTINGS)
    assert texts_of(second) == alone(writer, prompts[:3], SETTINGS)
    assert max(writer.stepped) == 2


def test_a_failure_is_told_to_all_who_wait_and_the_next_one_is_served() -> None:
    writer = gated()
    together = together_of(writer)
    writer.fails = True
    asked = [ask(together, prompts, SETTINGS) for prompts in PROMPTS]
    writer.go.set()
    for each in asked:
        with pytest.raises(RuntimeError, match="no memory"):
            texts_of(each)
    writer.fails = False
    assert texts_of(ask(together, [[1, 2]], SETTINGS)) == alone(writer, [[1, 2]], SETTINGS)


def test_a_prompt_that_leaves_no_room_is_told_at_once_and_disturbs_nobody() -> None:
    writer = gated()
    writer.most_tokens = 10
    together = together_of(writer)
    fine = ask(together, [[1]], SETTINGS)
    with pytest.raises(DataError, match="a prompt of 11 tokens"):
        ask(together, [[2], [1] * 11], SETTINGS)
    writer.go.set()
    assert len(texts_of(fine)[0][0]) == 9


def test_many_threads_at_once_get_what_they_asked_for() -> None:
    """Callers come and go while loops begin and end."""
    writer = random_writer(places=8, tokens=8, seed=3)
    together = together_of(writer)
    wrong: list[object] = []

    def call(number: int) -> None:
        noise = torch.Generator().manual_seed(number)
        for _ in range(20):
            prompts = [torch.randint(1, 8, (3,), generator=noise).tolist() for _ in range(2)]
            settings = DecodingSettings(max_new_tokens=3 + number % 3)
            found = [[text.ids for text in some] for some in together.write(prompts, settings, vocabulary=ENDING)]
            if found != alone(writer, prompts, settings):
                wrong.append((prompts, found))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    until_idle(together)
