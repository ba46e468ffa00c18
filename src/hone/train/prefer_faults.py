"""What of the settings of ``prefer`` and ``reinforce`` cannot be had with their task and data; found before anything
runs, all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.models.base import Base
from hone.predict.rewards import reward_faults
from hone.tasks.fields import PAIRS, VALIDATION_PAIRS, pair_shapes
from hone.tasks.pairs import Pairs
from hone.tasks.table import TASKS
from hone.train.faults import tuning_faults
from hone.train.measuring import unknown_measure, unmeasured
from hone.train.prefer_settings import PreferSettings
from hone.train.reinforce_settings import PROMPTS, ReinforceSettings
from hone.train.settings import FinetuneSettings
from hone.train.sharded_faults import sharded_faults
from hone.train.sharing import sharing_faults

UNMEASURED = ("dropout", "metric_for_best_model", "early_stopping_patience", "eval_steps")
UNREAD = ("freeze_layers", "head_learning_rate", "head_init", "label_smoothing_factor", "class_weights", "joint",
          "sampling")  # fmt: skip


def find_faults(settings: PreferSettings, inputs: Inputs) -> list[Fault]:
    """Every fault of ``prefer``, its field a key of the settings."""
    return [
        *_unread(settings, UNREAD),
        *_data(inputs),
        *unmeasured(settings, inputs, split=VALIDATION_PAIRS, source=PAIRS),
        *unknown_measure(settings, Pairs.measure_specs, whose="pairs do not have"),
        *_tuning(settings, inputs),
        *sharing_faults(settings, parallel=settings.parallel),
        *sharded_faults(settings, _on(inputs)),
    ]


def find_reinforce_faults(settings: ReinforceSettings, inputs: Inputs) -> list[Fault]:
    """Every fault of ``reinforce``, its field a key of the settings."""
    return [
        # Fewer bits would spare nothing: a second model in float32 is beside the one that learns.
        *_unread(settings, (*UNREAD, *UNMEASURED, "parallel", "base_bits")),
        *_dropping(settings),
        *_prompts(inputs),
        *reward_faults(inputs, settings.label),
        *_tuning(settings, inputs),
        *sharing_faults(settings),
    ]


def _tuning(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    return tuning_faults(settings, _on(inputs))


def _on(inputs: Inputs) -> Inputs:
    """``inputs`` with the bundle, where it is there, as the base that training starts from."""
    return inputs if inputs.bundle is None else replace(inputs, base=base_of(inputs.bundle))


def base_of(bundle: Bundle) -> Base:
    """A bundle as what training starts from."""
    return Base(bundle.path.name, bundle.path, bundle.digest)


def _unread(settings: FinetuneSettings, names: Sequence[str]) -> Iterator[Fault]:
    """Settings of `finetune` that this stage does not read."""
    plain = type(settings).model_fields
    for name in names:
        if getattr(settings, name) != plain[name].default:
            found = f"{getattr(settings, name)!r}, which this stage does not read"
            yield Fault("recipe.unread", found, "no such setting", field=name)


def _dropping(settings: ReinforceSettings) -> Iterator[Fault]:
    """Dropout of an adapter: texts would be drawn by another model than the one that learns from them."""
    share = settings.method.get("lora_dropout", 0.0)
    if share:
        yield Fault("recipe.unread", f"{share}, which this stage does not read", "0", field="method.lora_dropout")


def _prompts(inputs: Inputs) -> Iterator[Fault]:
    names = list(dict.fromkeys(shape.inputs[0].name for shape in pair_shapes(TASKS[inputs.task.name])))
    if PROMPTS not in inputs.data:
        found, fix = f"no data named {PROMPTS!r}", f"Name a source under data: {PROMPTS}: FILE"
        yield Fault("recipe.no-split", found, "prompts to write from", field=f"data.{PROMPTS}", fix=fix)
    elif not any(name in inputs.data[PROMPTS].columns for name in names):
        found = f"no {' and no '.join(names)} in {inputs.data[PROMPTS].origin}"
        yield Fault("data.column-missing", found, f"a column {' or '.join(names)}", field=f"data.{PROMPTS}")


def _data(inputs: Inputs) -> Iterator[Fault]:
    if PAIRS not in inputs.data:
        found = f"no data named {PAIRS!r}"
        fix = f"Name a source under data: {PAIRS}: FILE"
        yield Fault("recipe.no-split", found, "rows with chosen and rejected", field=f"data.{PAIRS}", fix=fix)
