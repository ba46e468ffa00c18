"""Greedy search against transformers' ``generate``, token for token."""

from __future__ import annotations

from typing import Any

import pytest
from writing_models import ALL_EOS, FAMILIES, model_of, prompts_of, theirs

from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(request.param)


def test_a_batch_of_unlike_lengths_is_written_as_transformers_writes_each_alone(model: Any) -> None:
    prompts = prompts_of(12)
    found = generate(
        writer_of(model), prompts, DecodingSettings(max_new_tokens=20), vocabulary=Vocabulary(eos_token_ids=ALL_EOS)
    )
    expected = [theirs(model, prompt, max_new_tokens=20)[0][0] for prompt in prompts]
    assert [list(texts[0].ids) for texts in found] == expected
    assert len({len(ids) for ids in expected}) > 2  # they do not all go on to the end
    assert sum(len(set(ids)) for ids in expected) > 30  # nor do they all repeat one token
