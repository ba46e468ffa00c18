"""What a stage or a method of compression imports and hone does not bring by itself is told before anything runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hone.bundle.stage import NO_TASK, Inputs, Stage
from hone.compress.settings import METHODS, Method
from hone.core.errors import MissingExtra
from hone.core.settings import Settings
from hone.pipeline.stages import STAGES

WITHOUT = """
import importlib, sys
sys.modules["accelerate"] = None
from hone.compress.settings import METHODS
from hone.pipeline.stages import STAGES
for table in (STAGES, METHODS):
    for name in table:
        try:
            importlib.import_module(table[name].work.partition(":")[0])
        except ModuleNotFoundError as error:
            print(name, error.name)
"""


def needing(entries: dict[str, Stage] | dict[str, Method]) -> list[str]:
    return [name for name, entry in entries.items() if "accelerate" in entry.needs]


def test_those_that_do_not_import_without_the_extra_train_say_so() -> None:
    ended = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    failing = {tuple(line.split()) for line in ended.stdout.splitlines()}
    assert failing == {(name, "accelerate") for name in (*needing(dict(STAGES)), *needing(dict(METHODS)))}
    assert len(failing) >= 8


@pytest.mark.parametrize("name", needing(dict(STAGES)))
def test_a_stage_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=rf"{name} needs the package accelerate.*\n.*hone\[train\]"):
        STAGES[name].faults(Settings(), Inputs(NO_TASK, None, {}))


@pytest.mark.parametrize("name", needing(dict(METHODS)))
def test_a_method_of_compression_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=rf"compress by {name} needs the package accelerate.*\n.*hone\[train\]"):
        METHODS[name].require()
