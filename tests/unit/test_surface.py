"""The public names of hone, and that they cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import hone
from hone.pipeline.run import run_recipe
from hone.predict.predictor import load
from hone.predict.relations import load_relations
from hone.retrieval.build import index
from hone.retrieval.index import load_index


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_public_names_are_these() -> None:
    assert hone.__all__ == [
        "BundleError",
        "DataError",
        "DeviceError",
        "GateNotMet",
        "HoneError",
        "MissingExtra",
        "RecipeError",
        "__version__",
        "index",
        "load",
        "load_index",
        "load_relations",
        "load_shelf",
        "run",
    ]
    assert dir(hone) == sorted(hone.__all__)


def test_public_functions_are_those_behind_them() -> None:
    assert hone.index is index
    assert hone.load is load
    assert hone.load_index is load_index
    assert hone.load_relations is load_relations
    assert hone.run is run_recipe


def test_every_public_name_is_there() -> None:
    assert all(getattr(hone, name) is not None for name in hone.__all__)


def test_a_name_that_is_not_there_raises() -> None:
    with pytest.raises(AttributeError, match="explode"):
        hone.explode  # noqa: B018


def test_the_version_is_that_of_the_package() -> None:
    assert hone.__version__ == version("hone")


def test_every_error_is_a_hone_error() -> None:
    errors = [getattr(hone, name) for name in hone.__all__ if name[0].isupper()]
    assert all(issubclass(error, hone.HoneError) for error in errors)


def test_importing_hone_imports_no_heavy_package() -> None:
    heavy = {"torch", "transformers", "numpy", "pyarrow", "pydantic", "accelerate"}
    assert python(f"import sys, hone; print(sorted({heavy!r} & set(sys.modules)))") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["finetune", "--help"], ["init"], ["env", "--help"]])
def test_help_and_init_import_no_torch(arguments: list[str]) -> None:
    code = (
        f"import sys\nfrom hone.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit as end:\n"
        "    print('END', end.code, sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert python(code).splitlines()[-1] == "END 0 []"


def test_the_package_runs_as_a_module() -> None:
    out = subprocess.run([sys.executable, "-m", "hone", "init", "list"], capture_output=True, text=True, check=True)
    assert "text-classification" in out.stdout
