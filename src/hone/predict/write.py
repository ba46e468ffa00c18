"""A model with its task, written as a bundle that `hone.predict.predictor.open_bundle` opens."""

from __future__ import annotations

from pathlib import Path

from hone.bundle.bundle import Bundle, write_bundle
from hone.bundle.manifest import Lineage, Manifest, Part, Plain, TaskRecord
from hone.models.files import INT8_FILE, SHAPED_FILE
from hone.models.model import HEAD_FILE, Model, save_model
from hone.predict.formats import INT8, SAFETENSORS, SHAPED
from hone.tasks.protocol import Task

OWN = {INT8_FILE: INT8, SHAPED_FILE: SHAPED}  # what transformers alone cannot read


def write_model(target: Path, model: Model, task: Task, *, lineage: Lineage) -> Bundle:
    """Write ``model`` and what ``task`` reads with as the bundle ``target``; the model is moved to the CPU.

    Raises:
        HoneError: It cannot be written; see `hone.bundle.bundle.write_bundle`.
    """
    return write_bundle(target, build=lambda folder: _fill(folder, model, task, lineage))


def _fill(folder: Path, model: Model, task: Task, lineage: Lineage) -> Manifest:
    model = model.to("cpu")
    written = save_model(model, folder)
    own = next((OWN[name] for name in written if name in OWN), None)
    task.tokenizer.save(folder)
    processor = sorted(path.name for path in folder.iterdir() if path.name not in written)
    weights = tuple(name for name in written if name != HEAD_FILE)
    head_files = (HEAD_FILE,) if HEAD_FILE in written else ()
    return Manifest(
        task=TaskRecord(
            name=task.name,
            settings=task.settings.model_dump(mode="json"),
            labels=task.labels,
            inputs=tuple(field.name for field in task.inputs),
        ),
        parts=(
            Part(role="weights", name="backbone", format=own or SAFETENSORS, files=weights),
            Part(role="processor", name="tokenizer", format="tokenizers", files=tuple(processor)),
            Part(
                role="head",
                name=task.head.kind,
                format="safetensors",
                files=head_files,
                settings=dict(task.head.settings),
            ),
        ),
        default=("backbone", "tokenizer", task.head.kind),
        plain=Plain(auto_class=model.head.auto_class, gives="nothing" if own else model.head.gives),
        lineage=lineage,
    )
