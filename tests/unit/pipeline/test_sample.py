"""The recipes that ``hone init`` writes are recipes, and run as they stand on data of their shape."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from hone.bundle.stage import Inputs
from hone.core.errors import RecipeError
from hone.pipeline.recipe import load_recipe
from hone.pipeline.run import run_recipe
from hone.pipeline.sample import sample_recipe
from hone.tasks.table import TASKS
from hone.train.faults import tuning_faults
from hone.train.settings import FinetuneSettings


@pytest.fixture
def foreign_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a task that an installed package adds."""
    info = tmp_path / "foreign_task-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-task\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[hone.tasks]\nstance-detection = foreign_task:Stance\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "stance-detection"


@pytest.mark.parametrize("task", TASKS)
def test_the_sample_of_every_task_is_a_recipe_of_it(task: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(sample_recipe(task), encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert recipe.task.name == task
    assert [choice.stage.kind for choice in recipe.stages] == ["finetune", "evaluate"]
    assert set(recipe.sources) == {"train", "test"}


@pytest.mark.parametrize("task", TASKS)
def test_the_commented_settings_of_every_sample_are_settings(task: str, tmp_path: Path) -> None:
    text, count = re.subn(r"^( +)# (\w+: )", r"\1\2", sample_recipe(task), flags=re.M)
    assert count == 7 + (task in ("multi-label-classification", "dialogue"))  # which labels count, the system text
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert set(recipe.sources) == {"train", "test", "validation"}
    assert recipe.options.drop == ["duplicates", "leaked"]


@pytest.mark.parametrize("task", TASKS)
def test_what_the_sample_offers_beside_is_there_for_its_task(task: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(sample_recipe(task), encoding="utf-8")
    inputs = Inputs(task=load_recipe(tmp_path / "recipe.yaml").task, base=None, data={})
    for key in ("method", "techniques"):
        offered = re.search(rf"# {key}: \[?(\S+?)\]? +#.*?; or (.*?)( and others|; left out)", sample_recipe(task))
        assert offered is not None
        for name in (offered[1], *offered[2].split(", ")):
            settings = FinetuneSettings.model_validate({key: [name] if key == "techniques" else name})
            assert tuning_faults(settings, inputs) == [], (key, name)


@pytest.mark.parametrize("task", TASKS)
def test_the_sample_maps_the_columns_that_its_task_reads(task: str, tmp_path: Path) -> None:
    source = re.search(r"other column names: (\{.*\})", sample_recipe(task))
    assert source is not None
    text = sample_recipe(task).replace("train: train.jsonl ", f"train: {source[1]} ")
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    objective = TASKS[task]
    assert set(recipe.sources["train"].columns) <= {field.name for field in (*objective.inputs, *objective.targets)}
    assert {field.name for field in objective.targets if field.required} <= set(recipe.sources["train"].columns)


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_the_sample_runs_on_rows_of_its_shape(
    task: str, tmp_path: Path, texts: dict[str, Path], tagged: dict[str, Path], tiny_base: Path
) -> None:
    files = texts if task == "text-classification" else tagged
    for split, file in files.items():
        (tmp_path / f"{split}.jsonl").write_bytes(file.read_bytes())
    (tmp_path / "recipe.yaml").write_text(sample_recipe(task), encoding="utf-8")
    short = ["task.max_length=16", "stages.0.num_train_epochs=1", *(["task.context=8"] if "token" in task else [])]
    result = run_recipe(tmp_path / "recipe.yaml", out=tmp_path / "out", overrides=[f"base={tiny_base}", *short])
    assert list(result.reports) == ["inspect", "finetune", "evaluate"]


def test_list_names_every_task_and_the_stages_that_have_a_sample() -> None:
    assert sample_recipe("list").splitlines() == sorted([*TASKS, "pretrain", "prefer", "reinforce"])


def test_a_near_name_of_pretraining_is_known() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'pretrain'"):
        sample_recipe("pretraining")


@pytest.mark.parametrize("task", ["translation", "dialogue"])
def test_methods_that_nothing_that_writes_can_have_are_not_offered(task: str) -> None:
    assert "top-n" not in sample_recipe(task)
    assert "r-drop" not in sample_recipe(task)


def test_an_unknown_task_is_told_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        sample_recipe("text-clasification")
    assert caught.value.code == "recipe.unknown-task"
    assert "'text-classification'" in str(caught.value)


def test_a_task_of_another_package_is_known_but_brings_no_sample(foreign_task: str) -> None:
    assert foreign_task in sample_recipe("list").splitlines()
    with pytest.raises(RecipeError) as caught:
        sample_recipe(foreign_task)
    assert caught.value.code == "recipe.no-sample"
    assert foreign_task in str(caught.value)
    assert "did you mean" not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("stage", "stages", "data"),
    [
        ("pretrain", ["pretrain"], {"corpus"}),
        ("prefer", ["finetune", "prefer", "evaluate"], {"train", "pairs", "test_pairs"}),
        ("reinforce", ["finetune", "reinforce"], {"train", "unlabeled"}),
    ],
)
def test_the_sample_of_a_stage_is_a_recipe(stage: str, stages: list[str], data: set[str], tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(sample_recipe(stage), encoding="utf-8")
    recipe = load_recipe(file)
    assert [choice.stage.kind for choice in recipe.stages] == stages
    assert {*recipe.sources, *recipe.corpora} == data


def test_the_sample_of_preferences_runs_on_rows_of_its_shape(tmp_path: Path) -> None:
    rows = {
        "train": [{"prompt": f"where is {i}", "text": f" on its way {i}"} for i in range(6)],
        "pairs": [{"prompt": f"where is {i}", "chosen": " on its way", "rejected": " no"} for i in range(6)],
        "test-pairs": [{"prompt": "where", "chosen": " on its way", "rejected": " no no"}],
    }
    for name, own in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(sample_recipe("prefer"), encoding="utf-8")
    small = ["base={architecture: gpt2, layers: 1, hidden: 16, heads: 2}", "task.max_length=32",
             "stages.0.max_steps=1", "stages.1.max_steps=1"]  # fmt: skip
    result = run_recipe(tmp_path / "recipe.yaml", out=tmp_path / "out", overrides=small)
    assert list(result.reports) == ["inspect", "finetune", "prefer", "evaluate"]
    assert "preference_accuracy" in {measure.name for measure in result.reports["evaluate"].measures}
