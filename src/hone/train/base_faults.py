"""What of a task the base under it cannot give; found before anything runs."""

from __future__ import annotations

from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from hone.bundle.stage import Inputs
from hone.core.errors import Fault
from hone.models.architectures import Stack, named_stack
from hone.models.masked import KNOWN, knows_head
from hone.models.model import stack_of
from hone.models.nets import NetConfig, read_config
from hone.models.tokenizer import load_tokenizer
from hone.models.writers.cached import WRITING, lacked_by
from hone.tasks.languages import language_faults
from hone.tasks.table import SETTINGS


def base_faults(inputs: Inputs, kind: Any) -> list[Fault]:
    """Every fault of the base for a task of this ``kind``."""
    return [
        *_sizes(inputs),
        *_vocabulary(inputs, kind),
        *_stack(inputs),
        *_pooling(inputs, kind),
        *_languages(inputs),
    ]


def unread_head_rate(rate: float, whose: str) -> Fault:
    """A rate of heads, and tasks or objectives whose heads are the base's own, or read its states as they are."""
    found = f"{rate:g}, and {whose}, for which no head is begun"
    return Fault("recipe.unread", found, "no head_learning_rate", field="head_learning_rate",
                 fix="Set learning_rate, or embedding_learning_rate for the table of tokens.")  # fmt: skip


def _sizes(inputs: Inputs) -> list[Fault]:
    """Sizes of embeddings beyond the width of the base."""
    values = inputs.task.settings.model_dump()
    if inputs.base is None or "dimensions" not in values:
        return []
    width = int(read_config(inputs.base.folder).hidden_size)
    asked = [("dimensions", values["dimensions"] or 0), *(("matryoshka", size) for size in values["matryoshka"])]
    return [
        Fault("recipe.dimensions", f"{size} numbers of a base of {width}", f"at most {width}", field=name)
        for name, size in asked
        if size > width
    ]


def _vocabulary(inputs: Inputs, kind: Any) -> list[Fault]:
    """A base that has no head over its vocabulary, or none that is known here, where the task needs one."""
    if inputs.base is None or kind.says != "tokens":
        return []
    config = read_config(inputs.base.folder)
    if isinstance(config, NetConfig):
        found = f"{kind.name} on a {config.architecture}, which has no head over its vocabulary"
    elif knows_head(config):
        return []
    else:
        found = f"{kind.name} on a {config.model_type}, whose head over the vocabulary is not known here"
    fix = "Take base: {architecture: bert}, or a pretrained base."
    return [Fault("recipe.no-masked-head", found, KNOWN, field="base", fix=fix)]


def _stack(inputs: Inputs) -> list[Fault]:
    """A pretrained base that writes for a task that reads, or the other way about; what a recipe has made is checked
    with it. The states of a decoder can be read, too."""
    if inputs.base is None or inputs.base.made is not None:
        return []
    wanted: Stack = SETTINGS[inputs.task.name].stack
    config = read_config(inputs.base.folder)
    had = stack_of(config)
    if had == wanted == "decoder":
        return _unwriting(config, inputs.base.name, inputs.task.name)
    if had == wanted or (had, wanted) == ("decoder", "encoder"):
        return []
    found = f"{inputs.base.name}, {named_stack(had)}, and {inputs.task.name}, which takes {named_stack(wanted)}"
    return [Fault("recipe.base-task", found, f"{named_stack(wanted)}", field="base")]


def _unwriting(config: Any, base: str, task: str) -> list[Fault]:
    """A base that can be trained to write, and then could not."""
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    lacking = [] if kind is None else lacked_by(kind.forward)
    if not lacking:
        return []
    found = f"{base}, whose {kind.__name__} takes no {' and no '.join(lacking)}, and {task}"
    return [Fault("recipe.base-task", found, WRITING, field="base", fix="Take another base, such as gpt2 or llama.")]


def _pooling(inputs: Inputs, kind: Any) -> list[Fault]:
    """The first state of a decoder, which has read nothing but the first token; or transformers' own head over one that
    does not tell it where a text ends."""
    if inputs.base is None or getattr(inputs.task.settings, "pooling", None) != "cls":
        return []
    config = read_config(inputs.base.folder)
    if stack_of(config) != "decoder":
        return []
    if kind.says == "direction":
        found = f"cls on {inputs.base.name}, a decoder, whose first state has read the first token alone"
    elif getattr(config, "pad_token_id", None) is None:
        found = f"cls on {inputs.base.name}, a decoder without a padding token to tell its head where a text ends"
    else:
        return []
    return [Fault("recipe.pooling", found, "mean", field="task.pooling")]


def _languages(inputs: Inputs) -> list[Fault]:
    """Languages that the base does not have; of other tasks, or of a base made from nothing, there are none to tell."""
    if inputs.base is None or not hasattr(inputs.task.settings, "target_language"):
        return []
    return language_faults(inputs.task.settings, load_tokenizer(inputs.base.folder))
