"""What keeps techniques from doing anything, whatever is learned: one another, or the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.models.files import shapes_in
from hone.train.depth import depths
from hone.train.settings import LoopSettings
from hone.train.techniques import DOES, TECHNIQUES, TechniqueEntry


def technique_faults(
    settings: LoopSettings, wanting: Callable[[TechniqueEntry], Iterable[tuple[str, str]]]
) -> Iterator[Fault]:
    """Techniques that do not go with one another, or with what ``wanting`` tells of each: what keeps it from doing
    anything, and what would let it."""
    entries: list[TechniqueEntry] = [TECHNIQUES[value["name"]] for value in settings.techniques]
    for at, entry in enumerate(entries):
        found = [(f"{entry.name} twice", "once") for other in entries[:at] if other is entry]
        for other in entries[:at]:
            both = " and both ".join(DOES[what] for what in sorted(entry.does & other.does))
            if both and other is not entry:
                found.append((f"{other.name} and {entry.name}, and both {both}", "one of them"))
        found += [(f"{entry.name}, and {what}", expected) for what, expected in wanting(entry)]
        for what, expected in found:
            yield Fault("recipe.technique", what, expected, field=f"techniques.{at}")


def wanting_in_model(entry: TechniqueEntry, settings: LoopSettings, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """What of the base or of how it runs does so, and what would let the technique."""
    if "layers" in entry.needs and inputs.base is not None and not _has_layers(inputs.base.folder):
        yield f"the base {inputs.base.name}, whose layers are not known by their names", "no such technique"
    if entry.inside and settings.torch_compile is True:
        yield "torch_compile true, and a compiler does not see what acts inside the model", "auto or false"


def wanting_among_heads(entry: TechniqueEntry, what: str) -> Iterator[tuple[str, str]]:
    """What of several heads does so; ``what`` is learned, each head of it reading a batch of its own."""
    if "embeddings" in entry.needs:
        yield f"{what}: each reads words of its own, and no one move is for all", "no such technique"


def _has_layers(folder: Path) -> bool:
    _, layers = depths(name for file in folder.glob("*.safetensors") for name in shapes_in(file))
    return layers > 0
