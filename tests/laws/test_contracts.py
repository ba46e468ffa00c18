"""The import contracts hold when the strings of plugin tables, and the work of stages, count as imports too."""

from __future__ import annotations

import configparser
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import hone
from hone.bundle.stage import Stage
from hone.core.tables import Table
from hone.pipeline.stages import STAGES

ROOT = Path(__file__).parents[2]
MAKERS = ("hone.train", "hone.compress")
LEAN = ("hone.serve", "hone.monitor", "hone.predict")


def _tables() -> dict[str, list[str]]:
    """Module -> modules that strings in its tables and stages name."""
    found: dict[str, list[str]] = {}
    for info in pkgutil.walk_packages(hone.__path__, "hone."):
        if info.name == "hone.__main__":
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, Table):
                found.setdefault(info.name, []).extend(target.partition(":")[0] for target in value.targets().values())
            if isinstance(value, Stage):
                strings = [string for string in (value.work, value.check) if string]
                found.setdefault(info.name, []).extend(string.partition(":")[0] for string in strings)
    return found


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    graph = grimp.build_graph("hone", include_external_packages=False, exclude_type_checking_imports=True)
    for module, targets in _tables().items():
        for target in targets:
            if target != module and not _re_exported(module, target):
                graph.add_import(importer=module, imported=target)
    return graph


def _re_exported(module: str, target: str) -> bool:
    """Whether ``module`` merely imports a table or stage that another module defines."""
    return module.rpartition(".")[0] != target.rpartition(".")[0] and not _defines(module)


def _defines(module: str) -> bool:
    source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    return "Table(" in source or "= Stage(" in source


def _layers() -> list[set[str]]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    lines = parser["importlinter:contract:floors"]["layers"].split("\n")
    rows = [{name.strip(" ()") for name in line.split("|")} for line in lines if line.strip()]
    present = {path.stem if path.is_file() else path.name for path in (ROOT / "src" / "hone").iterdir()}
    return [row & present for row in rows if row & present]


def test_floors_hold_with_table_strings_counted_as_imports(graph: grimp.ImportGraph) -> None:
    order = [{f"hone.{name}" for name in row} for row in _layers()]
    broken = []
    for depth, row in enumerate(order):
        above = set().union(*order[:depth]) if depth else set()
        for lower in row:
            for upper in above:
                chains = graph.find_shortest_chains(importer=lower, imported=upper, as_packages=True)
                broken += [" -> ".join(chain) for chain in chains]
    assert broken == []


def test_every_package_stands_on_a_floor() -> None:
    rooms = {path.name for path in (ROOT / "src" / "hone").iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set().union(*_layers())


def test_the_lean_service_reaches_no_maker_through_tables_either(graph: grimp.ImportGraph) -> None:
    present = {name for name in (*LEAN, *MAKERS) if name in graph.modules}
    chains = [
        chain
        for lean in present & set(LEAN)
        for maker in present & set(MAKERS)
        for chain in graph.find_shortest_chains(importer=lean, imported=maker, as_packages=True)
    ]
    assert chains == []


def test_every_table_string_resolves() -> None:
    for kind in STAGES:
        stage = STAGES[kind]
        for string in filter(None, (stage.work, stage.check)):
            module, _, name = string.partition(":")
            assert callable(getattr(importlib.import_module(module), name))


def test_a_stage_that_changes_the_model_may_not_read_test() -> None:
    for kind in STAGES:
        stage = STAGES[kind]
        assert stage.changes == "nothing" or "test" not in stage.reads


def test_judges_and_engines_start_without_torch_where_promised() -> None:
    code = "import sys, hone, hone.bundle.bundle, hone.pipeline.recipe; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
