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
    each = bytes_of_token(config)
    assert 2 * 12 * 768 * 4 < each < 2 * 12 * 768 * 4 * 4  # above what its keys and values take
    for free in (0, 1 << 20, 80 << 30):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 80 << 30))
        found = tokens_at_once(GPU, config)
        assert found == max(TOKENS_AT_ONCE, int(free / 2 / each))
    assert found > 4 * TOKENS_AT_ONCE
    assert tokens_at_once(torch.device("cpu"), config) == TOKENS_AT_ONCE


@pytest.mark.parametrize("config", [BartConfig(), T5Config()])
def test_sources_are_kept_as_well(config: BartConfig | T5Config) -> None:
    width = config.hidden_size
    assert bytes_of_token(config) > 2 * 2 * config.num_hidden_layers * width * 4
