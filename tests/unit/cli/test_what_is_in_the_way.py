"""What ``--out`` would destroy is told before anything runs: a recipe, another run's reports, a model in use."""

from __future__ import annotations

from pathlib import Path

import pytest
from ended import Hone

from hone.bundle.bundle import Bundle


@pytest.fixture
def inspected(texts: dict[str, Path], tiny_base: Path) -> Path:
    """A recipe that takes no time, with a comment, in a folder of its own."""
    path = texts["train"].parent / "own" / "recipe.yaml"
    path.parent.mkdir()
    path.write_text(
        f"version: 1  # what I know of it\nname: small\ntask: text-classification\nbase: {tiny_base}\n"
        "data: {train: ../train.jsonl, test: ../test.jsonl}\nstages: [inspect]\n"
    )
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_recipe_is_not_replaced_by_what_is_decided_of_it(
    run: Hone, inspected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(inspected.parent)
    ended = run("run", inspected, "--out", inspected.parent)
    assert ended.code == 2
    assert "--out" in ended.err
    monkeypatch.chdir(inspected.parent)
    assert run("run", inspected.name, "--out", ".").code == 2
    assert files(inspected.parent) == before


def test_a_recipe_of_another_name_may_lie_in_the_folder(run: Hone, inspected: Path) -> None:
    other = inspected.rename(inspected.with_name("mine.yaml"))
    text = other.read_text()
    assert run("run", other, "--out", other.parent).code == 0
    assert other.read_text() == text
    assert (other.parent / "recipe.yaml").is_file()


def test_a_decided_recipe_runs_again_where_it_lies_unless_it_would_be_another(
    run: Hone, inspected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("run", inspected, "--out", out).code == 0
    decided = (out / "recipe.yaml").read_bytes()
    assert run("run", out / "recipe.yaml", "--out", out).code == 0
    assert (out / "recipe.yaml").read_bytes() == decided
    assert run("run", out / "recipe.yaml", "seed=99", "--out", out).code == 2
    assert (out / "recipe.yaml").read_bytes() == decided


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_judge_does_not_take_the_folder_of_another_run(
    run: Hone, copy: Path, inspected: Path, texts: dict[str, Path], tmp_path: Path, command: str
) -> None:
    given = [copy] if command == "evaluate" else [copy, copy]
    out = tmp_path / "out"
    run("run", inspected, "--out", out)
    before = files(out)
    assert "reports/00-inspect.html" in before
    ended = run(command, *given, texts["test"], "--out", out)
    assert ended.code == 2
    assert "--out" in ended.err
    assert files(out) == before
    assert run(command, *given, texts["test"], "--out", inspected.parent).code == 2


def test_a_judge_takes_its_own_folder_again(run: Hone, copy: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for settings in ([], [], ["worst=1"], ["--language", "zh"]):
        assert run("evaluate", copy, texts["test"], *settings, "--out", out).code == 0
    assert "language: zh" in (out / "recipe.yaml").read_text()


def test_a_bundle_is_not_replaced_by_one_that_needs_it(
    run: Hone, copy: Path, text_bundle: Path, texts: dict[str, Path]
) -> None:
    digest, train = Bundle.open(copy).digest, texts["train"]
    for command in (
        ["finetune", train, "--base", copy, "method=lora", "--out", copy],
        ["ensemble", text_bundle, copy, "--validation", train, "--out", copy],
        ["index", copy, train, "--out", copy],
    ):
        ended = run(*command)
        assert ended.code == 2
        assert "--out" in ended.err
        assert Bundle.open(copy).digest == digest
    assert not copy.with_name("bundle.run").exists()


def test_a_bundle_is_replaced_by_one_that_stands_alone(run: Hone, copy: Path, texts: dict[str, Path]) -> None:
    digest = Bundle.open(copy).digest
    ended = run("finetune", texts["train"], "--base", copy, "max_steps=1", "--out", copy)
    assert ended.code == 0
    assert Bundle.open(copy).digest != digest
