"""What is installed beside hone: the packages of its extras."""

from __future__ import annotations

from importlib.util import find_spec

from hone.core.errors import MissingExtra

TO_TRAIN = ("accelerate",)  # what the loop imports, of the extra `train`


def require(package: str, *, extra: str, needed_for: str) -> None:
    """Look whether ``package``, which ``extra`` brings, is installed; it is not imported.

    Raises:
        MissingExtra: It is not.
    """
    if find_spec(package) is None:
        raise MissingExtra(package, extra=extra, needed_for=needed_for)
