"""Beam search against transformers' ``generate``: the same texts, in the same order, with the same scores."""

from __future__ import annotations

from typing import Any

import pytest
from writing_models import ALL_EOS, FAMILIES, model_of, prompts_of, theirs

from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

VOCABULARY = Vocabulary(eos_token_ids=ALL_EOS)


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(request.param)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 4},
        {"num_beams": 2, "length_penalty": 0.0},
        {"num_beams": 4, "length_penalty": 2.0, "num_return_sequences": 4},
        {"num_beams": 3, "length_penalty": -1.0, "num_return_sequences": 2},
        {"num_beams": 4, "early_stopping": True, "num_return_sequences": 3},
        {"num_beams": 4, "early_stopping": "never", "num_return_sequences": 2},
        {"num_beams": 3, "early_stopping": "never", "length_penalty": -0.5},
        {"num_beams": 4, "no_repeat_ngram_size": 2, "min_new_tokens": 5},
        {"num_beams": 3, "repetition_penalty": 1.4, "early_stopping": True},
    ],
    ids=str,
)
def test_a_batch_is_searched_as_transformers_searches_for_each_alone(model: Any, options: dict[str, Any]) -> None:
    prompts = prompts_of(5, seed=3)
    found = generate(writer_of(model), prompts, DecodingSettings(max_new_tokens=12, **options), vocabulary=VOCABULARY)
    for texts, prompt in zip(found, prompts, strict=True):
        expected = theirs(model, prompt, max_new_tokens=12, **options)
        assert [list(text.ids) for text in texts] == [ids for ids, _ in expected]
        assert [text.score for text in texts] == pytest.approx([score for _, score in expected], rel=1e-5)


def test_texts_of_unlike_lengths_are_among_those_compared(model: Any) -> None:
    settings = DecodingSettings(max_new_tokens=12, num_beams=4, num_return_sequences=4)
    found = generate(writer_of(model), prompts_of(5, seed=3), settings, vocabulary=VOCABULARY)
    assert len({len(text.ids) for texts in found for text in texts}) > 1
    assert "stop" in {text.ended for texts in found for text in texts}


def test_without_controls_the_score_is_made_of_the_models_own_log_probability(model: Any) -> None:
    settings = DecodingSettings(max_new_tokens=12, num_beams=3, length_penalty=0.0)
    for texts in generate(writer_of(model), prompts_of(3), settings, vocabulary=VOCABULARY):
        assert texts[0].score == pytest.approx(texts[0].log_probability, abs=1e-6)
