"""A task may say which labels count: the others are refused where they stand, or left out and counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.core.errors import DataError, HoneError, RecipeError
from hone.data.checks import require_one_writing
from hone.data.dataset import Dataset
from hone.data.read import read
from hone.data.source import Source
from hone.pipeline.labels import with_labels
from hone.pipeline.recipe import Recipe, make_recipe
from hone.predict.predictor import load
from hone.tasks.table import TASKS

TOPICS = [["a", "b"], ["a"], ["rare", "a"], ["b"], [], ["rare"]]
SINGLE = ["a", "b", "a", "rare", "b", "a"]


class Lines:
    """A `Progress` that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, words: str) -> None:
        self.said.append(words)

    def begin(self, what: str, *, total: int, unit: str) -> None: ...

    def advance(self, units: int, **figures: float) -> None: ...

    def finish(self) -> None: ...


def recipe_of(task: Mapping[str, Any] | str) -> Recipe:
    stages = [{"kind": "finetune"}]
    return make_recipe({"version": 1, "task": task, "data": {"train": "t"}, "stages": stages}, folder=Path())


def multi(folder: Path, labels: Sequence[Sequence[Any]] = TOPICS, *, name: str = "train") -> Dataset:
    return written(folder, [{"text": f"text {i}", "labels": some} for i, some in enumerate(labels)], name=name)


def single(folder: Path, labels: Sequence[Any] = SINGLE, *, name: str = "train") -> Dataset:
    return written(folder, [{"text": f"text {i}", "label": one} for i, one in enumerate(labels)], name=name)


def written(folder: Path, rows: Sequence[Mapping[str, Any]], *, name: str) -> Dataset:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = TASKS["multi-label-classification" if "labels" in rows[0] else "text-classification"]
    fields = (*task.inputs, *task.targets)
    return read(Source(path=f"{name}.jsonl"), fields, name=name, base=folder, cache=folder / "cache")


@pytest.mark.parametrize(
    "labels",
    ["a", [], [""], [1.5], ["a", "a"], [1, "1"], {"at_least": 0}, {"at_least": "3"}, {"at_most": 3}],
    ids=str,
)
def test_labels_are_a_list_or_a_least_number(labels: Any) -> None:
    with pytest.raises(RecipeError) as raised:
        recipe_of({"name": "text-classification", "labels": labels})
    assert [fault.field for fault in raised.value.faults] == ["task.labels"]


def test_numbers_are_labels_as_in_data() -> None:
    assert recipe_of({"name": "text-classification", "labels": [0, 1]}).task.settings.model_dump()["labels"] == [
        "0",
        "1",
    ]


def test_without_labels_all_count(tmp_path: Path) -> None:
    recipe, data = recipe_of("multi-label-classification"), {"train": multi(tmp_path)}
    assert with_labels(recipe, data, Lines()) == (recipe, data)


@pytest.mark.parametrize("labels", [["b", "a"], {"at_least": 3}, {"at_least": 2}], ids=str)
def test_labels_that_do_not_count_are_taken_from_sets_and_counted(labels: Any, tmp_path: Path) -> None:
    asked, lines = recipe_of({"name": "multi-label-classification", "labels": labels}), Lines()
    data = {"train": multi(tmp_path), "test": multi(tmp_path, [["new", "b"], ["a"]], name="test")}
    recipe, narrowed = with_labels(asked, data, lines)
    kept = {"a", "b", "rare"} if labels == {"at_least": 2} else {"a"} if labels == {"at_least": 3} else {"a", "b"}
    assert set(recipe.task.settings.model_dump()["labels"]) == kept
    assert narrowed["train"].column("labels") == [sorted(set(some) & kept) for some in TOPICS]
    assert narrowed["test"].column("labels") == [sorted({"b"} & kept), ["a"]]
    gone = dict.fromkeys({"rare", "b"} - kept, 2)
    assert (narrowed["train"].left_out, narrowed["test"].left_out["new"]) == (gone, 1)
    assert any(line.startswith("test: left out") and "new 1" in line for line in lines.said)


def test_what_is_left_has_a_digest_of_its_own_and_is_sliced_alike(tmp_path: Path) -> None:
    whole = multi(tmp_path)
    narrow = whole.narrowed("labels", ["a"], left_out={"b": 2})
    assert len({whole.digest, narrow.digest, whole.narrowed("labels", ["b"], left_out={}).digest}) == 3
    assert narrow.slice(2, 4)["labels"] == [["a"], []]
    assert (narrow.distinct("labels"), narrow.row(0)["labels"], narrow.place(2)[1]) == ([["a"]], ["a"], 3)


def test_rows_of_other_labels_are_refused_with_file_and_line(tmp_path: Path) -> None:
    asked = recipe_of({"name": "text-classification", "labels": ["a", "b"]})
    with pytest.raises(DataError) as raised:
        with_labels(asked, {"train": single(tmp_path)}, Lines())
    (fault,) = raised.value.faults
    where = (str(tmp_path / "train.jsonl"), 4, "label")
    assert (raised.value.code, fault.file, fault.line, fault.field) == ("data.label-other", *where)


def test_rows_of_other_labels_are_left_out_where_that_is_asked(tmp_path: Path) -> None:
    asked, lines = (
        recipe_of({"name": "text-classification", "labels": {"at_least": 2}, "other_labels": "drop"}),
        Lines(),
    )
    _, data = with_labels(asked, {"train": single(tmp_path)}, lines)
    assert (data["train"].column("label"), data["train"].left_out) == (["a", "b", "a", "b", "a"], {"rare": 1})
    assert lines.said == ["train: left out 1 of 6 rows, with 1 labels that do not count: rare 1"]


def test_the_label_of_texts_that_none_fits_is_none_that_counts(tmp_path: Path) -> None:
    task = {"name": "text-classification", "labels": {"at_least": 2}, "unknown_label": "a", "other_labels": "drop"}
    recipe, data = with_labels(recipe_of(task), {"train": single(tmp_path)}, Lines())
    assert recipe.task.settings.model_dump()["labels"] == ["b"]
    assert data["train"].column("label") == ["a", "b", "a", "b", "a"]


def test_a_listed_label_must_occur(tmp_path: Path) -> None:
    asked = recipe_of({"name": "multi-label-classification", "labels": ["a", "rar"]})
    with pytest.raises(RecipeError) as raised:
        with_labels(asked, {"train": multi(tmp_path)}, Lines())
    assert [(fault.code, fault.field) for fault in raised.value.faults] == [("recipe.unknown-label", "task.labels")]
    assert "rare" in raised.value.faults[0].fix


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ({"labels": {"at_least": 9}, "other_labels": "drop"}, "data.no-label-counts"),
        ({"labels": ["a"], "other_labels": "drop"}, "data.empty"),
    ],
)
def test_nothing_left_is_an_error(task: dict[str, Any], code: str, tmp_path: Path) -> None:
    data = {"train": single(tmp_path), "test": single(tmp_path, ["x", "y"], name="test")}
    with pytest.raises(DataError) as raised:
        with_labels(recipe_of({"name": "text-classification", **task}), data, Lines())
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("one", "other", "line"), [([1, 2], ["1"], 1), ([2, 1, "1"], [3], 3), ([["x"], []], [[], [4]], 2)], ids=str
)
def test_labels_as_numbers_and_as_text_are_refused(one: Any, other: Any, line: int, tmp_path: Path) -> None:
    make = multi if isinstance(one[0], list) else single
    splits = [make(tmp_path, one), make(tmp_path, other, name="test")]
    target = splits[0].columns[1]
    with pytest.raises(DataError) as raised:
        require_one_writing(splits, target)
    assert raised.value.code == "data.label-writing"
    file = "train.jsonl" if "1" in one else "test.jsonl"
    assert (str(tmp_path / file), line, target) in [(f.file, f.line, f.field) for f in raised.value.faults]


def test_labels_of_entities_as_numbers_in_one_file_and_as_text_in_another_are_refused(tmp_path: Path) -> None:
    for name, label in (("train", 1), ("test", "1")):
        spans = [[{"start": 0, "end": 4, "label": label}], []]
        lines = [json.dumps({"text": "text", "entities": some}) + "\n" for some in reversed(spans)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("train", "test")}
    values = {"version": 1, "task": "span-classification", "data": files, "stages": ["inspect"]}
    with pytest.raises(DataError) as raised:
        hone.run(values, out=tmp_path / "run")
    assert [(f.code, f.line, f.field) for f in raised.value.faults] == [("data.label-writing", 2, "entities")] * 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("labels", ["a", 1]), ("entities", [{"start": 0, "end": 1, "type": "a"}, {"start": 1, "end": 2, "type": 2}])],
)
def test_both_writings_in_one_row_are_told(field: str, value: Any, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"text": "text", field: value}) + "\n")
    task = TASKS["multi-label-classification" if field == "labels" else "span-classification"]
    fields = (*task.inputs, *task.targets)
    with pytest.raises(DataError) as raised:
        read(Source(path="train.jsonl"), fields, name="train", base=tmp_path, cache=tmp_path / "cache")
    assert [(f.code, f.line, f.field) for f in raised.value.faults] == [("data.label-writing", 1, field)]


def test_labels_of_csv_tell_nothing_of_how_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nx,1\ny,2\n")
    task = TASKS["text-classification"]
    fields = (*task.inputs, *task.targets)
    train = read(Source(path="train.csv"), fields, name="train", base=tmp_path, cache=tmp_path / "cache")
    assert [train.first_numbered(numbered) for numbered in (True, False)] == [None, None]
    for labels in (["1", "2"], [1, 2]):
        require_one_writing([train, single(tmp_path, labels, name="test")], "label")


def test_a_bundle_leaves_out_what_its_training_did(tiny_base: Path, tmp_path: Path) -> None:
    topics = [["a"], ["b"], ["a", "b"], ["once"], ["a", "once-more"], []] * 4
    topics = [[one for one in some if not one.startswith("once") or i < 6] for i, some in enumerate(topics)]
    multi(tmp_path, topics)
    multi(tmp_path, [["a", "new"], ["new"], ["b"]], name="test")
    values = {
        "version": 1,
        "task": {"name": "multi-label-classification", "labels": {"at_least": 2}},
        "base": str(tiny_base),
        "data": {"train": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "test.jsonl"), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 1}, "evaluate"],
    }
    result = hone.run(values, out=tmp_path / "run")
    assert result.bundle is not None
    assert list(load(result.bundle.path).predict("text")[0]["scores"]) == ["a", "b"]
    table = result.reports["inspect"].tables["labels_left_out"]
    assert (table.columns, table.rows) == (
        ["label", "train", "test"],
        [["new", 0, 2], ["once", 1, 0], ["once-more", 1, 0]],
    )
    assert len(result.reports["inspect"].warnings) >= 2
    assert any("1" in words and "2" in words for words in result.reports["evaluate"].warnings)
    assert result.bundle.manifest.task is not None
    assert result.bundle.manifest.task.settings["labels"] == ["a", "b"]


def test_a_listed_label_that_is_rare_stays_in_training(tiny_base: Path, tmp_path: Path) -> None:
    single(tmp_path, ["a", "b"] * 10 + ["c"])
    values = {
        "version": 1, "task": {"name": "text-classification", "labels": ["a", "b", "c"]}, "base": str(tiny_base),
        "data": {"train": str(tmp_path / "train.jsonl")}, "stages": ["inspect"],
    }  # fmt: skip
    assert hone.run(values, out=tmp_path / "run").reports["inspect"].facts["labels"] == 3


def test_the_command_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hone.cli.main import main

    single(tmp_path, [1, 2, "1"])
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(tmp_path / "train.jsonl")])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "train.jsonl" in said
    assert "line 3" in said or ":3" in said
    assert issubclass(DataError, HoneError)
