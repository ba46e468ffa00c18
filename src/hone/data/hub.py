"""``hub:NAME``: a data set of the Hugging Face hub, through the datasets library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hone.core.errors import DataError, Fault, MissingExtra
from hone.data.formats import Raw


def hub_rows(name: str, *, split: str) -> tuple[Callable[[], Raw], str]:
    """A function that streams the rows of ``NAME`` or ``NAME:SPLIT``, and the data's fingerprint.

    Class labels come as their names.

    Raises:
        MissingExtra: The datasets library is not installed.
        DataError: The data set or the split cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", extra="hub", needed_for=f"the source hub:{name}") from error
    repository, _, stated = name.partition(":")
    try:
        data: Any = datasets.load_dataset(repository, split=stated or split)
    except Exception as error:  # the library raises dozens of kinds, from network to schema; each ends the read
        raise DataError(
            f"the data set hub:{name} cannot be had",
            faults=[Fault("data.hub", f"{type(error).__name__}: {error}", file=f"hub:{name}")],
            fix="Check its name and split and the network, or HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN.",
            code="data.hub",
        ) from error

    def rows() -> Raw:
        names = {key: _names(kind) for key, kind in data.features.items()}
        for number, row in enumerate(data, start=1):
            yield number, {key: _named(value, names[key]) for key, value in row.items()}

    return rows, str(data._fingerprint)


def _names(kind: Any) -> list[str]:
    """Names of the class labels in a column, bare or in lists; none where it holds something else."""
    names: list[str] | None = getattr(kind, "names", None) or getattr(getattr(kind, "feature", None), "names", None)
    return names or []


def _named(value: Any, names: list[str]) -> Any:
    if not names or value is None:
        return value
    if isinstance(value, list):
        return [_named(each, names) for each in value]
    return names[value] if 0 <= value < len(names) else None  # -1 is how the hub writes "not labeled"
