"""The method search: every combination is made once, the best within the budget is written, the rest is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.bundle.bundle import Bundle
from hone.cli.main import main
from hone.compress import int8
from hone.compress.search import chains, names
from hone.core.errors import GateNotMet, RecipeError
from hone.core.progress import Silent
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import run_stages

PLENTY = 1e6


def searched(bundle: Path, train: Path, out: Path, **search: Any) -> Any:
    recipe = make_recipe(
        {
            "version": 1, "task": "text-classification", "data": {"train": str(train), "validation": str(train)},
            "stages": [{"kind": "compress", "method": {"name": "search", "timed_texts": 2, **search}}],
        },
        folder=Path(),
    )  # fmt: skip
    return run_stages(recipe, out=out, progress=Silent(), bundle=Bundle.open(bundle))


def test_every_way_of_taking_one_or_none_of_each_step() -> None:
    steps = [[{"name": "a"}, {"name": "a", "x": 1}], [{"name": "b"}]]
    assert names(chains(steps), steps) == ["parent", "a-1", "a-2", "b", "a-1 + b", "a-2 + b"]


def test_no_two_combinations_are_called_alike_nor_made_twice() -> None:
    six, three, rounded = {"name": "a", "x": 6}, {"name": "a", "x": 3}, {"name": "b"}
    steps: list[list[dict[str, Any]]] = [[six], [three, six], [rounded]]
    found = chains(steps)
    called = names(found, steps)
    assert called[:6] == ["parent", "a-1", "a-2", "a-1 + a-2", "a-1 + a-1", "b"]
    assert len({*called}) == len(called) == 10
    assert dict(zip(called, found, strict=True))["a-2 + b"] == (three, rounded)


def test_of_those_within_the_budget_the_best_is_written_and_all_are_told(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    steps = [["vocabulary"], ["int8", {"name": "weight-only", "bits": 4}]]
    sizes = {}
    result = searched(text_bundle, texts["train"], tmp_path / "all", steps=steps, max_size_mb=PLENTY)
    grid = result.reports["compress"].tables["candidates"]
    sizes = {row[0].partition(" ")[2]: row[grid.columns.index("disk_mb")] for row in grid.rows}
    assert list(sizes) == [
        "parent", "vocabulary", "int8", "weight-only", "vocabulary + int8", "vocabulary + weight-only",
    ]  # fmt: skip
    assert all(size < sizes["parent"] for name, size in sizes.items() if name != "parent")
    least = min(sizes, key=lambda name: sizes[name])
    small = searched(text_bundle, texts["train"], tmp_path / "small", steps=steps, max_size_mb=sizes[least] * 1.001)
    report = small.reports["compress"]
    assert report.facts["chosen"] == least
    assert [row[0] for row in report.tables["candidates"].rows if row[-1]] == [f"{list(sizes).index(least)} {least}"]
    lineage = Bundle.open(tmp_path / "small" / "bundle").manifest.lineage
    assert [method["name"] for method in lineage.recipe["chosen"]] == least.split(" + ")
    assert lineage.parents == (Bundle.open(text_bundle).digest,)
    assert hone.load(tmp_path / "small" / "bundle").predict("they love the bank")
    assert (tmp_path / "small" / "stages" / "00-compress" / "search" / "int8" / "bundle").is_dir()


def test_where_none_is_within_the_budget_nothing_is_written(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(GateNotMet, match=r"int8: .* ms, .* MB") as caught:
        searched(text_bundle, texts["train"], tmp_path / "run", steps=[["int8"]], max_latency_ms=1e-9)
    assert "1e-09 ms a text" in str(caught.value)
    assert not (tmp_path / "run" / "bundle").exists()


def test_what_a_search_had_made_is_not_made_again(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GateNotMet):
        searched(text_bundle, texts["train"], tmp_path / "run", steps=[["int8"]], max_size_mb=1e-9)

    def refuse(*_: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(int8, "round_weights", refuse)
    result = searched(text_bundle, texts["train"], tmp_path / "run", steps=[["int8"]], max_size_mb=PLENTY)
    assert result.reports["compress"].facts["chosen"] == "int8"
    with pytest.raises(AssertionError, match="made again"):  # other settings are another bundle
        searched(
            text_bundle, texts["train"], tmp_path / "run", max_size_mb=PLENTY,
            steps=[[{"name": "int8", "activations": "dynamic"}]],
        )  # fmt: skip


def test_combinations_that_cannot_be_are_told_with_their_reason(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    steps = [["int8"], ["weight-only"], ["vocabulary"]]
    report = searched(text_bundle, texts["train"], tmp_path / "run", steps=steps, max_size_mb=PLENTY).reports[
        "compress"
    ]
    told = dict(report.tables["not_possible"].rows)
    assert "int8 already" in told["int8 + weight-only"]
    assert told["int8 + weight-only + vocabulary"] == told["int8 + weight-only"]
    assert report.facts["candidates_tried"] == len(chains(steps)) - 1 - len(told)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({}, "max_latency_ms, max_size_mb or both"),
        ({"max_size_mb": 1, "steps": [["search"]]}, "other methods than search"),
        ({"max_size_mb": 1, "steps": [[]]}, "at least one method in each step"),
        ({"max_size_mb": 1, "steps": [["int9"]]}, "Did you mean 'int8'"),
        ({"max_size_mb": 0}, "greater than 0"),
    ],
)
def test_a_search_that_cannot_be_is_told(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, search: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        searched(text_bundle, texts["train"], tmp_path / "run", **search)
    assert words in str(caught.value)


@pytest.mark.parametrize("arguments", [[], ["--search", "--method", "int8"]])
def test_the_command_asks_for_a_method_or_a_search(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(text_bundle), str(texts["train"]), "--out", str(tmp_path / "out"), *arguments])
    assert ended.value.code == 2
    assert "either --method or --search" in capsys.readouterr().err


def test_the_command_searches(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "compress", str(text_bundle), str(texts["train"]), "--search", "--out", str(tmp_path / "out"),
                "method.steps=[[int8]]", "method.max_size_mb=1000", "method.timed_texts=2", "--json",
            ]
        )  # fmt: skip
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["facts"]["chosen"] == "int8"
    pages = list((tmp_path / "out.run" / "reports").glob("*compress.html"))
    assert pages[0].read_text().count('<svg class="plot"') >= 2
