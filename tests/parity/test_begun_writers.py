"""What was learned to stand before every text: what is written after it is what peft's model generates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
import torch
from writing_models import ALL_EOS, model_of, prompts_of, theirs

from hone.models.adapters.prompts import Before, StatesBefore, TokensBefore
from hone.models.writers.begun import BegunWriter
from hone.models.writers.cached import SourceWriter
from hone.models.writers.make import writer_of
from hone.models.writers.quick import QuickWriter
from hone.predict.generation.generate import generate
from hone.predict.generation.loop import padded
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

peft = pytest.importorskip("peft")

SIZE = 5
CASES = [("gpt2", StatesBefore), ("gpt2", TokensBefore), ("llama", StatesBefore), ("bart", TokensBefore),
         ("t5", TokensBefore)]  # fmt: skip
SEARCHES: list[dict[str, Any]] = [{}, {"num_beams": 3}]
OLD, NEW = (f"_prepare_{text}encoder_decoder_kwargs_for_generation" for text in ("", "text_"))  # peft 0.21 asks for it
pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),  # peft asks by the old name
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),  # it makes them itself
]


class Begun(NamedTuple):
    model: Any
    before: Before
    theirs: Any


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def begun(request: pytest.FixtureRequest) -> Begun:
    family, kind = request.param
    model = model_of(family)
    task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    config = peft.PrefixTuningConfig if kind is StatesBefore else peft.PromptTuningConfig
    if not hasattr(model, OLD):
        setattr(model, OLD, getattr(model, NEW, None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        tuned = peft.get_peft_model(
            model, config(task_type=task, num_virtual_tokens=SIZE, num_transformer_submodules=1)
        ).eval()
        torch.nn.init.normal_(tuned.prompt_encoder.default.embedding.weight)
    return Begun(model_of(family), kind(tuned.get_prompt_embedding_to_save("default")), tuned)


def texts(writer: Any, prompts: Sequence[list[int]], **search: Any) -> list[list[int]]:
    settings = DecodingSettings(max_new_tokens=12, **search)
    return [list(found[0].ids) for found in generate(writer, prompts, settings, vocabulary=Vocabulary(ALL_EOS))]


@pytest.mark.parametrize("search", SEARCHES, ids=["greedy", "beam"])
def test_texts_are_those_that_peft_generates(search: dict[str, Any], begun: Begun) -> None:
    prompts = prompts_of(4)
    quick, plain = (writer_of(begun.model, begun.before, lean=lean) for lean in (False, True))
    found = texts(quick, prompts, **search)
    assert found == [
        theirs(begun.theirs, prompt, max_new_tokens=12, do_sample=False, **search)[0][0] for prompt in prompts
    ]
    assert texts(plain, prompts, **search) == found
    assert [texts(quick, [prompt], **search)[0] for prompt in prompts] == found
    assert texts(writer_of(begun.model), prompts, **search) != found


def test_rows_that_join_others_go_on_as_they_would_alone(begun: Begun) -> None:
    writer = writer_of(begun.model, begun.before)
    assert writer.joins
    prompts, steps = prompts_of(4), torch.tensor([[7, 8], [9, 10]])
    state, _ = writer.begin(*padded(prompts[:2]))
    writer.step(state, steps[0])
    other, _ = writer.begin(*padded(prompts[2:]))
    state.join(other)
    found = writer.step(state, torch.cat([steps[1], steps[0]]))
    for row, prompt in enumerate(prompts):
        alone, _ = writer.begin(*padded([prompt]))
        for token in steps[:, row] if row < 2 else steps[0, row - 2 :][:1]:
            expected = writer.step(alone, token[None])
        torch.testing.assert_close(found[row], expected[0], rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_what_stands_before_takes_positions_from_prompts_or_sources(begun: Begun) -> None:
    writer, plain = writer_of(begun.model, begun.before), writer_of(begun.model)
    assert isinstance(writer, BegunWriter if plain.start is None else QuickWriter)
    if plain.most_tokens is None:  # distances alone
        assert writer.most_prompt_tokens is None
    else:
        assert plain.most_prompt_tokens is not None
        assert writer.most_prompt_tokens == plain.most_prompt_tokens - SIZE
        assert writer.most_tokens == plain.most_tokens - (SIZE if plain.start is None else 0)


def test_nothing_is_copied_for_many_adapters_over_one_base() -> None:
    before = TokensBefore(torch.zeros(SIZE, 32))
    assert isinstance(writer_of(model_of("bart"), before, lean=True), SourceWriter)
