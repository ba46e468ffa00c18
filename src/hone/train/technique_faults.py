"""What keeps a technique from doing anything, whatever is learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hone.bundle.stage import Inputs
from hone.models.files import shapes_in
from hone.train.depth import depths
from hone.train.settings import LoopSettings
from hone.train.techniques import TechniqueEntry


def wanting_in_model(entry: TechniqueEntry, settings: LoopSettings, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """What of the base or of how it runs does so, and what would let the technique."""
    if "layers" in entry.needs and inputs.base is not None and not _has_layers(inputs.base.folder):
        yield f"the base {inputs.base.name}, whose layers are not known by their names", "no such technique"
    if entry.inside and settings.torch_compile is True:
        yield "torch_compile true, and a compiler does not see what acts inside the model", "auto or false"


def _has_layers(folder: Path) -> bool:
    _, layers = depths(name for file in folder.glob("*.safetensors") for name in shapes_in(file))
    return layers > 0
