"""`generate`: what a writer writes for each prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hone.core.errors import RecipeError
from hone.models.writers.writer import Writer
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings


def generate(
    writer: Writer,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    vocabulary: Vocabulary,
) -> list[list[Written]]:
    """Texts for each prompt, best first; ``settings.num_return_sequences`` of them.

    What is written for a prompt depends on the prompt alone, but for ties that rounding decides.

    Args:
        prompts: Token ids with special tokens: what is continued, or the sources of an encoder-decoder.
        vocabulary: Which tokens end a text, and what tokens say.

    Raises:
        RecipeError: The settings ask for more than the likeliest tokens.
    """
    if settings != DecodingSettings(
        max_new_tokens=settings.max_new_tokens, length_penalty=settings.length_penalty, seed=settings.seed
    ):
        raise RecipeError("decoding settings other than max_new_tokens and length_penalty", code="decoding.unbuilt")
    found: list[list[Written]] = [[] for _ in prompts]
    input_ids, attention_mask = padded(prompts)
    state, logits = writer.begin(input_ids, attention_mask)
    rows = list(range(len(prompts)))
    ids: list[list[int]] = [[] for _ in prompts]
    sums = [0.0] * len(prompts)
    while rows:
        chances, tokens = logits.log_softmax(dim=-1).max(dim=-1)
        going = []
        for at, (row, token, chance) in enumerate(zip(rows, tokens.tolist(), chances.tolist(), strict=True)):
            sums[row] += chance
            ended = token in vocabulary.eos_token_ids
            if not ended:
                ids[row].append(token)
            if ended or len(ids[row]) == settings.max_new_tokens:
                count = len(ids[row]) + ended
                score = sums[row] / count**settings.length_penalty
                found[row] = [Written(tuple(ids[row]), sums[row], score, "stop" if ended else "length")]
            else:
                going.append(at)
        if not going:
            break
        if len(going) < len(rows):
            index = torch.tensor(going)
            state.take(index)
            rows, tokens = [rows[at] for at in going], tokens[index]
        logits = writer.step(state, tokens)
    return found


def padded(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Prompts padded on the right, and their mask, both int64 [prompts, tokens]."""
    rows = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    return rows, (torch.arange(rows.shape[1]) < lengths[:, None]).long()
