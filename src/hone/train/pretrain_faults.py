"""What of ``pretrain``'s settings cannot be had with its base and data; found before anything runs, all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hone.bundle.stage import CORPUS, HELD_OUT, Inputs
from hone.core.errors import Fault
from hone.models.architectures import named_stack
from hone.models.base import Base
from hone.models.dropout import drops_out
from hone.models.heads import HEADS
from hone.models.masked import KNOWN, knows_head
from hone.models.model import stack_of
from hone.models.nets import NetConfig, read_config
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.segmenting import segmenter_faults
from hone.tasks.objectives.settings import OBJECTIVES, ObjectiveEntry, sentinel
from hone.train.base_faults import unread_head_rate
from hone.train.measuring import unknown_measure, unmeasured
from hone.train.pretrain_settings import PretrainSettings, measure_of
from hone.train.settings import LoopSettings
from hone.train.sharded_faults import sharded_faults
from hone.train.sharing import sharing_faults
from hone.train.technique_faults import technique_faults, wanting_among_heads, wanting_in_model
from hone.train.techniques import TechniqueEntry


def find_faults(settings: PretrainSettings, inputs: Inputs) -> list[Fault]:
    """Every fault, its field a key of the settings."""
    entries: list[ObjectiveEntry] = [OBJECTIVES[value["name"]] for value in settings.objective]
    had = {measure for entry in entries for measure in entry.kind.specs()} | set(_probed(settings, inputs))
    return [
        *objective_faults(entries),
        *noise_faults(settings, entries, inputs),
        *base_faults(entries, inputs.base),
        *_unread_rate(settings, entries),
        *unknown_measure(settings, had, whose="these objectives do not have"),
        *(unmeasured(settings, inputs, split=HELD_OUT, source=CORPUS) if _rests_on_text(settings, inputs) else ()),
        *_probe_base(settings, inputs),
        *technique_faults(settings, lambda entry: _wanting(entry, settings, inputs)),
        *segmenter_faults(settings.segmenter, settings.objective),
        *sharing_faults(settings, parallel=settings.parallel),
        *sharded_faults(settings, inputs),
    ]


def _probed(settings: PretrainSettings, inputs: Inputs) -> list[str]:
    """Names of the measures of its probes."""
    found = {probe.on: inputs.data.get(probe.on) for probe in settings.probes}
    return [f"{name}.{measure_of(data.columns)}" for name, data in found.items() if data is not None]


def _rests_on_text(settings: PretrainSettings, inputs: Inputs) -> bool:
    """Whether what is chosen by is measured of held-out text, not by a probe."""
    chosen, probed = settings.metric_for_best_model, _probed(settings, inputs)
    return chosen not in probed if chosen is not None else not probed


def _probe_base(settings: PretrainSettings, inputs: Inputs) -> Iterator[Fault]:
    """A base that has no vectors of texts."""
    config = None if inputs.base is None or not settings.probes else read_config(inputs.base.folder)
    if isinstance(config, NetConfig) and stack_of(config) == "encoder-decoder":
        found = f"a {config.architecture}, which gives no states of what it reads by itself"
        yield Fault("recipe.probe-base", found, "another base, or no probes", field="probes")


def objective_faults(entries: Sequence[ObjectiveEntry], *, under: str = "") -> Iterator[Fault]:
    """Objectives that cannot be, whatever the base: one of them twice.

    Args:
        under: Key of the settings that they stand under, with a dot.
    """
    for name, count in Counter(entry.name for entry in entries).items():
        if count > 1:
            yield Fault("recipe.objective", f"{name} {count} times", "once", field=f"{under}objective")


def _unread_rate(settings: PretrainSettings, entries: Sequence[ObjectiveEntry]) -> Iterator[Fault]:
    """A rate of heads, and objectives whose heads are the base's own, which learn at its rate."""
    rate = settings.head_learning_rate
    if rate is not None and all(HEADS[entry.kind.head.kind].writes for entry in entries):
        yield unread_head_rate(rate, " and ".join(entry.name for entry in entries))


def noise_faults(settings: LoopSettings, entries: Sequence[ObjectiveEntry], inputs: Inputs) -> Iterator[Fault]:
    """An objective that lives by dropout, and none: by the settings, or by those of the base where they say nothing."""
    for entry in entries:
        if not entry.noisy:
            continue
        none = "0" if settings.dropout == 0 else ""
        if settings.dropout is None and inputs.base is not None and not drops_out(read_config(inputs.base.folder)):
            none = f"null, and {inputs.base.name}, which has none of its own"
        if none:
            found = f"{none}, and {entry.name}, to which dropout is what makes two readings differ"
            yield Fault("recipe.objective", found, "more than 0", field="dropout", fix="Set it: dropout: 0.1")


def base_faults(entries: Sequence[ObjectiveEntry], base: Base | None) -> Iterator[Fault]:
    """A base of another kind than an objective is for, or without what it needs."""
    if base is None:
        return
    config = read_config(base.folder)
    had = stack_of(config)
    for i, entry in enumerate(entries):
        if had != entry.stack:
            found = f"{base.name}, {named_stack(had)}, and {entry.name}, which takes {named_stack(entry.stack)}"
            able = [name for name in OBJECTIVES if OBJECTIVES[name].stack == had]
            yield Fault("recipe.objective-base", found, f"one of {', '.join(able)}", field=f"objective.{i}.name")
        elif isinstance(config, NetConfig) and _over_vocabulary(entry):
            found = f"{entry.name} on a {config.architecture}, which has no head over its vocabulary"
            yield Fault("recipe.objective-base", found, "a base like BERT", field=f"objective.{i}.name")
        elif entry.masks and not _can_hide(entry, base.folder):
            found = f"{entry.name}, and a base whose tokenizer has no mask token"
            yield Fault("base.no-mask", found, "a base with one", field=f"objective.{i}.name")
        elif _over_vocabulary(entry) and not knows_head(config):
            found = f"{entry.name}, and {config.model_type}, whose head over the vocabulary is not known here"
            yield Fault("base.no-masked-head", found, KNOWN, field=f"objective.{i}.name")


def _over_vocabulary(entry: ObjectiveEntry) -> bool:
    return bool(entry.kind.head.kind == "masked-tokens")


def _can_hide(entry: ObjectiveEntry, folder: Path) -> bool:
    """Whether the vocabulary has what stands in place of hidden tokens. What a tokenizer's configuration leaves out its
    class may know: BERT's own says nothing of ``[MASK]``."""
    tokenizer = load_tokenizer(folder)
    return tokenizer.mask_id is not None or (entry.marks and sentinel(0) in tokenizer.pretrained.get_vocab())


def _wanting(entry: TechniqueEntry, settings: PretrainSettings, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """What keeps a technique from doing anything, and what would let it."""
    if entry.needs & {"answers", "label"}:
        yield "text that has no labels, which it is about", "another technique"
    if len(settings.objective) > 1:
        names = " and ".join(value["name"] for value in settings.objective)
        yield from wanting_among_heads(entry, names)
    yield from wanting_in_model(entry, settings, inputs)
