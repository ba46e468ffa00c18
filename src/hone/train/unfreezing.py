"""``gradual-unfreezing``: from the last layer down, one after another begins to learn (Howard and Ruder 2018)."""

from __future__ import annotations

from hone.train.depth import depths
from hone.train.technique import Course, Technique
from hone.train.techniques import UnfreezingSettings


class Unfreezing(Technique):
    """At first the head and the last layer learn, then the layer below as well, at last the embeddings; whatever does
    not learn yet has no moments, and nothing is computed backward through it.

    Args:
        settings: How fast.
        course: Whose layers they are. Those that learn nothing in this training never do.
    """

    def __init__(self, settings: UnfreezingSettings, course: Course) -> None:
        weights = {name: p for name, p in course.model.backbone.named_parameters() if p.requires_grad}
        found, self._layers = depths(name for name, _ in course.model.backbone.named_parameters())
        self._depths = [(weight, found[name]) for name, weight in weights.items()]
        self._each = course.steps_per_epoch if settings.by == "epoch" else settings.until * course.steps / self._layers
        self._lowest: int | None = None

    def on_begin(self, step: int) -> None:
        gone = int(step / self._each) if self._each else self._layers
        lowest = max(0, self._layers - gone)  # depth down to which weights learn
        if lowest != self._lowest:
            self._lowest = lowest
            for weight, depth in self._depths:
                weight.requires_grad_(depth >= lowest)
