"""A prompt without tokens is told with its line before `reinforce` trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hone.bundle.stage import Inputs, TaskChoice
from hone.data.read import read
from hone.data.source import Source
from hone.models.tiny import write_tiny_writer
from hone.tasks.faulty import FaultyExamples
from hone.tasks.make import make_task
from hone.tasks.text_generation import TextGeneration
from hone.tasks.writing_settings import TextGenerationSettings
from hone.train.reinforce import _prompts


def test_a_prompt_without_tokens_is_told_with_its_line(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "gpt2", kind="gpt2", layers=1)
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in ("the card", "", "where")))
    settings = TextGenerationSettings()
    task = make_task("text-generation", settings, labels=(), folder=base)
    assert isinstance(task, TextGeneration)
    task._begin = []  # as where a base has no token that begins texts
    source = Source(path=str(file))
    data = read(source, task.input_choices[0], name="unlabeled", base=tmp_path, cache=tmp_path / "cache")
    inputs = Inputs(task=TaskChoice("text-generation", settings), base=None, data={"unlabeled": data}, bundle=None,
                    recipe_digest="the recipe")  # fmt: skip
    with pytest.raises(FaultyExamples) as refused:
        _prompts(task, inputs)
    (fault,) = refused.value.faults
    assert (fault.code, Path(fault.file).name, fault.line) == ("generation.empty-prompt", "prompts.jsonl", 2)
