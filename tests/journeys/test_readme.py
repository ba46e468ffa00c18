"""What the READMEs and guides show works: Python blocks run, recipes are recipes, both languages say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hone.pipeline.recipe import make_recipe
from hone.pipeline.yaml_file import parse_yaml

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("docs/guide/*.md"), *map(ROOT.joinpath, READMES)])


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.M | re.S)


@pytest.mark.parametrize("page", READMES)
def test_python_blocks_run(page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = _blocks(page, "python")
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES)
def test_whole_recipes_are_recipes(page: str) -> None:
    for block in _blocks(page, "yaml"):
        if block.startswith("version:"):
            values, lines = parse_yaml(block, file=page)
            assert make_recipe(values, folder=ROOT / "recipes", file=page, lines=lines).stages


def test_the_readme_shows_the_quickstart_as_it_is() -> None:
    quickstart, _ = parse_yaml((ROOT / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"), file="quickstart")
    for page in READMES:
        shown = [parse_yaml(block, file=page)[0] for block in _blocks(page, "yaml") if block.startswith("version:")]
        assert quickstart in shown


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    missing = [t for t in targets if "://" not in t and not ((ROOT / page).parent / t).exists()]
    assert missing == []


def test_both_languages_have_the_same_parts() -> None:
    def shape(page: str) -> list[int]:
        return [len(marks) for marks in re.findall(r"^(#+) ", (ROOT / page).read_text(encoding="utf-8"), flags=re.M)]

    assert shape(READMES[0]) == shape(READMES[1])
