"""``layer-decay``: the deeper a layer lies, the less it is changed (Howard and Ruder 2018; Clark et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

from hone.train.depth import depths
from hone.train.technique import Course, Technique
from hone.train.techniques import LayerDecaySettings


class LayerDecay(Technique):
    """The last layer, and what stands on it, learn at the recipe's rates; each layer at ``decay`` times the rate of the
    one above it, and the embeddings below the first.

    Args:
        settings: Its decay.
        course: Whose backbone it is.
    """

    def __init__(self, settings: LayerDecaySettings, course: Course) -> None:
        found, last = depths(name for name, _ in course.model.backbone.named_parameters())
        self._rates = {
            f"backbone.{name}": settings.decay ** (last - depth) for name, depth in found.items() if depth < last
        }

    def rates(self) -> Mapping[str, float]:
        return self._rates
