"""hone: from a pretrained language model and your text to a measured, compressed, served model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hone.core.errors import (
    BundleError,
    DataError,
    DeviceError,
    GateNotMet,
    HoneError,
    MissingExtra,
    RecipeError,
)

if TYPE_CHECKING:
    from hone.pipeline.run import run_recipe as run
    from hone.predict.predictor import load
    from hone.predict.relations import load_relations
    from hone.predict.shelf import load_shelf
    from hone.retrieval.build import index
    from hone.retrieval.index import load_index

__version__ = "0.1.0"

__all__ = [
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

_LAZY = {
    "index": ("hone.retrieval.build", "index"),
    "load": ("hone.predict.predictor", "load"),
    "load_index": ("hone.retrieval.index", "load_index"),
    "load_relations": ("hone.predict.relations", "load_relations"),
    "load_shelf": ("hone.predict.shelf", "load_shelf"),
    "run": ("hone.pipeline.run", "run_recipe"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'hone' has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
