"""Commands of one stage speak the language that is asked for, on stdout and in what they write."""

from __future__ import annotations

import json
from pathlib import Path

from ended import Hone


def test_what_is_measured_is_told_in_chinese(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    ended = run("evaluate", text_bundle, texts["test"], "--language", "zh", "--out", tmp_path / "out")
    assert ended.code == 0
    assert "准确率" in ended.out
    assert "Accuracy" not in ended.out
    page = (tmp_path / "out" / "reports" / "00-evaluate.html").read_text(encoding="utf-8")
    assert '<html lang="zh' in page
    ended = run("compare", text_bundle, text_bundle, texts["test"], "--language", "zh", "--json")
    assert "准确率" in ended.object()["conclusion"]


def test_what_is_made_has_its_page_in_chinese(
    run: Hone, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    ended = run("finetune", texts["train"], "--base", tiny_base, "--out", tmp_path / "made", "--language", "zh",
                "max_steps=1")  # fmt: skip
    assert ended.code == 0
    assert "准确率" in ended.out
    pages = list((tmp_path / "made.run" / "reports").glob("*.html"))
    assert len(pages) == 2
    assert all('<html lang="zh' in page.read_text(encoding="utf-8") for page in pages)


def test_data_and_a_recipe_are_inspected_in_the_language_asked_for_or_else_in_the_recipe_s(
    run: Hone, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    ended = run("inspect", texts["train"], "--base", tiny_base, "--language", "zh", "--out", tmp_path / "seen")
    assert ended.code == 0
    assert '<html lang="zh' in (tmp_path / "seen" / "inspect.html").read_text(encoding="utf-8")
    recipe = tmp_path / "recipe.yaml"
    values = {"version": 1, "task": "text-classification", "base": str(tiny_base), "language": "zh",
              "data": {"train": str(texts["train"])}, "stages": ["inspect", "finetune"]}  # fmt: skip
    recipe.write_text(json.dumps(values), encoding="utf-8")
    own, asked = run("inspect", recipe).out, run("inspect", recipe, "--language", "en").out
    assert own.split()[0] == ended.out.split()[0]
    assert asked.split()[0] != own.split()[0]
