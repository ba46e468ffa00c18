"""How deep in the backbone a weight lies, by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable

LAYER = re.compile(r"(?:^|\.)(?:layer|layers|h|block|blocks)\.(\d+)\.")
BELOW = re.compile(r"embed|(?:^|\.)shared\.|(?:^|\.)w[tp]e\.")  # T5 and BART call their table shared


def depths(names: Iterable[str]) -> tuple[dict[str, int], int]:
    """Of a backbone's weights: 0 for embeddings, ``i + 1`` for those of layer ``i``, one more for what stands on the
    last layer; and how many layers there are: none where no name tells one, for they may be shared, or called something
    else.
    """
    found: dict[str, int] = {}
    above = []
    for name in names:
        layer = LAYER.search(name)
        if layer is not None:
            found[name] = int(layer[1]) + 1
        elif BELOW.search(name):
            found[name] = 0
        else:
            above.append(name)
    layers = max(found.values(), default=0)
    return {**found, **dict.fromkeys(above, layers + 1)}, layers
