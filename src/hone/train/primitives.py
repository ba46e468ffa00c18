"""How many of oneDNN's primitives stay in memory while a model trains on a CPU."""

from __future__ import annotations

import os

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KEPT = 64  # more than the different products of one step


def keep_few_primitives() -> None:
    """Let oneDNN keep `KEPT` primitives, unless the environment says how many; of effect before torch first uses it.

    It makes machine code for each shape that it multiplies, and by default keeps 1,024 of them: a third of a megabyte
    each. Batches have ever other numbers of tokens, so training would fill that cache step after step and hardly find
    anything in it again.
    """
    os.environ.setdefault(CAPACITY, str(KEPT))
