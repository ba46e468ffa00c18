"""Writers against whole passes of the models without any cache, and the laws of their states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from writing_models import ALL_EOS, FAMILIES, KIN, WINDOWED, model_of, prompts_of

from hone.models.writers import net
from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.make import writer_of
from hone.models.writers.quick import QuickWriter
from hone.models.writers.writer import State, Writer
from hone.predict.generation.generate import generate
from hone.predict.generation.loop import padded
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings


def plain_writer(model: Any) -> Writer:
    return SourceWriter(model) if model.config.is_encoder_decoder else CausalWriter(model)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(request.param)


@pytest.fixture(scope="module", params=[plain_writer, writer_of])
def writer(request: pytest.FixtureRequest, model: Any) -> Writer:
    return request.param(model)


PROMPTS = prompts_of(4, seed=6)
STEPS = torch.randint(3, 60, (5, 4), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def whole(model: Any, prompt: list[int], ids: list[int]) -> tuple[Tensor, Tensor]:
    """Logits of the next token [vocabulary] and the last layer's state of the last one [width], by one pass."""
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        given = {"input_ids": torch.tensor([prompt]), "decoder_input_ids": torch.tensor([[start, *ids]])}
        found = model(**given, output_hidden_states=True)
        return found.logits[0, -1], found.decoder_hidden_states[-1][0, -1]
    found = model(input_ids=torch.tensor([prompt + ids]), output_hidden_states=True)
    return found.logits[0, -1], found.hidden_states[-1][0, -1]


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def stepped(writer: Writer, state: State, tokens: Tensor) -> Tensor:
    return torch.stack([writer.step(state, row) for row in tokens])


def begun(writer: Writer, prompts: list[list[int]], *, hidden: bool = False) -> tuple[State, Tensor]:
    return writer.begin(*padded(prompts), hidden=hidden)


def test_scores_and_states_are_those_of_whole_passes(writer: Writer, model: Any) -> None:
    state, logits = begun(writer, PROMPTS, hidden=True)
    for count in range(len(STEPS) + 1):
        for row, prompt in enumerate(PROMPTS):
            expected, hidden = whole(model, prompt, STEPS[:count, row].tolist())
            near(logits[row], expected)
            assert state.hidden is not None
            last = len(prompt) - 1 if count == 0 and writer.start is None else -1
            near(state.hidden[row, last], hidden)
        if count < len(STEPS):
            logits = writer.step(state, STEPS[count])


@pytest.mark.parametrize("kind", sorted(KIN))
def test_models_that_are_laid_out_alike_are_written_alike(kind: str) -> None:
    model = model_of(kind)
    writer, plain = writer_of(model), plain_writer(model)
    assert type(writer) is not type(plain)
    (state, logits), (plain_state, plain_logits) = (begun(made, PROMPTS) for made in (writer, plain))
    near(logits, plain_logits)
    near(stepped(writer, state, STEPS), stepped(plain, plain_state, STEPS))


def test_rows_are_taken_in_any_order_several_times_or_not_at_all(writer: Writer) -> None:
    index = torch.tensor([2, 0, 2, 2, 3])
    state, _ = begun(writer, PROMPTS)
    stepped(writer, state, STEPS[:2])
    state.take(index)
    assert len(state) == 5
    after = stepped(writer, state, STEPS[2:, index])
    near(after, stepped(writer, begun(writer, PROMPTS)[0], STEPS)[2:, index])


def test_rows_go_different_ways_after_they_were_taken_twice(writer: Writer, model: Any) -> None:
    state, _ = begun(writer, PROMPTS[:2])
    writer.step(state, torch.tensor([7, 8]))
    state.take(torch.tensor([1, 1, 0]))
    writer.step(state, torch.tensor([9, 10, 11]))
    state.take(torch.tensor([0, 2, 1]))
    assert len(state) == 3
    logits = writer.step(state, torch.tensor([12, 13, 14]))
    for row, (prompt, ids) in enumerate([(1, [8, 9, 12]), (0, [7, 11, 13]), (1, [8, 10, 14])]):
        near(logits[row], whole(model, PROMPTS[prompt], ids)[0])


def test_joined_rows_go_on_as_they_would_alone(writer: Writer, model: Any) -> None:
    if not writer.joins:
        pytest.skip("rows of this writer are all at one place")
    state, _ = begun(writer, PROMPTS[:2])
    writer.step(state, torch.tensor([7, 8]))
    writer.step(state, torch.tensor([9, 10]))
    state.take(torch.tensor([1, 0]))
    other, _ = begun(writer, PROMPTS[2:])
    other.take(torch.tensor([0, 1, 1]))
    state.join(other)
    assert len(state) == 5
    logits = stepped(writer, state, torch.tensor([[11, 12, 13, 14, 15], [16, 17, 18, 19, 20]]))[-1]
    told = [(1, [8, 10, 11, 16]), (0, [7, 9, 12, 17]), (2, [13, 18]), (3, [14, 19]), (3, [15, 20])]
    for row, (prompt, ids) in enumerate(told):
        near(logits[row], whole(model, PROMPTS[prompt], ids)[0])


def test_room_that_was_never_written_changes_nothing(model: Any) -> None:
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        writer = writer_of(model)
        state, _ = begun(writer, PROMPTS)
        state.take(torch.tensor([3, 1, 0]))
        if writer.joins:
            state.join(begun(writer, PROMPTS[2:3])[0])
        for step in range(40):
            logits = writer.step(state, torch.full((len(state),), 5 + step))
            assert bool(logits.isfinite().all())
    finally:
        torch.use_deterministic_algorithms(False)


def test_families_of_our_own_are_written_by_writers_of_our_own() -> None:
    made = {family: type(writer_of(model_of(family))).__name__ for family in FAMILIES}
    assert made == dict.fromkeys(FAMILIES, "QuickWriter")


@pytest.mark.parametrize("kind", sorted(WINDOWED))
def test_models_that_look_at_a_window_alone_are_written_through_transformers(kind: str) -> None:
    assert type(writer_of(model_of(kind))) is CausalWriter


def test_angles_that_depend_on_the_length_are_left_to_transformers() -> None:
    model = model_of("llama")
    model.model.rotary_emb.rope_type = "dynamic"
    assert type(writer_of(model)) is CausalWriter


def test_angles_are_computed_for_as_many_places_as_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "TURNED_PLACES", 4)
    model = model_of("llama")
    writer, plain = writer_of(model), plain_writer(model)
    assert isinstance(writer, QuickWriter)
    turns = writer._net.turns
    assert turns is not None
    (state, _), (plain_state, _) = (begun(made, PROMPTS) for made in (writer, plain))
    near(stepped(writer, state, STEPS), stepped(plain, plain_state, STEPS))
    assert len(turns._table[0]) > max(map(len, PROMPTS))  # of 4 at first


def test_a_model_with_other_parts_is_written_through_transformers() -> None:
    model = model_of("bart")
    layer = model.model.decoder.layers[0]
    layer.fc1 = torch.nn.Sequential(layer.fc1)
    assert isinstance(writer_of(model), SourceWriter)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 3, "num_return_sequences": 2},
        {"do_sample": True, "top_p": 0.9, "num_return_sequences": 2},
        {"penalty_alpha": 0.4, "top_k": 3},
        {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    ],
    ids=str,
)
def test_a_text_alone_is_the_text_in_a_batch_and_in_little_room(writer: Writer, options: dict[str, Any]) -> None:
    settings = DecodingSettings(max_new_tokens=9, **options)
    prompts = prompts_of(9, seed=7)

    def ids(prompts: list[list[int]], room: int = 10_000) -> list[list[tuple[int, ...]]]:
        found = generate(writer, prompts, settings, vocabulary=Vocabulary(ALL_EOS), tokens_at_once=room)
        return [[text.ids for text in texts] for texts in found]

    together = ids(prompts)
    assert together == [ids([prompt])[0] for prompt in prompts]
    assert together == ids(prompts, 120)
