"""What the processor says that it has."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch


@functools.cache
def processor() -> Mapping[str, Any]:
    """Instructions by name, true or false, and sizes of caches in bytes, as torch names them; empty where it does not
    tell, which older ones do not."""
    told = getattr(torch.cpu, "get_capabilities", None)
    return told() if told is not None else {}
