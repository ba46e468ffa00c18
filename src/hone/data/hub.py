"""``hub:NAME``: a data set of the Hugging Face hub, through the datasets library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hone.core.errors import DataError, MissingExtra
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
            f"the data set hub:{name} cannot be had: {type(error).__name__}: {error}",
            fix="Check its name and split and the network, or HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN.",
            code="data.hub",
        ) from error

    def rows() -> Raw:
        names = {key: kind.int2str for key, kind in data.features.items() if isinstance(kind, datasets.ClassLabel)}
        for number, row in enumerate(data, start=1):
            yield number, {key: names[key](value) if key in names else value for key, value in row.items()}

    return rows, str(data._fingerprint)
