"""The shipped fake is a real base: small, the same each time, opened by transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from hone.models.base import resolve_base
from hone.models.nets import class_for, read_config
from hone.models.tiny import write_tiny_base, write_tiny_writer
from hone.models.tokenizer import load_tokenizer
from hone.models.writers.make import writer_of


def test_the_same_seed_writes_the_same_base(tmp_path: Path) -> None:
    one, other = (write_tiny_base(tmp_path / name, seed=3) for name in ("one", "other"))
    assert resolve_base(str(one)).digest == resolve_base(str(other)).digest


def test_another_seed_writes_other_weights(tmp_path: Path) -> None:
    one, other = (write_tiny_base(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert resolve_base(str(one)).digest != resolve_base(str(other)).digest


def test_the_global_generator_is_left_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    write_tiny_base(tmp_path / "base")
    assert torch.equal(torch.rand(3), expected)


def test_size_is_as_asked_for(tmp_path: Path) -> None:
    config = AutoModel.from_pretrained(write_tiny_base(tmp_path / "base", width=16, layers=1, positions=24)).config
    assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (16, 1, 24)


def test_it_has_about_thirty_thousand_parameters(tiny_base: Path) -> None:
    model = AutoModel.from_pretrained(tiny_base)
    assert 25_000 < sum(parameter.numel() for parameter in model.parameters()) < 35_000


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Please REFUND", ["please", "refund"]),
        ("xyz9", ["x", "##y", "##z", "##9"]),
        ("我在家", ["我", "在", "家"]),
        ("Ωmega", ["[UNK]"]),
    ],
)
def test_its_tokenizer_splits_words_into_known_pieces(tiny_base: Path, text: str, tokens: list[str]) -> None:
    assert AutoTokenizer.from_pretrained(tiny_base).tokenize(text) == tokens


@pytest.mark.parametrize("kind", ["bart", "gpt2", "rnn-seq2seq", "t5"])
def test_a_tiny_writer_writes_more_than_one_token(kind: Any, tmp_path: Path) -> None:
    folder = write_tiny_writer(tmp_path / "one", kind=kind)
    auto = class_for(read_config(folder), "AutoModelForCausalLM" if kind == "gpt2" else "AutoModelForSeq2SeqLM")
    writer, tokenizer = writer_of(auto.from_pretrained(folder)), load_tokenizer(folder)
    [ids] = tokenizer.encode(["please help me"])
    prompt = torch.tensor([ids + tokenizer.suffix])
    state, logits = writer.begin(prompt, torch.ones_like(prompt))
    found = [logits.argmax(1)]
    found += [(logits := writer.step(state, logits.argmax(1))).argmax(1) for _ in range(15)]
    assert len(torch.unique(torch.cat(found))) > 1
    assert resolve_base(str(folder)).digest == resolve_base(str(write_tiny_writer(tmp_path / "two", kind=kind))).digest
