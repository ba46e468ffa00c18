"""A model with its task, written as a bundle that `hone.predict.predictor.open_bundle` opens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hone.bundle.bundle import Bundle, write_bundle
from hone.bundle.manifest import Lineage, Manifest, Part, Plain, TaskRecord
from hone.core.lineage import digest_file, digest_value
from hone.models.adapters.files import write_adapter
from hone.models.adapters.table import METHODS
from hone.models.base import Base
from hone.models.heads import HEADS
from hone.models.model import HEAD_FILE, Model, save_backbone, save_head, save_model
from hone.models.nets import Saved
from hone.models.onnx import CONSTANTS_FILE, OnnxModel, save_onnx
from hone.models.tokenizer import Tokenizer
from hone.predict.bases import part_of, requirement_of
from hone.predict.engine import format_of
from hone.predict.formats import ADAPTER, PEFT, SAFETENSORS
from hone.tasks.protocol import Deciding, Task


def write_model(
    target: Path, model: Model | OnnxModel, task: Task, *, lineage: Lineage, base: Base | None = None
) -> Bundle:
    """Write ``model`` and what ``task`` reads with as the bundle ``target``; a torch model is moved to the CPU.

    Args:
        base: Of a model with an adapter in it: the bundle then holds adapter and head alone, and requires the base.

    Raises:
        HoneError: It cannot be written; see `hone.bundle.bundle.write_bundle`.
    """
    if isinstance(model, Model) and model.tuning is not None:
        assert base is not None
        return write_bundle(target, build=partial(_fill_adapter, model=model, task=task, lineage=lineage, base=base))
    return write_bundle(target, build=lambda folder: _fill(folder, model, task, lineage))


def write_base(target: Path, model: Model, tokenizer: Tokenizer, *, lineage: Lineage) -> Bundle:
    """Write the backbone of ``model`` and its tokenizer as the bundle ``target``, which has no task: a base. A head of
    transformers' own goes with it, others do not. The model is moved to the CPU.

    Raises:
        HoneError: It cannot be written; see `hone.bundle.bundle.write_bundle`.
    """

    def fill(folder: Path) -> Manifest:
        weights = save_backbone(model.to("cpu"), folder)
        tokenizer.save(folder)
        processor = sorted(path.name for path in folder.iterdir() if path.name not in weights)
        own = model.head.gives == "logits"
        plain = Plain(auto_class=model.head.auto_class, gives="logits" if own else "hidden")
        return Manifest(
            task=None,
            parts=(
                Part(role="weights", name="backbone", format=format_of(model), files=tuple(weights)),
                Part(role="processor", name="tokenizer", format="tokenizers", files=tuple(processor)),
            ),
            default=("backbone", "tokenizer"),
            plain=plain if _is_plain(model) else plain.model_copy(update={"gives": "nothing"}),
            lineage=lineage,
        )

    return write_bundle(target, build=fill)


def _fill(folder: Path, model: Model | OnnxModel, task: Task, lineage: Lineage) -> Manifest:
    kind, head, settings = format_of(model), HEADS[task.head.kind], {}
    if isinstance(model, OnnxModel):
        written, settings = save_onnx(model, folder), dict(model.settings)
    else:
        written = save_model(model.to("cpu"), folder)
    task.tokenizer.save(folder)
    processor = sorted(path.name for path in folder.iterdir() if path.name not in written)
    head_files = tuple(name for name in (HEAD_FILE, CONSTANTS_FILE) if name in written)
    weights = tuple(name for name in written if name not in head_files)
    decision = _decision(task, folder, [*weights, *head_files])
    return Manifest(
        task=_record(task),
        parts=(
            Part(role="weights", name="backbone", format=kind, files=weights, settings=settings),
            Part(role="processor", name="tokenizer", format="tokenizers", files=tuple(processor)),
            _head(task, head_files),
            *decision,
        ),
        default=("backbone", "tokenizer", task.head.kind, *(part.name for part in decision)),
        plain=Plain(auto_class=head.auto_class, gives=head.gives if _is_plain(model) else "nothing"),
        lineage=lineage,
    )


def _is_plain(model: Model | OnnxModel) -> bool:
    """Whether transformers alone can open it."""
    return isinstance(model, Model) and format_of(model) == SAFETENSORS and not isinstance(model.backbone, Saved)


def _fill_adapter(folder: Path, *, model: Model, task: Task, lineage: Lineage, base: Base) -> Manifest:
    assert model.tuning is not None
    name, settings = model.tuning
    model.to("cpu")
    written = write_adapter(model, folder, base=base.hub_id)
    head_files = save_head(model, folder)
    decision = _decision(task, folder, [*written, *head_files])
    held = [] if model.bits is None else [part_of(model.bits)]
    return Manifest(
        task=_record(task),
        parts=(
            *held,
            Part(
                role="adapter",
                name=name,
                format=PEFT if METHODS[name].peft else ADAPTER,
                files=tuple(written),
                settings=settings.model_dump(mode="json"),
            ),
            _head(task, tuple(head_files)),
            *decision,
        ),
        default=(*(part.name for part in held), name, task.head.kind, *(part.name for part in decision)),
        requires=(requirement_of(base),),
        plain=Plain(auto_class=HEADS[task.head.kind].auto_class, gives="nothing"),
        lineage=lineage,
    )


def _record(task: Task) -> TaskRecord:
    return TaskRecord(
        name=task.name,
        settings=task.settings.model_dump(mode="json"),
        labels=task.labels,
        inputs=tuple(field.name for field in task.inputs),
    )


def _head(task: Task, files: tuple[str, ...]) -> Part:
    settings = dict(task.head.settings)
    return Part(role="head", name=task.head.kind, format="safetensors", files=files, settings=settings)


def _decision(task: Task, folder: Path, weights: Sequence[str]) -> list[Part]:
    """What the task decides by, as a part that holds for these very weights."""
    if not isinstance(task, Deciding) or task.decision is None:
        return []
    fitted_on = digest_value({name: digest_file(folder / name) for name in weights})
    return [Part(role="decision", name="decision", format="json", files=(), settings=dict(task.decision),
                 fitted_on=fitted_on)]  # fmt: skip
