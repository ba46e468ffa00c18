"""`Field`: a declared input or target; from fields come data checks, the HTTP schema and ``hone init``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "tokens", "label", "tags"]


@dataclass(frozen=True)
class Field:
    """A column of an example.

    Attributes:
        name: Column name by convention (``text``, ``label``, ``tokens``, ``tags``).
        kind: What its values are.
        required: Whether every row must have it.
    """

    name: str
    kind: Kind
    required: bool = True
