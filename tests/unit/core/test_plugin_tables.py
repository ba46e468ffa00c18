"""Tables resolve names when they are asked for, and let other packages add entries but never replace hone's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hone.core import tables
from hone.core.errors import RecipeError
from hone.core.tables import Table

GROUP = "hone.tests"


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that adds ``extra`` and tries to replace ``dumps``."""
    info = tmp_path / "foreign-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nextra = foreign_entries:Extra\ndumps = foreign_entries:Extra\n", encoding="utf-8"
    )
    (tmp_path / "foreign_entries.py").write_text("class Extra:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "foreign_entries", raising=False)


def test_an_entry_is_what_its_string_names() -> None:
    assert Table("codec", {"dumps": "json:dumps"})["dumps"] is json.dumps


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    table = Table("codec", {"broken": "no_such_module:thing"})
    assert "broken" in table
    assert list(table) == ["broken"]
    with pytest.raises(ModuleNotFoundError):
        table["broken"]


def test_names_come_sorted_and_counted() -> None:
    table = Table("codec", {"loads": "json:loads", "dumps": "json:dumps"})
    assert (list(table), len(table)) == (["dumps", "loads"], 2)


def test_an_unknown_name_is_an_error_of_the_recipe_with_the_nearest_name() -> None:
    table = Table("codec", {"loads": "json:loads", "dumps": "json:dumps"})
    with pytest.raises(RecipeError) as caught:
        table["dump"]
    assert caught.value.code == "recipe.unknown-codec"
    assert "'dumps'" in caught.value.fix
    assert "'dump'" in str(caught.value)


def test_other_things_than_names_are_not_in_it() -> None:
    assert 3 not in Table("codec", {"loads": "json:loads"})


@pytest.mark.usefixtures("foreign")
def test_another_package_adds_an_entry() -> None:
    table = Table("codec", {"dumps": "json:dumps"}, group=GROUP)
    assert list(table) == ["dumps", "extra"]
    assert table["extra"].__name__ == "Extra"


@pytest.mark.usefixtures("foreign")
def test_another_package_never_replaces_an_own_entry() -> None:
    table = Table("codec", {"dumps": "json:dumps"}, group=GROUP)
    assert table["dumps"] is json.dumps
    assert table.targets() == {"dumps": "json:dumps", "extra": "foreign_entries:Extra"}


@pytest.mark.usefixtures("foreign")
def test_a_table_without_a_group_takes_nothing_from_outside() -> None:
    assert list(Table("codec", {"dumps": "json:dumps"})) == ["dumps"]


def test_an_entry_of_its_own_is_found_without_reading_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**_: str) -> None:
        raise AssertionError("entry points were read")

    monkeypatch.setattr(tables, "entry_points", read)
    table = Table("codec", {"dumps": "json:dumps"}, group=GROUP)
    assert "dumps" in table
    assert table["dumps"] is json.dumps
    with pytest.raises(AssertionError, match="were read"):
        table["loads"]
