"""What cannot be had of weights that several processes divide among them; found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.core.processes import place
from hone.models.adapters.table import METHODS
from hone.models.divided import PLANS, undivided
from hone.models.files import own_file
from hone.models.nets import NetConfig, read_config
from hone.train.pretrain_settings import PretrainSettings
from hone.train.settings import FinetuneSettings
from hone.train.techniques import TECHNIQUES

WHOLE = {"adafactor": "whose moments are means over whole rows", "muon": "which turns whole matrices"}


def sharded_faults(settings: PretrainSettings | FinetuneSettings, inputs: Inputs) -> Iterator[Fault]:
    """Every fault, its field a key of the settings."""
    if settings.parallel is None:
        return
    count, ways = place().count, settings.parallel.tensor
    if count % ways:
        processes = "one process" if count == 1 else f"{count} processes"
        yield Fault(
            "launch.tensor",
            f"{ways}, and {processes}",
            f"a multiple of {ways} processes",
            field="parallel.tensor",
            fix=f"Start it by `hone launch --procs-per-node {ways}`.",
        )
    yield from _settings(settings)
    if isinstance(settings, FinetuneSettings):
        yield from _tuning(settings)
    config = None if inputs.base is None else read_config(inputs.base.folder)
    if isinstance(config, NetConfig):
        found = f"a base of hone's own, {config.architecture}, whose weights are not read layer by layer"
        yield Fault("recipe.parallel", found, "a base of transformers' layers", field="parallel")
    elif inputs.base is not None and ways > 1:
        own = own_file(inputs.base.folder)
        if own is not None:
            found = f"{ways}, and a base whose layers are not as its configuration says ({own.name})"
            yield Fault("recipe.parallel", found, "the base before it was compressed, or 1", field="parallel.tensor")
        elif why := undivided(config, ways):
            expected = f"numbers that {ways} divides, in a base of one of these types: {', '.join(sorted(PLANS))}"
            yield Fault("recipe.parallel", f"{ways}, and {why}", expected, field="parallel.tensor")


def _settings(settings: PretrainSettings | FinetuneSettings) -> Iterator[Fault]:
    refused = {
        "optim": (settings.optim in WHOLE, f"{settings.optim}, {WHOLE.get(settings.optim)}", "adamw"),
        "mixed_precision": (settings.mixed_precision == "fp16", "fp16, whose scale one process would find", "bf16"),
        "torch_compile": (settings.torch_compile is True, "true, and weights that are fetched in between", "auto"),
    }
    for field, (is_so, found, expected) in refused.items():
        if is_so:
            yield Fault("recipe.parallel", f"{found}, and parallel", f"{expected}, or no parallel", field=field)
    for i, value in enumerate(settings.techniques):
        if not TECHNIQUES[value["name"]].divides:
            able = ", ".join(name for name in TECHNIQUES if TECHNIQUES[name].divides)
            found = f"{value['name']}, and parallel, by which no process has a whole weight to act on"
            yield Fault("recipe.parallel", found, f"one of {able}", field=f"techniques.{i}")


def _tuning(settings: FinetuneSettings) -> Iterator[Fault]:
    name, parallel = settings.method["name"], settings.parallel
    if not METHODS[name].divides:
        able = ", ".join(method for method in METHODS if METHODS[method].divides)
        yield Fault("recipe.parallel", f"{name}, and parallel", f"one of {able}, or no parallel", field="method.name")
    elif name != "full" and parallel is not None and parallel.tensor > 1:
        found = f"{name}, and layers that {parallel.tensor} processes compute together"
        yield Fault("recipe.parallel", found, "full, or parallel.tensor: 1", field="method.name")
    if settings.base_bits is not None:
        found = f"{settings.base_bits}, and parallel, which divides weights in float32"
        yield Fault("recipe.parallel", found, "null, or no parallel", field="base_bits")
    if settings.freeze_layers:
        found = f"{settings.freeze_layers}, and parallel"
        yield Fault("recipe.parallel", found, "0, or no parallel", field="freeze_layers")
