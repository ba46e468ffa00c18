"""Bases of families whose head over the vocabulary is not one module learn masked tokens all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM, ElectraConfig, ModernBertConfig

import hone
from hone.models.tokenizer import load_tokenizer

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
         "max_position_embeddings": 64, "pad_token_id": 0}  # fmt: skip


@pytest.mark.parametrize("family", ["electra", "modernbert"])
def test_masked_tokens_are_learned_and_the_head_goes_with_the_base(
    family: str, tiny_base: Path, tmp_path: Path
) -> None:
    base, size = tmp_path / "base", load_tokenizer(tiny_base).vocab_size
    shutil.copytree(tiny_base, base, ignore=shutil.ignore_patterns("*.safetensors"))
    config: Any = (
        ElectraConfig(**SIZES, vocab_size=size, embedding_size=8) if family == "electra"
        else ModernBertConfig(**SIZES, vocab_size=size, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    )  # fmt: skip
    torch.manual_seed(1)
    AutoModelForMaskedLM.from_config(config).save_pretrained(base)
    rows = [{"text": f"please reset my password, the card is {word}"} for word in ("late", "old", "new", "broken")]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows * 9), encoding="utf-8")
    stage = {"kind": "pretrain", "objective": "mlm", "max_steps": 60, "num_train_epochs": 99, "learning_rate": 1e-2,
             "logging_steps": 20, "save_steps": None, "dropout": 0.1}  # fmt: skip
    data = {"corpus": {"path": str(tmp_path / "corpus.jsonl"), "duplicates": "keep"}, "held_out": "none"}
    values = {"version": 1, "base": str(base), "device": "cpu", "data": data, "stages": [stage]}
    bundle = hone.run(values, out=tmp_path / "run").bundle
    assert bundle is not None
    log = next((tmp_path / "run").glob("stages/*-pretrain/log.jsonl")).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    losses = [line["loss"] for line in lines]
    assert all(0 < line["mfu"] < 1 for line in lines)
    assert losses[-1] < losses[0] - 0.5
    opened, info = AutoModelForMaskedLM.from_pretrained(bundle.path, output_loading_info=True)
    assert not info["missing_keys"]
    assert type(opened).__name__ == type(AutoModelForMaskedLM.from_config(config)).__name__
