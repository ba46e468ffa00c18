"""A recipe is decided whole, or refused with every fault of it."""

from __future__ import annotations

import copy
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import Fault, RecipeError
from hone.pipeline.overrides import apply_overrides
from hone.pipeline.recipe import Recipe, load_recipe, make_recipe

GOOD: dict[str, Any] = {
    "version": 1,
    "task": "text-classification",
    "data": {"train": "train.jsonl", "test": "test.jsonl"},
    "stages": ["finetune", "evaluate"],
}


LORA = {
    "name": "lora", "r": 4, "lora_alpha": 16.0, "lora_dropout": 0.0, "target_modules": None,
    "use_dora": False, "use_rslora": False,
}  # fmt: skip


def recipe(*overrides: str, **values: Any) -> Recipe:
    decided = copy.deepcopy({**GOOD, **values})
    apply_overrides(decided, overrides)
    return make_recipe(decided, folder=Path())


def faults(*overrides: str, **values: Any) -> list[Fault]:
    with pytest.raises(RecipeError) as caught:
        recipe(*overrides, **values)
    assert caught.value.code == (caught.value.faults[0].code if caught.value.faults else caught.value.code)
    return list(caught.value.faults)


def digest(decided: Recipe, *, data: str = "d", base: str = "b") -> str:
    return decided.digest(decided.stages, data={"train": data}, base=base)


def test_defaults_are_filled_in() -> None:
    decided = recipe().decided()
    assert (decided["name"], decided["base"], decided["seed"], decided["device"], decided["language"]) == (
        "recipe", "minilm", 13, "auto", "en")  # fmt: skip
    assert decided["task"] == {
        "name": "text-classification", "max_length": None, "long_text": "truncate", "stride": 64, "pooling": "mean",
        "unknown_label": None, "max_in_scope_drop": 0.01, "labels": None, "other_labels": "refuse",
    }  # fmt: skip
    assert decided["data"]["train"] == {"path": "train.jsonl", "columns": {}, "format": "auto", "lines": {}}
    assert (decided["data"]["drop"], decided["data"]["validation_share"]) == ([], 0.1)
    assert [stage["kind"] for stage in decided["stages"]] == ["finetune", "evaluate"]
    assert decided["stages"][0]["learning_rate"] == 2e-4


def test_the_decided_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    first = recipe(
        name="3e4",
        task={"name": "token-classification", "head": "crf", "word_shape": True},
        data={
            "train": {"path": "a.csv", "columns": {"tokens": "on"}},
            "validation": "none",
            "test": "hub:x:y",
            "drop": ["leaked"],
        },
        stages=[{"kind": "finetune", "adam_epsilon": 1e-8, "class_weights": {"no": 2.0, "1e5": 1.5}}, "evaluate"],
        language="zh",
    )
    (tmp_path / "recipe.yaml").write_text(first.to_yaml(), encoding="utf-8")
    second = load_recipe(tmp_path / "recipe.yaml")
    assert second.to_yaml() == first.to_yaml()
    assert {**second.decided(), "data": {}} == {**first.decided(), "data": {}}
    assert digest(second) == digest(first)
    assert second.sources["validation"] is None


def test_the_written_recipe_finds_parallel_files_from_wherever_it_lies(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    lines = {"source": "a.en", "targets": ["a.de", "b.de"]}
    first = make_recipe({**GOOD, "task": "translation", "data": {"train": {"lines": lines}}, "stages": ["finetune"]},
                        folder=here)  # fmt: skip
    there.mkdir()
    (there / "recipe.yaml").write_text(first.to_yaml(), encoding="utf-8")
    train = load_recipe(there / "recipe.yaml").sources["train"]
    assert train is not None
    assert train.files == {"source": [f"{here}/a.en"], "targets": [f"{here}/a.de", f"{here}/b.de"]}


def test_names_places_and_devices_do_not_enter_the_digest() -> None:
    other = recipe(
        name="other", device="cpu", language="zh", base="elsewhere/base",
        data={"train": "/x/other.csv", "test": {"path": "y.csv", "columns": {"text": "body"}}},
    )  # fmt: skip
    assert digest(other) == digest(recipe())


@pytest.mark.parametrize(
    "override",
    [
        "seed=14",
        "task.pooling=cls",
        "task=token-classification",
        "stages.0.num_train_epochs=4",
        "stages=[finetune, finetune]",
    ],
)
def test_task_seed_and_stages_enter_the_digest(override: str) -> None:
    assert digest(recipe(override)) != digest(recipe())


def test_what_only_judges_are_told_does_not_enter_the_digest() -> None:
    assert digest(recipe("stages.1.worst=3")) == digest(recipe(stages=["finetune"])) == digest(recipe())


def test_data_and_base_enter_the_digest() -> None:
    assert len({digest(recipe()), digest(recipe(), data="e"), digest(recipe(), base="c")}) == 3


def test_a_default_that_is_written_out_leaves_the_digest() -> None:
    assert digest(recipe("stages.0.learning_rate=2e-4", "task.pooling=mean")) == digest(recipe())


@pytest.mark.parametrize(
    ("values", "code", "field"),
    [
        ({"version": 2}, "recipe.literal-error", "version"),
        ({"seeds": 1}, "recipe.unknown-key", "seeds"),
        ({"seed": "13"}, "recipe.int-type", "seed"),
        ({"seed": -1}, "recipe.greater-than-equal", "seed"),
        ({"seed": 2**32}, "recipe.less-than", "seed"),
        ({"seed": True}, "recipe.int-type", "seed"),
        ({"name": 5}, "recipe.string-type", "name"),
        ({"device": "tpu"}, "recipe.literal-error", "device"),
        ({"language": "de"}, "recipe.literal-error", "language"),
        ({"task": "text-clasification"}, "recipe.unknown-task", "task.name"),
        ({"task": 3}, "recipe.wrong-type", "task"),
        ({"task": None}, "recipe.missing", "task"),
        ({"task": {"pooling": "mean"}}, "recipe.wrong-type", "task"),
        ({"task": {"name": "text-classification", "poling": "cls"}}, "recipe.unknown-key", "task.poling"),
        ({"task": {"name": "text-classification", "max_length": 7}}, "recipe.greater-than-equal", "task.max_length"),
        ({"task": {"name": "text-classification", "head": "crf"}}, "recipe.unknown-key", "task.head"),
        ({"task": {"name": "token-classification", "context": 3}}, "recipe.multiple-of", "task.context"),
        ({"data": None}, "recipe.dict-type", "data"),
        ({"data": ["a"]}, "recipe.dict-type", "data"),
        ({"data": {"train": 5}}, "recipe.wrong-type", "data.train"),
        ({"data": {"train": None}}, "recipe.wrong-type", "data.train"),
        ({"data": {"train": {"file": "x"}}}, "recipe.missing", "data.train.path"),
        ({"data": {"train": {"path": "x", "format": "xlsx"}}}, "recipe.literal-error", "data.train.format"),
        ({"data": {"train": "x", "drop": ["dupes"]}}, "recipe.literal-error", "data.drop.0"),
        ({"data": {"train": "x", "validation_share": 1.0}}, "recipe.less-than", "data.validation_share"),
        ({"stages": []}, "recipe.too-short", "stages"),
        ({"stages": "finetune"}, "recipe.list-type", "stages"),
        ({"stages": ["finetun"]}, "recipe.unknown-stage", "stages.0.kind"),
        ({"stages": [5]}, "recipe.wrong-type", "stages.0"),
        ({"stages": [{"learning_rate": 1.0}]}, "recipe.wrong-type", "stages.0"),
        ({"stages": ["evaluate", {"kind": "finetune", "learning_rate": 0.0}]}, "recipe.greater-than",
         "stages.1.learning_rate"),
        ({"stages": [{"kind": "finetune", "method": "lroa"}]}, "recipe.unknown-tuning-method", "stages.0.method"),
        ({"stages": [{"kind": "finetune", "method": {"name": "lroa"}}]}, "recipe.unknown-tuning-method",
         "stages.0.method.name"),
        ({"stages": [{"kind": "finetune", "method": 5}]}, "recipe.value-error", "stages.0.method"),
        ({"stages": [{"kind": "finetune", "method": {"name": "lora", "r": 0}}]}, "recipe.greater-than-equal",
         "stages.0.method.r"),
        ({"stages": [{"kind": "finetune", "method": {"name": "lora", "rank": 4}}]}, "recipe.unknown-key",
         "stages.0.method.rank"),
        ({"stages": [{"kind": "finetune", "techniques": ["ema", {"name": "ema", "decay": 2.0}]}]}, "recipe.less-than",
         "stages.0.techniques.1.decay"),
        ({"stages": [{"kind": "finetune", "techniques": ["emma"]}]}, "recipe.unknown-technique",
         "stages.0.techniques.0"),
        ({"stages": [{"kind": "compress", "method": {"name": "search", "max_size_mb": 1.0,
                                                     "steps": [["int8"], [{"name": "distill", "layers": -1}]]}}]},
         "recipe.greater-than-equal", "stages.0.method.steps.1.0.layers"),
        ({"stages": [{"kind": "finetune", "eval_strategy": "steps"}]}, "recipe.value-error", "stages.0"),
        ({"stages": [{"kind": "evaluate", "on": "tset"}]}, "recipe.no-split", "stages.0"),
        ({"stages": ["evaluate"], "data": {"train": "x"}}, "recipe.no-split", "stages.0"),
        ({"data": {"test": "x"}, "stages": ["finetune"]}, "recipe.no-split", "stages.0"),
        ({"data": {"train": "x", "validation": "none"}, "stages": [{"kind": "evaluate", "on": "validation"}]},
         "recipe.no-split", "data.validation"),
        ({"data": {}, "stages": ["inspect"]}, "recipe.no-split", "stages.0"),
        ({"data": {"train": "x", "dev": "y"}, "stages": [{"kind": "compress", "method": "int8", "on": "dev"}]},
         "recipe.not-read", "stages.0.on"),
        ({"data": {"unlabeled": "x"}, "stages": [{"kind": "evaluate", "on": "unlabeled"}]},
         "recipe.not-read", "stages.0.on"),
        ({"data": {"train": "x", "dev": "y"}, "stages": [{"kind": "merge", "on": "dev"}]},
         "recipe.not-read", "stages.0.on"),
        ({"data": {"train": "x", "dev": "y"}, "stages": [{"kind": "ensemble", "members": ["a", "b"], "on": "dev"}]},
         "recipe.not-read", "stages.0.on"),
    ],
)  # fmt: skip
def test_each_fault_has_its_code_and_place(values: dict[str, Any], code: str, field: str) -> None:
    assert (code, field) in [(fault.code, fault.field) for fault in faults(**values)]


def test_data_that_a_stage_may_not_read_is_told_with_that_which_it_may() -> None:
    data = {"train": "x", "test": "y", "unlabeled": "z", "dev": "w"}
    [fault] = faults(data=data, stages=["finetune", {"kind": "compress", "method": "int8", "on": "dev"}])
    assert fault.found == "dev, which compress may not read"
    assert fault.expected == "one of train, unlabeled, validation"
    judged = [{"kind": "evaluate", "on": name} for name in ("train", "validation", "test", "dev")]
    assert recipe(data=data, stages=["finetune", *judged]).stages


@pytest.mark.parametrize("key", ["version", "task", "data", "stages"])
def test_a_missing_section_is_told(key: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(RecipeError) as caught:
        make_recipe(values, folder=Path())
    assert [(fault.code, fault.field) for fault in caught.value.faults if fault.field == key] == [
        ("recipe.missing", key)
    ]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"sed": 1}, "seed"),
        ({"task": "text-clasification"}, "text-classification"),
        ({"device": "cdua"}, "cuda"),
        ({"task": {"name": "text-classification", "poling": "cls"}}, "pooling"),
        ({"stages": ["finetun"]}, "finetune"),
        ({"stages": [{"kind": "finetune", "learning_rat": 1.0}]}, "learning_rate"),
        ({"stages": [{"kind": "finetune", "optim": "adam"}]}, "adamw"),
        ({"data": {"train": {"path": "x", "colums": {}}}}, "columns"),
        ({"stages": [{"kind": "evaluate", "on": "tset"}]}, "test"),
    ],
)
def test_a_near_name_is_suggested(values: dict[str, Any], name: str) -> None:
    assert any(fault.fix.startswith(f"Did you mean {name!r}?") for fault in faults(**values))


def test_an_option_of_data_that_is_mistyped_is_suggested() -> None:
    found = faults(data={"train": "x", "validation_shares": 0.1}, stages=["finetune"])
    assert [fault.fix for fault in found if fault.field == "data.validation_shares"] == [
        "Did you mean 'validation_share'?"
    ]


@pytest.mark.parametrize(
    ("architecture", "objective", "able"),
    [("gpt2", "mlm", "one of clm"), ("bert", ["sop", "clm"], "one of aae, contrastive, mlm")],
)
def test_an_objective_that_a_new_base_cannot_learn_is_told_with_the_recipe(
    architecture: str, objective: str | list[str], able: str
) -> None:
    """Before a corpus is read for hours and a tokenizer learned from it."""
    values = {"version": 1, "base": {"architecture": architecture}, "data": {"corpus": "none/*.jsonl"},
              "stages": [{"kind": "pretrain", "objective": objective}]}  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        make_recipe(values, folder=Path())
    (fault,) = caught.value.faults
    assert fault.code == "recipe.objective-base"
    assert fault.expected.startswith(able)
    joined = [{"kind": "finetune", "joint": {"objective": objective, "on": "corpus"}}]
    assert "recipe.objective-base" in {fault.code for fault in faults(base=values["base"], stages=joined)}


def test_a_carved_validation_split_may_be_evaluated() -> None:
    assert recipe(data={"train": "x"}, stages=["finetune", {"kind": "evaluate", "on": "validation"}]).stages


def test_faults_of_all_sections_are_told_at_once_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        "version: 1\nsede: 1\ntask:\n  name: text-classification\n  pooling: max\n"
        "data:\n  train: {path: 5}\n  validation_share: 2\n"
        "stages:\n  - kind: finetune\n    learning_rate: -1\n  - evalute\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert [(fault.field, fault.line) for fault in caught.value.faults] == [
        ("sede", 2),
        ("task.pooling", 5),
        ("data.validation_share", 8),
        ("data.train.path", 7),
        ("stages.0.learning_rate", 11),
        ("stages.1.kind", 12),
    ]
    assert {fault.file for fault in caught.value.faults} == {str(file)}


def test_a_fault_of_a_value_that_stands_nowhere_has_the_line_of_its_section(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("version: 1\ntask: text-classification\ndata:\n  train:\n    format: csv\nstages: [finetune]\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert [(fault.field, fault.line) for fault in caught.value.faults] == [("data.train.path", 4)]


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_recipe_that_is_not_there_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "r.yaml"
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.code == "recipe.missing"
    assert str(path) in str(caught.value)


def test_a_recipe_may_come_through_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = recipe().to_yaml()
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,), daemon=True)
    writer.start()
    piped = load_recipe(tmp_path / "pipe")
    writer.join()
    assert piped.to_yaml() == text
    assert piped.folder == Path()


def test_relative_paths_of_a_recipe_on_a_descriptor_start_at_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(recipe().to_yaml())
    with (tmp_path / "r.yaml").open() as file:
        assert load_recipe(Path(f"/dev/fd/{file.fileno()}")).folder == Path()
    assert load_recipe(tmp_path / "r.yaml").folder == tmp_path


@pytest.mark.parametrize("name", ["../up", "a/b", "/root", "..", ".", "", "a\\b", "a\0b"])
def test_a_name_that_leads_out_of_the_runs_is_refused(name: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(name=name)
    assert [fault.field for fault in caught.value.faults] == ["name"]


@pytest.mark.parametrize("name", ["a..b", "客服 v1.2", "-x_"])
def test_any_other_name_is_taken(name: str) -> None:
    assert recipe(name=name).name == name


def test_a_recipe_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes("name: é".encode("latin-1"))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert caught.value.code == "recipe.not-yaml"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("\ufeff" + recipe().to_yaml(), encoding="utf-8")
    assert load_recipe(tmp_path / "r.yaml").to_yaml() == recipe().to_yaml()


def test_the_decided_recipe_runs_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    values = {**GOOD, "base": "base", "data": {"train": "a/*.jsonl", "test": "hub:x:y"}}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "r.yaml").write_text(make_recipe(values, folder=tmp_path).to_yaml(), encoding="utf-8")
    read = load_recipe(tmp_path / "elsewhere" / "r.yaml")
    assert read.base == str(tmp_path / "base")
    assert [source.path for source in read.sources.values() if source] == [str(tmp_path / "a/*.jsonl"), "hub:x:y"]


@pytest.mark.parametrize("version", [1.0, True, "1", 2])
def test_the_version_is_the_whole_number_one(version: object) -> None:
    with pytest.raises(RecipeError) as caught:
        make_recipe({**GOOD, "version": version}, folder=Path())
    assert [fault.field for fault in caught.value.faults] == ["version"]


def test_overrides_set_keys_at_any_depth() -> None:
    decided = recipe(
        "name=x",
        "task.pooling=cls",
        "stages.0.num_train_epochs=2.5",
        "stages.1.on=validation",
        "stages.0.method=lora",
        "stages.0.method.r=4",
        "data.train.format=csv",
        "data.validation=dev.jsonl",
        "data.drop=[leaked]",
    ).decided()
    assert decided["name"] == "x"
    assert decided["task"]["pooling"] == "cls"
    assert decided["stages"][0]["num_train_epochs"] == 2.5
    assert decided["stages"][0]["method"] == LORA
    assert decided["stages"][1]["on"] == "validation"
    assert decided["data"]["train"] == {"path": "train.jsonl", "columns": {}, "format": "csv", "lines": {}}
    assert decided["data"]["validation"]["path"] == "dev.jsonl"
    assert decided["data"]["drop"] == ["leaked"]


def test_an_override_replaces_a_whole_entry() -> None:
    assert [choice.stage.kind for choice in recipe("stages.1=inspect").stages] == ["finetune", "inspect"]


def test_the_last_of_two_overrides_holds() -> None:
    assert recipe("seed=1", "seed=2").seed == 2


def test_an_override_may_hold_an_equals_sign() -> None:
    assert recipe("name=a=b").name == "a=b"


@pytest.mark.parametrize("override", ["task.poling=cls", "stages.0.epochs=1", "sed=1"])
def test_an_override_of_an_unknown_key_is_a_fault_of_the_recipe(override: str) -> None:
    [fault] = faults(override)
    assert (fault.code, fault.field) == ("recipe.unknown-key", override.partition("=")[0])


@pytest.mark.parametrize(
    "override",
    ["seed", "=1", "", "stages.2.on=x", "stages.-1.on=x", "stages.first.on=x", "stages.².on=x", "version.x=1",
     "stages.0.kind.x=1"],
)  # fmt: skip
def test_an_override_that_leads_nowhere_is_told(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(override)
    assert caught.value.code == "recipe.override"
    assert override.partition("=")[0] in str(caught.value)


def test_a_mistyped_split_that_no_stage_reads_is_told() -> None:
    [fault] = faults(data={"train": "a.jsonl", "test": "b.jsonl", "validaton": "c.jsonl"})
    assert (fault.code, fault.field) == ("recipe.unknown-key", "data.validaton")
    assert "'validation'" in fault.fix


def test_data_of_another_name_and_data_that_a_stage_reads_stand() -> None:
    stages = ["finetune", {"kind": "evaluate", "on": "tests"}]
    decided = recipe(data={"train": "a.jsonl", "tests": "b.jsonl", "unlabeled": "c.jsonl"}, stages=stages)
    assert set(decided.sources) == {"train", "tests", "unlabeled"}
