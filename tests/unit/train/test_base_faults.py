"""A pretrained base that cannot do the task is told before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import pytest
import transformers

from hone.bundle.stage import Inputs, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.models.tiny import write_tiny_writer
from hone.tasks.settings import FillMaskSettings, TextClassificationSettings
from hone.tasks.writing_settings import TextGenerationSettings, TranslationSettings
from hone.train.faults import find_faults
from hone.train.settings import FinetuneSettings


def inputs(base: Path) -> Inputs:
    return Inputs(
        task=TaskChoice("text-classification", TextClassificationSettings()),
        base=Base("tiny", base, ""),
        data={"train": Dataset.from_columns("train", {"text": ["one", "two"], "label": ["a", "b"]})},
    )


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_a_base_that_writes_is_refused_by_a_task_that_reads(kind: Literal["bart", "t5"], tmp_path: Path) -> None:
    (fault,) = find_faults(FinetuneSettings(), inputs(write_tiny_writer(tmp_path, kind=kind)))
    assert (fault.code, fault.field, fault.expected) == ("recipe.base-task", "base", "an encoder")


def test_a_base_that_reads_is_not(tiny_base: Path) -> None:
    assert find_faults(FinetuneSettings(), inputs(tiny_base)) == []


def test_languages_that_a_base_does_not_tell_apart_are_faults_of_the_task(tmp_path: Path) -> None:
    settings = TranslationSettings(source_language="en_XX", target_language="de_DE")
    base = Base("tiny", write_tiny_writer(tmp_path, kind="bart"), "")
    data = {"train": Dataset.from_columns("train", {"source": ["one", "two"], "target": ["eins", "zwei"]})}
    found = find_faults(FinetuneSettings(), Inputs(task=TaskChoice("translation", settings), base=base, data=data))
    assert [fault.field for fault in found] == ["task.source_language", "task.target_language"]


@pytest.mark.parametrize(
    ("config", "kind", "lacks"),
    [
        (transformers.MambaConfig(hidden_size=8, num_hidden_layers=1), "MambaForCausalLM", "past_key_values"),
        (transformers.XLNetConfig(d_model=8, n_layer=1, n_head=1), "XLNetLMHeadModel", "past_key_values"),
    ],
)
def test_a_decoder_that_could_not_write_is_told_before_it_is_trained(
    config: transformers.PreTrainedConfig, kind: str, lacks: str, tmp_path: Path
) -> None:
    folder = write_tiny_writer(tmp_path / "gpt2", kind="gpt2")
    config.save_pretrained(folder)
    data = {"train": Dataset.from_columns("train", {"text": ["one", "two"]})}
    task = TaskChoice("text-generation", TextGenerationSettings())
    (fault,) = find_faults(FinetuneSettings(), Inputs(task=task, base=Base("tiny", folder, ""), data=data))
    assert (fault.code, fault.field) == ("recipe.base-task", "base")
    assert f"{kind} takes no {lacks}" in fault.found


def test_a_decoder_that_is_not_told_where_tokens_stand_can_write(tmp_path: Path) -> None:
    folder = write_tiny_writer(tmp_path / "gpt2", kind="gpt2")
    transformers.BloomConfig(hidden_size=8, n_layer=1, n_head=1).save_pretrained(folder)
    data = {"train": Dataset.from_columns("train", {"text": ["one", "two"]})}
    task = TaskChoice("text-generation", TextGenerationSettings())
    assert find_faults(FinetuneSettings(), Inputs(task=task, base=Base("tiny", folder, ""), data=data)) == []


def test_a_head_over_the_vocabulary_that_is_not_known_here_is_told_too(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    sizes = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    data = {"train": Dataset.from_columns("train", {"text": ["one", "two"]})}
    task = TaskChoice("fill-mask", FillMaskSettings())
    found = []
    for config in (transformers.LukeConfig(**sizes), transformers.ElectraConfig(**sizes)):
        config.save_pretrained(folder)
        found.append(find_faults(FinetuneSettings(), Inputs(task=task, base=Base("tiny", folder, ""), data=data)))
    assert [[(fault.code, fault.field) for fault in faults] for faults in found] == [
        [("recipe.no-masked-head", "base")],
        [],
    ]
