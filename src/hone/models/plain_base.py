"""The model of a base as transformers opens it, for those who make another base of it."""

from __future__ import annotations

from typing import Any

import transformers

from hone.core.errors import RecipeError
from hone.models.base import Base
from hone.models.files import own_file
from hone.models.model import UNREADABLE, unreadable
from hone.models.nets import NetConfig, read_config
from hone.models.quiet import quiet_loading


def plain_config(base: Base, *, what: str) -> Any:
    """The configuration of a base that transformers opens.

    Args:
        what: Is to be done with it.

    Raises:
        RecipeError: Its model or its weights are of hone's own.
        BundleError: Its configuration cannot be read.
    """
    try:
        config = read_config(base.folder)
    except UNREADABLE as error:
        raise unreadable(base.folder, error) from error
    file = own_file(base.folder)
    if isinstance(config, NetConfig):
        found = f"the base {base.name}, a {config.architecture}"
    elif file is not None:
        found = f"the base {base.name}, a compressed one, whose weights lie in {file.name}"
    else:
        return config
    raise RecipeError(
        f"{found}: it cannot be {what}",
        expected="a base that transformers opens by itself",
        fix="Name the base that it was compressed from." if file is not None else "Name another base.",
        code="base.not-plain",
    )


def plain_model(base: Base) -> Any:
    """The base's model, in the class that its configuration names.

    Raises:
        BundleError: It cannot be opened.
    """
    try:
        with quiet_loading():
            config = read_config(base.folder)
            named = getattr(transformers, (config.architectures or [""])[0], transformers.AutoModel)
            return named.from_pretrained(base.folder, dtype="auto")
    except UNREADABLE as error:
        raise unreadable(base.folder, error) from error
