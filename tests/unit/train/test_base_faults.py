"""A pretrained base that cannot do the task is told before anything runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import transformers

from hone.bundle.stage import Inputs, TaskChoice
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.models.tiny import write_tiny_writer
from hone.tasks.settings import (
    FillMaskSettings,
    RelationSettings,
    SentenceEmbeddingSettings,
    TextClassificationSettings,
)
from hone.tasks.table import SETTINGS
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


@pytest.mark.parametrize(
    ("task", "pads", "told"),
    [
        ("text-classification", False, "padding token"),
        ("text-classification", True, ""),
        ("sentence-embedding", False, "first token alone"),
        ("sentence-embedding", True, "first token alone"),
    ],
)
def test_a_decoder_has_no_first_state_of_a_text(task: str, pads: bool, told: str, tmp_path: Path) -> None:
    folder = write_tiny_writer(tmp_path, kind="gpt2")
    config = transformers.AutoConfig.from_pretrained(folder)
    config.pad_token_id = 0 if pads else None
    config.save_pretrained(folder)
    columns = {"text": ["one", "two"], "label": ["a", "b"]}
    found = []
    for pooling in ("cls", "mean"):
        choice = TaskChoice(task, SETTINGS[task].model_validate({"pooling": pooling}))
        data = {"train": Dataset.from_columns("train", columns)}
        found.append(find_faults(FinetuneSettings(), Inputs(task=choice, base=Base("tiny", folder, ""), data=data)))
    assert [fault.field for fault in found[0]] == (["task.pooling"] if told else [])
    assert all(told in fault.found for fault in found[0])
    assert found[1] == []


def test_the_width_of_a_base_is_read_by_whatever_name_it_has(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    transformers.DistilBertConfig(dim=16, n_layers=1, n_heads=2).save_pretrained(folder)
    task = TaskChoice("sentence-embedding", SentenceEmbeddingSettings(dimensions=17, matryoshka=[8]))
    data = {"train": Dataset.from_columns("train", {"text_a": ["one", "two"], "text_b": ["uno", "due"]})}
    (fault,) = find_faults(FinetuneSettings(), Inputs(task=task, base=Base("tiny", folder, ""), data=data))
    assert (fault.code, fault.field, fault.expected) == ("recipe.dimensions", "dimensions", "at most 16")


@pytest.mark.parametrize(
    ("task", "settings", "refused"),
    [
        ("token-classification", {}, True),
        ("token-classification", {"word_shape": True}, False),
        ("token-classification", {"head": "crf"}, False),
        ("intent-and-slots", {"head": "linear"}, False),
    ],
)
def test_text_is_learned_beside_every_head_of_hones(
    task: str, settings: dict[str, Any], refused: bool, tiny_base: Path
) -> None:
    train = {"tokens": [["one"], ["two"]], "tags": [["O"], ["B-X"]], "label": ["a", "b"]}
    data = {"train": Dataset.from_columns("train", train), "unlabeled": Dataset.from_columns("u", {"text": ["six"]})}
    choice = TaskChoice(task, SETTINGS[task].model_validate(settings))
    joint = FinetuneSettings.model_validate({"joint": {"objective": "mlm"}})
    found = find_faults(joint, Inputs(task=choice, base=Base("tiny", tiny_base, ""), data=data))
    assert [(fault.code, fault.field) for fault in found] == ([("recipe.joint", "joint")] if refused else [])


@pytest.mark.parametrize(("other", "refused"), [("Other", False), ("none", False), ("nnoe", True)])
def test_a_label_of_no_relation_that_is_stated_stands_in_the_rows(other: str, refused: bool, tiny_base: Path) -> None:
    spans = {"text": ["ada is in rome", "bob in paris"], "label": ["in(e1,e2)", "none"],
             "head": [{"start": 0, "end": 3}] * 2, "tail": [{"start": 7, "end": 9}] * 2}  # fmt: skip
    choice = TaskChoice("relation-extraction", RelationSettings(other=other))
    data = {"train": Dataset.from_columns("train", spans)}
    found = find_faults(FinetuneSettings(), Inputs(task=choice, base=Base("tiny", tiny_base, ""), data=data))
    assert [(fault.code, fault.field) for fault in found] == (
        [("recipe.unknown-label", "task.other")] if refused else []
    )
    assert all("'none'" in fault.fix for fault in found)


@pytest.mark.parametrize(
    ("task", "columns", "read"),
    [
        ("text-classification", {"text": ["one", "two"], "label": ["a", "b"]}, True),
        ("sentence-embedding", {"text": ["one", "two"], "label": ["a", "b"]}, False),
        ("text-generation", {"prompt": ["one", "two"], "text": ["a", "b"]}, False),
    ],
)
def test_a_rate_of_heads_is_refused_where_none_is_begun(
    task: str, columns: dict[str, Any], read: bool, tiny_base: Path, tmp_path: Path
) -> None:
    base = write_tiny_writer(tmp_path, kind="gpt2") if task == "text-generation" else tiny_base
    choice = TaskChoice(task, SETTINGS[task].model_validate({}))
    data = {"train": Dataset.from_columns("train", columns)}
    given = Inputs(task=choice, base=Base("tiny", base, ""), data=data)
    assert find_faults(FinetuneSettings(), given) == []
    told = [(fault.code, fault.field) for fault in find_faults(FinetuneSettings(head_learning_rate=1e-3), given)]
    assert told == ([] if read else [("recipe.unread", "head_learning_rate")])
