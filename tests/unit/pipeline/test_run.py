"""A run reads the data, hands each stage what it may see, and writes what was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_recipes import Said, rows, values

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run, Stage
from hone.core.errors import DataError
from hone.core.settings import Settings
from hone.pipeline.recipe import StageChoice, make_recipe
from hone.pipeline.run import Result, run_recipe, run_stages
from hone.pipeline.yaml_file import parse_yaml
from hone.report.report import Report

SEEN: list[Inputs] = []
CALLS: list[Run] = []


class Peek(Settings):
    """Settings of a stage that looks at what it is given."""

    on: str | None = None


def look(settings: Settings, inputs: Inputs, run: Run) -> Outcome:
    SEEN.append(inputs)
    CALLS.append(run)
    return Outcome(
        Report(stage="peek", bundle=inputs.bundle.digest if inputs.bundle else ""), attachments={"peek.txt": "x"}
    )


def peek(*reads: str, changes: Any = "nothing") -> StageChoice:
    """A stage that does no work and keeps what it was given."""
    return StageChoice(Stage(kind="peek", settings=Peek, reads=reads, changes=changes, work=f"{__name__}:look"), Peek())


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    SEEN.clear()
    CALLS.clear()


def run_peek(values: dict[str, Any], out: Path, *choices: StageChoice, **more: Any) -> tuple[Result, Said]:
    said = Said()
    recipe = make_recipe(values, folder=Path())
    recipe = type(recipe)(**{**vars(recipe), "stages": choices})
    return run_stages(recipe, out=out, progress=said, **more), said


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Said]:
    """One run of inspect, finetune and evaluate with a data source beyond the usual ones."""
    folder = tmp_path_factory.mktemp("trained")
    train = rows(folder / "train.jsonl", [(f"word {i} {i % 2}", "ab"[i % 2]) for i in range(40)])
    test = rows(folder / "test.jsonl", [(f"other {i}", "ab"[i % 2]) for i in range(9)])
    said = Said()
    recipe = values(
        {"train": train, "test": test, "later": test},
        base=str(tiny_base),
        stages=[{"kind": "finetune", "num_train_epochs": 1}, "evaluate"],
        name="small",
    )
    return run_recipe(recipe, out=folder / "out", overrides=["seed=5"], progress=said), said


def test_inspect_runs_first_where_something_is_trained(trained: tuple[Result, Said]) -> None:
    assert list(trained[0].reports) == ["inspect", "finetune", "evaluate"]


def test_every_report_is_written_as_json_and_page(trained: tuple[Result, Said]) -> None:
    folder = trained[0].out / "reports"
    stems = ["00-inspect", "01-finetune", "02-evaluate"]
    assert sorted(p.name for p in folder.iterdir()) == [f"{stem}.{end}" for stem in stems for end in ("html", "json")]
    assert trained[0].pages == tuple(folder / f"{stem}.html" for stem in stems)
    for stem, (kind, report) in zip(stems, trained[0].reports.items(), strict=True):
        assert stem.endswith(kind)
        assert Report.read(folder / f"{stem}.json") == report


def test_reports_that_speak_of_the_bundle_are_attached_to_it(trained: tuple[Result, Said]) -> None:
    bundle = trained[0].bundle
    assert bundle is not None
    attached = sorted(p.name for p in (bundle.path / "attachments").iterdir())
    assert attached == ["evaluate.html", "evaluate.json", "finetune.html", "finetune.json"]
    assert Report.read(bundle.path / "attachments" / "evaluate.json").bundle == bundle.digest
    assert Bundle.open(bundle.path).digest == bundle.digest


def test_the_bundle_lies_where_it_is_looked_for(trained: tuple[Result, Said]) -> None:
    assert trained[0].bundle is not None
    assert trained[0].bundle.path == trained[0].out / "bundle"


def test_the_decided_recipe_is_written_with_its_overrides(trained: tuple[Result, Said]) -> None:
    decided, _ = parse_yaml((trained[0].out / "recipe.yaml").read_text(encoding="utf-8"), file="recipe.yaml")
    assert (decided["seed"], decided["name"], decided["stages"][0]["num_train_epochs"]) == (5, "small", 1.0)


def test_lineage_names_what_the_bundle_was_made_from_and_nothing_else(trained: tuple[Result, Said]) -> None:
    assert trained[0].bundle is not None
    lineage = trained[0].bundle.manifest.lineage
    assert [(record.role, record.rows) for record in lineage.data] == [("train", 36), ("validation", 4)]
    assert (lineage.stage, lineage.seed, len(lineage.recipe_digest)) == ("finetune", 5, 64)


def test_that_validation_rows_were_taken_is_said(trained: tuple[Result, Said]) -> None:
    [sentence] = [words for words in trained[1].words if "validation split" in words]
    assert all(number in sentence for number in ("4 rows", "36 remain", "seed 5", "stratified by label"))


def test_each_stage_is_announced(trained: tuple[Result, Said]) -> None:
    announced = [words.split()[0] for words in trained[1].words if words.endswith(" ...")]
    assert announced == ["inspect", "finetune", "evaluate"]


def test_the_same_recipe_gives_the_same_bundle(trained: tuple[Result, Said], tmp_path: Path) -> None:
    assert trained[0].bundle is not None
    recipe, _ = parse_yaml((trained[0].out / "recipe.yaml").read_text(encoding="utf-8"), file="recipe.yaml")
    again = run_recipe(recipe, out=tmp_path / "elsewhere", overrides=["name=other"])
    assert again.bundle is not None
    assert again.bundle.digest == trained[0].bundle.digest


def test_hone_run_takes_a_mapping_and_leaves_it_as_it_was(texts: dict[str, Path], tmp_path: Path) -> None:
    recipe = values(texts)
    before = json.dumps(recipe)
    result = hone.run(recipe, out=tmp_path / "out", overrides=["task.pooling=cls", "stages.0.examples=1"])
    assert json.dumps(recipe) == before
    assert result.bundle is None
    assert list(result.reports) == ["inspect"]


def test_hone_run_takes_a_file_whose_paths_start_beside_it(texts: dict[str, Path], tmp_path: Path) -> None:
    file = texts["train"].parent / "r.yaml"
    file.write_text("version: 1\ntask: text-classification\ndata: {train: train.jsonl}\nstages: [inspect]\n")
    assert list(hone.run(str(file), out=str(tmp_path / "out")).reports) == ["inspect"]


def test_without_out_the_name_says_where_it_goes(
    texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = hone.run(values(texts, name="mine"))
    assert result.out == Path("runs/mine")
    assert (tmp_path / "runs" / "mine" / "recipe.yaml").is_file()


def test_a_named_validation_split_is_left_alone(texts: dict[str, Path], tmp_path: Path) -> None:
    _, said = run_peek(
        values({**texts, "validation": texts["test"]}), tmp_path / "out", peek("train", "validation", "test")
    )
    assert {name: len(data) for name, data in SEEN[0].data.items()} == {"train": 72, "validation": 24, "test": 24}
    assert not any("validation" in words for words in said.words)


def test_validation_none_carves_nothing(texts: dict[str, Path], tmp_path: Path) -> None:
    recipe = values(texts)
    recipe["data"]["validation"] = "none"
    run_peek(recipe, tmp_path / "out", peek("train", "validation", "test"))
    assert {name: len(data) for name, data in SEEN[0].data.items()} == {"train": 72, "test": 24}


def test_the_share_that_is_carved_is_the_recipes(texts: dict[str, Path], tmp_path: Path) -> None:
    recipe = values(texts)
    recipe["data"]["validation_share"] = 0.25
    run_peek(recipe, tmp_path / "out", peek("train", "validation"))
    assert len(SEEN[0].data["validation"]) == 18


def test_a_stated_split_seed_takes_the_same_rows_whatever_the_seed(texts: dict[str, Path], tmp_path: Path) -> None:
    taken: dict[int | None, list[str]] = {}
    for split in (None, 5):
        for seed in (1, 2):
            recipe = {**values(texts), "seed": seed}
            recipe["data"] |= {"split_seed": split, "train_share": 0.5}
            run_peek(recipe, tmp_path / f"{split}-{seed}", peek("train", "validation"))
            taken.setdefault(split, []).append(" ".join(data.digest for data in SEEN[-1].data.values()))
    assert taken[None][0] != taken[None][1]
    assert taken[5][0] == taken[5][1]


def test_rows_of_texts_to_write_are_carved_though_every_text_is_another(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("".join(f'{{"source": "text {i}", "target": "Text {i}"}}\n' for i in range(20)))
    recipe = {"version": 1, "task": "translation", "data": {"train": str(file)}, "stages": ["inspect"]}
    run_peek(recipe, tmp_path / "out", peek("train", "validation"))
    assert {name: len(data) for name, data in SEEN[0].data.items()} == {"train": 18, "validation": 2}


def test_questions_about_one_context_are_carved_together_and_it_is_said(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    asked = [{"context": f"context {i // 5}", "question": f"question {i}", "answers": []} for i in range(100)]
    file.write_text("".join(json.dumps(row) + "\n" for row in asked))
    recipe = {"version": 1, "task": "question-answering", "data": {"train": str(file)}, "stages": ["inspect"]}
    _, said = run_peek(recipe, tmp_path / "out", peek("train", "validation"))
    data = SEEN[0].data
    assert {name: len(rows) for name, rows in data.items()} == {"train": 90, "validation": 10}
    assert not set(data["train"].column("context")) & set(data["validation"].column("context"))
    assert any("equal context together" in words for words in said.words)


DIRTY = [("one", "a"), ("one", "a"), ("two", "b"), ("three", "a"), ("four", "b"), ("five", "a"), ("six", "b")]


@pytest.mark.parametrize(
    ("drop", "left"),
    [
        ([], ["one", "one", "two", "three", "four", "five", "six"]),
        (["duplicates"], ["one", "two", "three", "four", "five", "six"]),
        (["leaked"], ["one", "one", "three", "four", "five", "six"]),
        (["duplicates", "leaked"], ["one", "three", "four", "five", "six"]),
    ],
)
def test_rows_are_dropped_as_asked_and_it_is_said(drop: list[str], left: list[str], tmp_path: Path) -> None:
    files = {
        "train": rows(tmp_path / "train.jsonl", DIRTY),
        "test": rows(tmp_path / "test.jsonl", [("two", "b"), ("new", "a"), ("new", "a")]),
    }
    recipe = values(files)
    recipe["data"] |= {"validation": "none", "drop": drop}
    _, said = run_peek(recipe, tmp_path / "out", peek("train", "test"))
    assert SEEN[0].data["train"].column("text") == left
    assert SEEN[0].data["test"].column("text") == ["two", "new", "new"]
    dropped = [words for words in said.words if words.startswith("dropped")]
    assert len(dropped) == (len(left) < len(DIRTY))
    assert all(f"{len(DIRTY) - len(left)} of {len(DIRTY)}" in words for words in dropped)


def test_dropping_every_row_is_told(tmp_path: Path) -> None:
    file = rows(tmp_path / "same.jsonl", [("one", "a"), ("two", "b")])
    recipe = values({"train": file, "test": file})
    recipe["data"]["drop"] = ["leaked"]
    with pytest.raises(DataError) as caught:
        hone.run(recipe, out=tmp_path / "out")
    assert str(file) in str(caught.value)


def empty_copy(trained: tuple[Result, Said], path: Path) -> Bundle:
    """The trained bundle by name alone: a folder that attachments may go to."""
    assert trained[0].bundle is not None
    path.mkdir()
    return Bundle(path, trained[0].bundle.manifest)


def test_a_stage_sees_only_the_splits_it_reads(
    texts: dict[str, Path], tmp_path: Path, tiny_base: Path, trained: tuple[Result, Said]
) -> None:
    files = {**texts, "later": texts["test"]}
    judge, maker = peek("test"), peek("train", "validation", changes="model")
    bundle = empty_copy(trained, tmp_path / "bundle")
    recipe = values(files, base=str(tiny_base), stages=["finetune"])
    run_peek(recipe, tmp_path / "out", INSPECT, judge, maker, bundle=bundle)
    assert list(SEEN[0].data) == ["test", "later"]
    assert list(SEEN[1].data) == ["train", "validation"]


INSPECT = make_recipe(
    {"version": 1, "task": "text-classification", "data": {"train": "x"}, "stages": ["inspect"]}, folder=Path()
).stages[0]


def test_a_stage_is_given_the_reports_before_it_and_the_settings_after_it(
    texts: dict[str, Path], tmp_path: Path
) -> None:
    run_peek(values(texts), tmp_path / "out", peek("train"), INSPECT, peek("test"))
    assert [list(inputs.reports) for inputs in SEEN] == [[], ["peek", "inspect"]]
    assert [list(inputs.plan) for inputs in SEEN] == [["peek", "inspect"], ["peek"]]
    assert [run.folder.name for run in CALLS] == ["00-peek", "02-peek"]


def test_a_judge_leaves_no_trace_in_a_bundle_it_was_given(
    texts: dict[str, Path], tmp_path: Path, trained: tuple[Result, Said]
) -> None:
    bundle = empty_copy(trained, tmp_path / "bundle")
    run_peek(values(texts), tmp_path / "out", peek("test"), bundle=bundle)
    assert list(bundle.path.iterdir()) == []


def test_two_stages_of_one_kind_keep_two_reports(texts: dict[str, Path], tmp_path: Path, tiny_base: Path) -> None:
    stages = [
        {"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "save_steps": None},
        "evaluate",
        {"kind": "evaluate", "on": "validation"},
    ]
    result = hone.run(values(texts, base=str(tiny_base), stages=stages), out=tmp_path / "out")
    assert list(result.reports) == ["inspect", "finetune", "evaluate", "evaluate-2"]
    assert [result.reports[name].facts["data"] for name in ("evaluate", "evaluate-2")] == ["test", "validation"]
    assert result.bundle is not None
    attached = {path.name for path in (result.bundle.path / "attachments").iterdir()}
    assert {"evaluate.json", "evaluate.html", "evaluate-2.json", "evaluate-2.html"} <= attached


def test_reports_of_an_earlier_run_into_the_folder_do_not_stay(texts: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_peek(values(texts), out, INSPECT, peek("test"))
    run_peek(values(texts), out, INSPECT)
    assert sorted(path.name for path in (out / "reports").iterdir()) == ["00-inspect.html", "00-inspect.json"]


def test_the_run_stops_after_the_stage_that_until_names(texts: dict[str, Path], tmp_path: Path) -> None:
    result, _ = run_peek(values(texts), tmp_path / "out", INSPECT, peek("test"), until="inspect")
    assert list(result.reports) == ["inspect"]
    assert SEEN == []


def test_a_second_finetune_starts_from_the_first_and_leaves_both(
    texts: dict[str, Path], tmp_path: Path, tiny_base: Path
) -> None:
    stage = {"kind": "finetune", "max_steps": 1}
    result = hone.run(values(texts, base=str(tiny_base), stages=[stage, stage]), out=tmp_path / "out")
    assert result.bundle is not None
    first = Bundle.open(tmp_path / "out" / "stages" / "01-finetune" / "bundle")
    assert result.bundle.path == tmp_path / "out" / "bundle"
    assert result.bundle.manifest.lineage.parents == (first.digest,)
    assert len(result.pages) == 3


def test_a_run_needs_no_torch_to_be_checked(texts: dict[str, Path]) -> None:
    import subprocess

    code = f"import sys, pathlib\nfrom hone.pipeline.recipe import make_recipe\nmake_recipe({values(texts)!r}, folder=pathlib.Path())\nprint('torch' in sys.modules)"  # noqa: E501
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_bundle_is_the_same_whatever_it_is_judged_on(texts: dict[str, Path], tmp_path: Path, tiny_base: Path) -> None:
    finetune = {"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "save_steps": None}
    other = rows(tmp_path / "other.jsonl", [("refund", "refund"), ("new password", "password")])
    made = [
        hone.run(values({**texts, "test": test}, base=str(tiny_base), stages=[finetune, judge]), out=tmp_path / name)
        for name, test, judge in [("a", texts["test"], "evaluate"), ("b", other, {"kind": "evaluate", "worst": 1})]
    ]
    digests = {result.bundle.digest for result in made if result.bundle is not None}
    assert len(digests) == 1
