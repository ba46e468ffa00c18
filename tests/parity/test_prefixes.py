"""What prompts begin with alike is read once, and the texts are the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from writing_models import ALL_EOS, model_of

from hone.models.adapters.prompts import StatesBefore
from hone.models.writers.cached import CausalWriter
from hone.models.writers.make import writer_of
from hone.models.writers.prefix import PrefixWriter
from hone.models.writers.writer import Continuing
from hone.predict.generation.generate import generate
from hone.predict.generation.loop import padded
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

NUMBERS = torch.Generator().manual_seed(4)
SYSTEM = torch.randint(3, 60, (40,), generator=NUMBERS).tolist()
ENDS = [torch.randint(3, 60, (n,), generator=NUMBERS).tolist() for n in (1, 7, 3, 12)]
PROMPTS = [SYSTEM + end for end in ENDS]
WORDS = Vocabulary(ALL_EOS)


class Counting:
    """Counts the tokens that are read."""

    def __init__(self, writer: Any) -> None:
        self._writer, self.read = writer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def begin(self, input_ids: Tensor, attention_mask: Tensor, **more: Any) -> Any:
        self.read += int(attention_mask.sum())
        return self._writer.begin(input_ids, attention_mask, **more)

    def begin_after(self, past: Any, input_ids: Tensor, attention_mask: Tensor, **more: Any) -> Any:
        self.read += int(attention_mask.sum())
        return self._writer.begin_after(past, input_ids, attention_mask, **more)


@pytest.fixture(params=["quick", "begun", "llama"])
def writer(request: pytest.FixtureRequest) -> Any:
    if request.param == "llama":
        return Counting(CausalWriter(model_of("llama")))
    learned = StatesBefore(torch.randn((1, 2 * 2 * 32), generator=torch.Generator().manual_seed(5)))
    return Counting(writer_of(model_of("gpt2"), learned if request.param == "begun" else None))


def test_scores_after_a_beginning_are_those_of_the_whole_prompt(writer: Any) -> None:
    whole, expected = writer.begin(*padded(PROMPTS))
    begun, _ = writer.begin(*padded([SYSTEM]))
    state, found = writer.begin_after(writer.past_of(begun, tokens=40), *padded(ENDS))
    near = {"rtol": 0.0, "atol": 2e-5 * float(expected.abs().max())}
    torch.testing.assert_close(found, expected, **near)
    for token in (5, 9):
        tokens = torch.full((4,), token)
        torch.testing.assert_close(writer.step(state, tokens), writer.step(whole, tokens), **near)


@pytest.mark.parametrize(
    "search", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 3}, {"penalty_alpha": 0.5, "top_k": 3}]
)
def test_texts_are_the_same_and_the_beginning_is_read_once(search: dict[str, Any], writer: Any) -> None:
    settings = DecodingSettings(max_new_tokens=12, **search)
    expected = [text[0].ids for text in generate(writer, PROMPTS, settings, vocabulary=WORDS)]
    assert writer.read == sum(map(len, PROMPTS))
    writer.read = 0
    prefixed = PrefixWriter(writer)
    assert [text[0].ids for text in generate(prefixed, PROMPTS, settings, vocabulary=WORDS)] == expected
    if "penalty_alpha" not in search:  # which asks for the states of all tokens
        assert writer.read == 40 + sum(map(len, ENDS))
        assert prefixed.saved == 160
    writer.read = 0
    again = [generate(prefixed, [prompt], settings, vocabulary=WORDS)[0][0].ids for prompt in PROMPTS]
    assert again == expected
    if "penalty_alpha" not in search:
        assert writer.read == sum(map(len, ENDS))


def test_one_request_after_another_reads_what_is_new(writer: Any) -> None:
    prefixed = PrefixWriter(writer)
    for end, read in ((ENDS[1], 47), ([*ENDS[1], 5, 6], 2), (ENDS[2], 3)):
        writer.read = 0
        _, found = prefixed.begin(*padded([SYSTEM + end]))
        assert writer.read == read
        torch.testing.assert_close(found, writer.begin(*padded([SYSTEM + end]))[1], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("first", "read"), [(SYSTEM, 68 - 64), (SYSTEM[:20], 48 - 32)])
def test_what_was_written_is_not_read_again_when_a_conversation_goes_on(
    first: list[int], read: int, writer: Any
) -> None:
    settings, words, prefixed = DecodingSettings(max_new_tokens=25), Vocabulary(()), PrefixWriter(writer)
    said = generate(prefixed, [first], settings, vocabulary=words)[0][0].ids
    assert said == generate(writer, [first], settings, vocabulary=words)[0][0].ids
    second = [*first, *said, 7, 8, 9]
    expected = generate(writer, [second], settings, vocabulary=words)[0][0].ids
    writer.read = 0
    assert generate(prefixed, [second], settings, vocabulary=words)[0][0].ids == expected
    assert writer.read == read


def test_a_text_that_joins_another_is_not_taken_for_it() -> None:
    quick = writer_of(model_of("gpt2"))
    prefixed = PrefixWriter(quick)
    state, _ = prefixed.begin(*padded([SYSTEM]))
    other, _ = prefixed.begin(*padded([ENDS[3]]))
    state.join(other)
    state.take(torch.tensor([1]))
    for token in range(3, 60):
        prefixed.step(state, torch.tensor([token]))
    assert list(prefixed._kept) == [tuple(SYSTEM)]


def test_a_text_that_was_stepped_elsewhere_is_not_kept(writer: Any) -> None:
    prefixed = PrefixWriter(writer)
    state, _ = prefixed.begin(*padded([SYSTEM]))
    for token in range(3, 28):
        (writer if token == 10 else prefixed).step(state, torch.tensor([token]))
    assert list(prefixed._kept) == [tuple(SYSTEM)]


def test_no_more_is_kept_than_is_allowed(writer: Any) -> None:
    _, one = prefixed_bytes(writer, SYSTEM)
    prefixed = PrefixWriter(writer, most_bytes=int(2.5 * one))
    for first in range(3, 8):
        prefixed.begin(*padded([[first, *SYSTEM[1:]]]))
    assert len(prefixed._kept) == 2
    writer.read = 0
    prefixed.begin(*padded([[7, *SYSTEM[1:], 9]]))
    prefixed.begin(*padded([[3, *SYSTEM[1:], 9]]))
    assert writer.read == 1 + 41


def test_what_is_kept_already_is_not_copied_again(writer: Any) -> None:
    _, one = prefixed_bytes(writer, SYSTEM)
    prefixed = PrefixWriter(writer, most_bytes=one)
    generate(prefixed, [SYSTEM], DecodingSettings(max_new_tokens=20), vocabulary=Vocabulary(()))
    [first] = prefixed._kept.values()
    generate(prefixed, [SYSTEM], DecodingSettings(max_new_tokens=60), vocabulary=Vocabulary(()))  # past the room
    [second] = prefixed._kept.values()
    assert second is first


def prefixed_bytes(writer: Any, prompt: list[int]) -> tuple[PrefixWriter, int]:
    prefixed = PrefixWriter(writer)
    prefixed.begin(*padded([prompt]))
    [past] = prefixed._kept.values()
    return prefixed, sum(part.nbytes for pair in past for part in pair)


def test_short_beginnings_are_not_worth_it(writer: Any) -> None:
    prefixed = PrefixWriter(writer)
    prefixed.begin(*padded([[4, 5, 6], [4, 5, 7]]))
    assert not prefixed._kept


def test_writers_of_decoders_are_continuing() -> None:
    assert isinstance(writer_of(model_of("gpt2")), Continuing)
    assert isinstance(CausalWriter(model_of("llama")), Continuing)
