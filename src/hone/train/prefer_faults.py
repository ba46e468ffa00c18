"""What of ``prefer``'s settings cannot be had with its task and data; found before anything runs, all together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs
from hone.core.errors import Fault, did_you_mean
from hone.models.base import Base
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS
from hone.tasks.pairs import Pairs
from hone.train.faults import tuning_faults
from hone.train.prefer_settings import PreferSettings

UNREAD = ("freeze_layers", "head_learning_rate", "head_init", "label_smoothing_factor", "class_weights", "joint")


def find_faults(settings: PreferSettings, inputs: Inputs) -> list[Fault]:
    """Every fault, its field a key of the settings."""
    on = inputs if inputs.bundle is None else replace(inputs, base=base_of(inputs.bundle))
    return [*_unread(settings), *_data(settings, inputs), *_measure(settings), *tuning_faults(settings, on)]


def base_of(bundle: Bundle) -> Base:
    """A bundle as what training starts from."""
    return Base(bundle.path.name, bundle.path, bundle.digest)


def _unread(settings: PreferSettings) -> Iterator[Fault]:
    """Settings of `finetune` about labels and heads, which this stage has none of."""
    plain = type(settings).model_fields
    for name in UNREAD:
        if getattr(settings, name) != plain[name].default:
            fix = "Of dpo set loss: {name: dpo, label_smoothing: ...}." if name == "label_smoothing_factor" else ""
            found = f"{getattr(settings, name)!r}, which prefer does not read"
            yield Fault("recipe.unread", found, "no such setting", field=name, fix=fix)


def _data(settings: PreferSettings, inputs: Inputs) -> Iterator[Fault]:
    if PAIRS not in inputs.data:
        found = f"no data named {PAIRS!r}"
        fix = f"Name a source under data: {PAIRS}: FILE"
        yield Fault("recipe.no-split", found, "rows with chosen and rejected", field="kind", fix=fix)
    if VALIDATION_PAIRS in inputs.data:
        return
    for key in ("metric_for_best_model", "early_stopping_patience"):
        if getattr(settings, key) is not None:
            fix = f"Name one under data, or leave `{VALIDATION_PAIRS}: none` out: then one is carved from {PAIRS}."
            found = f"{key}, and no {VALIDATION_PAIRS} to measure"
            yield Fault("recipe.no-validation", found, f"{VALIDATION_PAIRS}, or no {key}", field=key, fix=fix)


def _measure(settings: PreferSettings) -> Iterator[Fault]:
    name = settings.metric_for_best_model
    if name is not None and name not in Pairs.measure_specs:
        found = f"the measure {name!r}, which pairs do not have"
        fix = did_you_mean(name, Pairs.measure_specs)
        yield Fault("recipe.unknown-measure", found, field="metric_for_best_model", fix=fix)
