"""Greedy search against transformers' ``generate``, token for token."""

from __future__ import annotations

from typing import Any

import pytest
from writing_models import ALL_EOS, FAMILIES, UNPLACED, WINDOWED, model_of, prompts_of, theirs

from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

VOCABULARY = Vocabulary(eos_token_ids=ALL_EOS)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(request.param)


def test_a_batch_of_unlike_lengths_is_written_as_transformers_writes_each_alone(model: Any) -> None:
    prompts = prompts_of(12)
    found = generate(writer_of(model), prompts, DecodingSettings(max_new_tokens=20), vocabulary=VOCABULARY)
    expected = [theirs(model, prompt, max_new_tokens=20)[0][0] for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected
    assert len({len(ids) for ids in expected}) > 2  # they do not all go on to the end
    assert sum(len(set(ids)) for ids in expected) > 24  # nor do they all repeat one token


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.6},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 1, "min_new_tokens": 6},
        {"min_new_tokens": 12, "repetition_penalty": 0.8},
    ],
)
def test_controls_change_what_they_change_in_transformers(model: Any, options: dict[str, Any]) -> None:
    prompts = prompts_of(5, seed=1)
    settings = DecodingSettings(max_new_tokens=14, **options)
    found = generate(writer_of(model), prompts, settings, vocabulary=VOCABULARY)
    expected = [theirs(model, prompt, max_new_tokens=14, **options)[0][0] for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected
    plain = generate(writer_of(model), prompts, DecodingSettings(max_new_tokens=14), vocabulary=VOCABULARY)
    assert [texts[0].ids for texts in plain] != [texts[0].ids for texts in found]


def test_bad_words_are_those_of_transformers(model: Any) -> None:
    prompts = prompts_of(5, seed=2)
    plain = generate(writer_of(model), prompts, DecodingSettings(max_new_tokens=8), vocabulary=VOCABULARY)
    texts = [list(found[0].ids) for found in plain if len(found[0].ids) > 3]
    bad = [texts[0][:1], texts[1][1:3], texts[2][1:4]]
    words = {f"word {i}": ids for i, ids in enumerate(bad)}
    vocabulary = Vocabulary(ALL_EOS, encode=lambda ways: [words.get(way, []) for way in ways])
    settings = DecodingSettings(max_new_tokens=8, bad_words=list(words))
    found = generate(writer_of(model), prompts, settings, vocabulary=vocabulary)
    expected = [theirs(model, prompt, max_new_tokens=8, bad_words_ids=bad)[0][0] for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected
    assert [texts[0].ids for texts in plain] != [texts[0].ids for texts in found]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("kind", sorted(WINDOWED | UNPLACED))
def test_a_model_that_takes_no_padding_begins_with_prompts_of_one_length_alone(kind: str, beams: int) -> None:
    model = model_of(kind)
    prompts = prompts_of(6, seed=8)
    prompts.append(prompts[0][::-1])
    settings = DecodingSettings(max_new_tokens=14, num_beams=beams)
    found = generate(writer_of(model), prompts, settings, vocabulary=VOCABULARY)
    expected = [theirs(model, prompt, max_new_tokens=14, num_beams=beams)[0][0] for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected
    assert sum(len(set(ids)) for ids in expected) > 12  # they do not repeat one token
