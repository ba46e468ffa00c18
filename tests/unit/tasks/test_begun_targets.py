"""Where every row of a tokenizer begins with one token, as BART's do, so does every text that is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors

from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.models.tokenizer import load_tokenizer
from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.writing import vocabulary_of
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS

KINDS = {"translation": "bart", "text-generation": "gpt2"}


def base(folder: Path, *, kind: Any) -> tuple[Path, int]:
    """One whose tokenizer begins rows with a token, and that token."""
    write_tiny_writer(folder, kind=kind)
    pretrained: Any = load_tokenizer(folder).pretrained
    pretrained.add_special_tokens({"bos_token": "<begin>"})
    begin, end = pretrained.convert_tokens_to_ids(["<begin>", "</s>"])
    pretrained.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<begin> $A </s>", pair="<begin> $A </s> $B </s>", special_tokens=[("<begin>", begin), ("</s>", end)]
    )
    pretrained.save_pretrained(folder)
    return folder, begin


@pytest.mark.parametrize("search", [{}, {"num_beams": 2}])
def test_a_constraint_leaves_a_text_its_first_token(search: dict[str, Any], tmp_path: Path) -> None:
    folder, begin = base(tmp_path / "bart", kind="bart")
    decoding = {"regex": "[a-c]{4,6}", "max_new_tokens": 12, **search}
    settings = SETTINGS["translation"].model_validate({"decoding": decoding})
    task: Any = make_task("translation", settings, labels=(), folder=folder)
    rows = Rows(task.encode({"source": ["the card"], "target": ["die Karte"]}, purpose="learn"))
    assert rows.row("target_ids", 0)[0] == begin
    backbone: Any = build_model(folder, task.head).eval().backbone
    backbone.resize_token_embeddings(begin + 1)
    with torch.inference_mode():
        ((found, *_),) = generate(writer_of(backbone), [rows.row("input_ids", 0).tolist()], settings.decoding,
                                  vocabulary=vocabulary_of(task))  # fmt: skip
    assert found.ids[0] == begin
    assert found.text is not None
    assert re.fullmatch("[a-c]{4,6}", found.text)
    assert found.satisfied


@pytest.mark.parametrize("name", KINDS)
def test_a_text_that_comes_after_its_prompt_does_not_begin_again(name: str, tmp_path: Path) -> None:
    folder, begin = base(tmp_path / "base", kind=KINDS[name])
    task: Any = make_task(name, SETTINGS[name](), labels=(), folder=folder)
    assert task.forced_bos_token_id == (begin if name == "translation" else None)
    assert vocabulary_of(task).forced_bos_token_id == task.forced_bos_token_id
