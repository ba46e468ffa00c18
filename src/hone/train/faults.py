"""What of a finetune's settings cannot be had with its task and data; found before anything runs, all together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from hone.bundle.stage import Inputs
from hone.core.choice import opened
from hone.core.errors import Fault, did_you_mean
from hone.core.extras import require
from hone.data.turns import conversations_in
from hone.models.adapters.held_base import unheld
from hone.models.adapters.method import shapes_of
from hone.models.adapters.table import METHODS
from hone.models.encoder import FAMILIES
from hone.models.files import own_file
from hone.models.held import LEAST_BLOCK
from hone.models.model import position_limit
from hone.models.nets import NetConfig
from hone.models.tokenizer import load_tokenizer
from hone.predict.writing import unwritable_words
from hone.tasks.fields import shape_of
from hone.tasks.protocol import Says
from hone.tasks.sampling import COUNTED
from hone.tasks.settings import RelationSettings, TokenClassificationSettings
from hone.tasks.table import TASKS
from hone.tasks.writing_settings import TextGenerationSettings, WritingSettings
from hone.train.base_faults import base_faults, unread_head_rate
from hone.train.jointly import joint_faults, wanting_beside_text
from hone.train.measuring import unknown_measure, unmeasured
from hone.train.settings import FinetuneSettings
from hone.train.sharded_faults import sharded_faults
from hone.train.sharing import sharing_faults
from hone.train.technique_faults import technique_faults, wanting_in_model
from hone.train.techniques import TechniqueEntry

FITTED: frozenset[Says] = frozenset({"one", "several", "number"})  # answers that a linear layer is fitted to
HEADLESS: frozenset[Says] = frozenset({"text", "direction"})  # answers that no weight beside the base's gives
WEIGHTS_LEARN = ("full", "top-n")  # methods by which matrices of the base learn


def find_faults(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    """Every fault, its field a key of the settings."""
    kind = TASKS[inputs.task.name]
    return [
        *unmeasured(settings, inputs, split="validation", source="train"),
        *joint_faults(settings, inputs),
        *_measure(settings, inputs, kind),
        *_words(settings, inputs, kind),
        *_loss(settings, inputs, kind),
        *_sampling(settings, inputs, kind),
        *_frozen(settings, inputs),
        *_lacking(inputs, kind),
        *_unread(inputs, kind),
        *_whole_texts(inputs),
        *_no_relation(inputs, kind),
        *base_faults(inputs, kind),
        *_probe(settings, kind),
        *_head_rate(settings, kind),
        *tuning_faults(settings, inputs),
        *sharing_faults(settings, compared=hasattr(kind, "once"), parallel=settings.parallel),
        *sharded_faults(settings, inputs),
    ]


def tuning_faults(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    """Methods and techniques that go neither with one another nor with the base or the task."""
    return [
        *_method(settings, inputs),
        *_replacing(settings, inputs),
        *_held(settings, inputs),
        *_techniques(settings, inputs),
    ]


def _replacing(settings: FinetuneSettings, inputs: Inputs) -> Iterator[Fault]:
    """An adapter in the place of the base that it stands on."""
    method, _ = opened(settings.method, METHODS)
    base = None if inputs.base is None or inputs.pretrained else inputs.base.folder
    start = base if inputs.bundle is None else inputs.bundle.path
    if method.adapter and start is not None and inputs.replaces(start):
        found = f"{method.name}, whose bundle would be written in the place of the base it stands on, {inputs.target}"
        fix = "Name another folder: --out."
        yield Fault("bundle.required", found, "a base that stays, or a method that needs none", field="method", fix=fix)


def _method(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    """What of the method's settings the base cannot give, or the loop cannot do together with it."""
    method, chosen = opened(settings.method, METHODS)
    faults = []
    if settings.freeze_layers and (method.adapter or method.frozen(chosen, 1) is not None):
        found = f"{settings.freeze_layers}, and the method {method.name}, which says itself what learns"
        faults.append(Fault("recipe.freeze-layers", found, "0, or method full or bitfit", field="freeze_layers"))
    if settings.embedding_learning_rate and (settings.freeze_layers or method.name != "full"):
        found = f"{settings.embedding_learning_rate:g}, and embeddings that learn nothing"
        faults.append(Fault("recipe.embedding-rate", found, "null", field="embedding_learning_rate"))
    if method.name == "adalora" and settings.mixed_precision == "fp16":
        found = "fp16, and adalora, which scores ranks by gradients: those of fp16 are scaled, and at times infinite"
        faults.append(Fault("recipe.adalora-precision", found, "bf16, or no", field="mixed_precision"))
    if "merge" in inputs.plan and not method.merges:
        found = f"{method.name}, with a stage merge after it: {method.not_merged}"
        faults.append(Fault("merge.method", found, "no such stage", field="method"))
    if method.trains_with_peft:
        require("peft", extra="train", needed_for=f"finetune by {method.name}")
    if method.own_head and _needs_the_first_token(inputs):
        found = f"{method.name}, and {inputs.task.name} whose head is transformers' own or reads the first token"
        fix = "Take lora, ia3 or another method, or where the task has them pooling: mean or head: crf."
        faults.append(Fault("recipe.method-head", found, "another head", field="method", fix=fix))
    if method.name == "head" and TASKS[inputs.task.name].says == "text":
        found = f"head, and {inputs.task.name}, whose head came with the base: nothing would learn"
        faults.append(Fault("recipe.method-head", found, "full, bitfit or lora", field="method.name"))
    if inputs.base is None or method.name == "full":
        return faults
    shapes, refused = shapes_of(inputs.base.folder), ""
    if inputs.base.made is not None and not inputs.pretrained:
        refused, expected = "a base made from nothing, most of which would stay random", "full"
    elif method.adapter and (own_file(inputs.base.folder) or shapes.config.model_type == NetConfig.model_type):
        refused, expected = "a base whose layers only hone can open", "a base that transformers opens"
    if refused:
        return [*faults, Fault("recipe.method-base", f"{method.name}, and {refused}", expected, field="method.name")]
    faults += [replace(one, field=f"method.{one.field}") for one in method.faults(chosen, shapes)]
    room = position_limit(shapes.config) - method.positions(chosen)
    if method.positions(chosen) and _longest(inputs, shapes.config) > room:
        found = f"{method.positions(chosen)}, and rows of up to {_longest(inputs, shapes.config)} tokens"
        expected = f"task.max_length of at most {room}, for the base reads {position_limit(shapes.config)} positions"
        faults.append(Fault("recipe.positions", found, expected, field="method.num_virtual_tokens"))
    return faults


def _held(settings: FinetuneSettings, inputs: Inputs) -> Iterator[Fault]:
    """What a base in fewer bits does not go with."""
    bits, name = settings.base_bits, settings.method["name"]
    if bits is None:
        return
    if not METHODS[name].adapter:
        found = f"{bits}, and the method {name}: rounded weights neither learn nor stand in its bundle, which holds all"
        beside = ", ".join(each for each in METHODS if METHODS[each].adapter)
        yield Fault("recipe.base-bits", found, f"null, or a method that puts an adapter beside them: {beside}",
                    field="base_bits")  # fmt: skip
        return
    if settings.torch_compile is True:
        found = f"torch_compile true, and base_bits {bits}, whose layers no compiler sees through"
        yield Fault("recipe.base-bits", found, "auto or false", field="torch_compile")
    odd = {} if bits == 8 or inputs.base is None else unheld(shapes_of(inputs.base.folder))
    if odd:
        layer, (outputs, inputs_) = next(iter(odd.items()))
        found = f"4, and {len(odd)} layers whose weights no block of {LEAST_BLOCK} or more divides, such as {layer}"
        yield Fault("recipe.base-bits", f"{found} with {outputs} x {inputs_}", "8 or null", field="base_bits")
    require("torchao", extra="torchao", needed_for=f"base_bits {bits}")


def _needs_the_first_token(inputs: Inputs) -> bool:
    settings, says = inputs.task.settings, TASKS[inputs.task.name].says
    if isinstance(settings, TokenClassificationSettings):
        return settings.plain_head
    return says in ("tokens", "choice") or getattr(settings, "pooling", None) == "cls"


def _longest(inputs: Inputs, config: Any) -> int:
    """Tokens that a row of the task may have."""
    assert inputs.base is not None
    file = inputs.base.folder / "tokenizer_config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("model_max_length") if file.is_file() else None
    allowed = min(position_limit(config), int(stated or position_limit(config)))
    return min(getattr(inputs.task.settings, "max_length", None) or allowed, allowed)


def _sampling(settings: FinetuneSettings, inputs: Inputs, kind: Any) -> Iterator[Fault]:
    """Rows that are to come by their labels, where they have none."""
    held = shape_of(kind, inputs.data["train"].columns).targets[:1]
    if settings.sampling is not None and not (held and held[0].kind in COUNTED):
        found = f"rows by their labels, and {kind.name}, whose rows have none"
        yield Fault("recipe.sampling", found, "null", field="sampling")


def _frozen(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    """Layers to freeze in a base whose layers are not known here, or more of them than it has."""
    if not settings.freeze_layers or inputs.base is None:
        return []
    config = json.loads((inputs.base.folder / "config.json").read_text(encoding="utf-8"))
    kind, layers = config.get("model_type"), config.get("num_hidden_layers", 0)
    if kind not in FAMILIES:
        found, expected = f"a base of type {kind!r}", f"one of {', '.join(sorted(FAMILIES))}, or freeze_layers 0"
    elif settings.freeze_layers > layers:
        found, expected = f"{settings.freeze_layers}, and a base of {layers} layers", f"at most {layers}"
    else:
        return []
    return [Fault("recipe.freeze-layers", found, expected, field="freeze_layers")]


def _probe(settings: FinetuneSettings, kind: Any) -> list[Fault]:
    """A head to fit to features of whole texts, where the task's answers are of another kind."""
    fits = kind.says in FITTED and all(target.kind in ("label", "labels", "score") for target in kind.targets)
    if settings.head_init != "probe" or fits:
        return []
    found, expected = f"probe, and {kind.name} has no features of whole texts", "random"
    return [Fault("recipe.head-init", found, expected, field="head_init")]


def _head_rate(settings: FinetuneSettings, kind: Any) -> Iterator[Fault]:
    """A rate of heads where none is begun, neither by the task nor by what is learned beside it."""
    if settings.head_learning_rate is not None and settings.joint is None and kind.says in HEADLESS:
        yield unread_head_rate(settings.head_learning_rate, kind.name)


def _techniques(settings: FinetuneSettings, inputs: Inputs) -> list[Fault]:
    """Techniques that go neither with one another nor with other settings, the base or the task."""
    return list(technique_faults(settings, lambda entry: _wanting(entry, settings, inputs)))


def _wanting(entry: TechniqueEntry, settings: FinetuneSettings, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """What keeps a technique from doing anything, and what would let it."""
    method, chosen = opened(settings.method, METHODS)
    if "embeddings" in entry.needs and settings.freeze_layers:
        yield f"freeze_layers {settings.freeze_layers} keeps the embeddings as they are", "freeze_layers: 0"
    if "embeddings" in entry.needs and method.frozen(chosen, 1) is not None:
        yield f"the method {method.name} keeps the embeddings as they are", "another method"
    for does in sorted(entry.does & method.excludes.keys()):
        yield f"the method {method.name}, {method.excludes[does]}", "one of them"
    if "layers" in entry.needs and method.frozen(chosen, 1) == 1:
        yield f"the method {method.name}, by which no layer learns", "another method"
    if "weights" in entry.needs and settings.method["name"] not in WEIGHTS_LEARN:
        yield f"the method {settings.method['name']}, by which none of the base's matrices learns", "full or top-n"
    if "dropout" in entry.needs and settings.dropout == 0:
        yield "dropout 0, without which all passes of a batch are one", "dropout above 0"
    if "answers" in entry.needs and TASKS[inputs.task.name].says in ("spans", "choice", "tokens", "text"):
        yield f"{inputs.task.name}, whose scores are not those of labels", "another technique"
    if "answers" in entry.needs and getattr(inputs.task.settings, "head", None) == "crf":
        yield "the head crf, which scores whole sequences", "head: linear"
    steps = settings.gradient_accumulation_steps
    if {"embeddings", "answers"} & entry.needs and steps > 1 and hasattr(TASKS[inputs.task.name], "once"):
        yield f"gradient_accumulation_steps {steps}, whose batches are one batch to {inputs.task.name}", "1"
    if "label" in entry.needs and [target.kind for target in TASKS[inputs.task.name].targets] != ["label"]:
        yield f"{inputs.task.name}, whose answers are not one label of a whole text alone", "no such technique"
    yield from wanting_beside_text(entry, settings)
    yield from wanting_in_model(entry, settings, inputs)


def _lacking(inputs: Inputs, kind: Any) -> list[Fault]:
    """Fields that the task's settings have training read, and that the training rows do not have."""
    train = inputs.data.get("train")
    if train is None or not hasattr(kind, "needs"):
        return []
    return [
        Fault(
            "data.column-missing",
            f"no {name} in {train.origin}, which the task's settings have training read",
            f"a column {name}",
            field=name,
            fix=f"Add it, name it (columns: {{{name}: NAME}}), or choose another loss under task.",
        )
        for name in kind.needs(inputs.task.settings)
        if name not in train.columns
    ]


def _unread(inputs: Inputs, kind: Any) -> list[Fault]:
    """Fields of training rows that the loss never reads, and that say something else than it takes rows to say."""
    train, task = inputs.data.get("train"), cast(Any, inputs.task.settings)
    if train is None or not hasattr(kind, "unread"):
        return []
    return [
        Fault(
            "recipe.unread",
            f"loss {task.loss}, to which the texts of every pair belong together, and {train.origin} "
            f"with a {name} for each",
            "loss: cosent or cosine",
            field="task.loss",
            fix=f"Name one of them, or take the column {name} out of the rows.",
        )
        for name in kind.unread(task)
        if name in train.columns
    ]


def _whole_texts(inputs: Inputs) -> Iterator[Fault]:
    """What is said of texts to write where rows are whole texts, which are read in windows and cut nowhere."""
    settings, train = inputs.task.settings, inputs.data.get("train")
    if not isinstance(settings, TextGenerationSettings) or train is None or settings.attributes or settings.keywords:
        return
    if "prompt" in train.columns or conversations_in(train.columns) is not None:
        return
    for name in ("max_target_length", "long_target"):
        if (value := getattr(settings, name)) != type(settings).model_fields[name].default:
            yield Fault("recipe.unread", f"{value!r}, and whole texts in {train.origin}, which are read in windows",
                        "no such setting, or rows with a prompt", field=f"task.{name}")  # fmt: skip


def _no_relation(inputs: Inputs, kind: Any) -> list[Fault]:
    """A label that is stated to mean no relation, and that no training row has."""
    settings, train = inputs.task.settings, inputs.data.get("train")
    if train is None or not isinstance(settings, RelationSettings):
        return []
    seen = train.distinct("label")
    if settings.other == type(settings).model_fields["other"].default or settings.other in seen:
        return []
    found = f"the label {settings.other!r}, which no training row has"
    return [Fault("recipe.unknown-label", found, field="task.other", fix=did_you_mean(settings.other, seen))]


def _measure(settings: FinetuneSettings, inputs: Inputs, kind: Any) -> list[Fault]:
    """A measure to choose by that the task does not have, or of which the rows of validation tell nothing."""
    name, task, data = settings.metric_for_best_model, inputs.task.settings, inputs.data.get("validation")
    had = {name for name, spec in kind.measure_specs.items() if not spec.needs or getattr(task, spec.needs, None)}
    needs = kind.measure_specs[name].needs if name in kind.measure_specs else ""
    lacking = f" without {needs}" if needs else ""
    if name in had and data is not None and name in (untold := kind.untold(task, data)):
        found, told = f"{name}, which no row of {data.origin} tells", ", ".join(sorted(had - untold))
        return [Fault("recipe.untold-measure", found, f"one of {told}", field="metric_for_best_model")]
    return unknown_measure(settings, had, whose=f"{kind.name} does not have{lacking}")


def _words(settings: FinetuneSettings, inputs: Inputs, kind: Any) -> list[Fault]:
    """Words of validation rows that no text can be written by, where the measure that is watched wants texts."""
    task, data, watched = inputs.task.settings, inputs.data.get("validation"), settings.metric_for_best_model
    if not isinstance(task, WritingSettings) or data is None or watched in (None, *kind.reference_measures):
        return []
    if inputs.base is None:
        return []
    return unwritable_words(task.decoding, data, load_tokenizer(inputs.base.folder), at="task.decoding")


def _loss(settings: FinetuneSettings, inputs: Inputs, kind: Any) -> list[Fault]:
    """Label smoothing and class weights where the loss takes none, or weights of labels that no row has."""
    weighs, smooths = settings.class_weights != "none", settings.label_smoothing_factor > 0
    if not kind.weighs_labels(inputs.task.settings):
        smooths = smooths and not kind.smooths(inputs.task.settings)
        keys = [*(["class_weights"] if weighs else []), *(["label_smoothing_factor"] if smooths else [])]
        found = "a loss over whole sequences, or over numbers, which takes no weights of labels"
        expected = "neither, or for token-classification head: linear"
        return [Fault("recipe.loss-options", found, expected, field=key) for key in keys]
    if not isinstance(settings.class_weights, dict):
        return []
    train = inputs.data["train"]
    targets = shape_of(kind, train.columns).targets
    labels = kind.labels_in({name: train.distinct(name) for name in train.having(targets)})
    return [
        Fault(
            "recipe.unknown-label",
            f"the label {label!r}, which no training row has",
            field=f"class_weights.{label}",
            fix=did_you_mean(label, labels),
        )
        for label in sorted(set(settings.class_weights) - set(labels))
    ]
