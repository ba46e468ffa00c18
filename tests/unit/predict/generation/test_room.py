"""Texts that are written together: as many as a GPU's free memory holds, and never fewer than on a CPU."""

from __future__ import annotations

import pytest
import torch
from transformers import BartConfig, GPT2Config, T5Config

from hone.predict.generation.generate import TOKENS_AT_ONCE
from hone.predict.generation.room import bytes_of_token, tokens_at_once

GPU = torch.device("cuda", 0)


def test_a_gpu_takes_as_many_as_its_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    config = GPT2Config()
    each = bytes_of_token(config, tokens_a_row=64)
    assert 2 * 12 * 768 * 4 < each < 2 * 12 * 768 * 4 * 4  # above what its keys and values take
    assert bytes_of_token(config, tokens_a_row=1) > 4 * 4 * config.vocab_size  # of short rows scores are the most
    for free in (0, 1 << 20, 80 << 30):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 80 << 30))
        with tokens_at_once(GPU, config, tokens_a_row=64) as found:
            assert found == max(TOKENS_AT_ONCE, int(free / 2 / each))
    assert found > 4 * TOKENS_AT_ONCE
    with tokens_at_once(torch.device("cpu"), config, tokens_a_row=64) as found:
        assert found == TOKENS_AT_ONCE


def test_those_that_write_at_the_same_time_share_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 << 30, 80 << 30))
    config = GPT2Config()
    with tokens_at_once(GPU, config, tokens_a_row=64) as alone, tokens_at_once(GPU, config, tokens_a_row=64) as second:
        assert second == pytest.approx(alone / 2, abs=1)
    with tokens_at_once(GPU, config, tokens_a_row=64) as again:
        assert again == alone


@pytest.mark.parametrize("config", [BartConfig(), T5Config()])
def test_sources_are_kept_as_well(config: BartConfig | T5Config) -> None:
    width = config.hidden_size
    assert bytes_of_token(config, tokens_a_row=64) > 2 * 2 * config.num_hidden_layers * width * 4
