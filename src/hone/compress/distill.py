"""``distill``: a student of fewer layers learns what the bundle says (Hinton et al. 2015; Sanh et al. 2019)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from hone.compress.int8 import require_float
from hone.compress.recover import rows_taught, training
from hone.compress.settings import DistillSettings
from hone.compress.start import Made, Start
from hone.compress.taught import Taught
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.models.encoder import FAMILIES
from hone.models.model import Model
from hone.models.shapes import whole
from hone.predict.batching import score_rows
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.tasks.protocol import LossOptions, Task
from hone.train.finetune import run_loop
from hone.train.loop import Setup

TOKENS_AT_ONCE = 512  # that are asked of the teacher each alone


def distill(settings: DistillSettings, start: Start) -> Made:
    """Train the student on ``train``, and on ``unlabeled`` where there is some.

    Raises:
        RecipeError: The bundle's layers are not known here, are too few, or none would remain for a head that reads
            the first token alone.
    """
    require_float(start)
    task, run = start.task, start.run
    device = pick_device(run.device)
    torch.manual_seed(run.seed)
    student = _student(start, settings.layers)
    teacher = TorchEngine(start.model, device)
    rows, labeled, keys = rows_taught(start)
    run.progress.begin("asking the teacher", total=len(rows), unit="row")
    scores = score_rows(task, teacher, rows, done=run.progress.advance)
    run.progress.finish()
    taught = Taught(task, scores, labeled=labeled, temperature=settings.temperature, own=settings.own)
    setup = Setup(
        settings=training(settings),
        seed=run.seed,
        identity=digest_value(
            {"stage": "distill", "settings": settings.model_dump(mode="json"), "seed": run.seed,
             "teacher": start.bundle.digest, "rows": keys, "device": device.type}
        ),
        checkpoints=run.folder / "checkpoints",
        options=LossOptions(),
        validate=None,
        watched=task.main_measure,
        higher_is_better=True,
    )  # fmt: skip
    trained = run_loop(student, cast(Task, taught), rows, setup=setup, run=run, device=device)
    facts = {"layers": settings.layers, "rows_taught": len(rows), "seconds": round(trained.seconds, 1)}
    return Made(student.to("cpu").eval(), task, facts)


def _student(start: Start, count: int) -> Model:
    """A copy of the teacher with ``count`` of its layers, evenly spread, the last among them."""
    encoder = start.model.encoder
    if encoder is None:
        kind = getattr(start.model.backbone.config, "model_type", "?")
        raise RecipeError(
            f"distill of a base of type {kind!r}",
            expected=f"one of {', '.join(sorted(FAMILIES))}, with GELU",
            code="compress.distill",
        )
    had = len(encoder.layer)
    if count >= had:
        raise RecipeError(
            f"{count} layers for the student of a bundle that has {had}",
            expected=f"at most {had - 1}",
            code="compress.distill",
        )
    if count == 0 and start.model.head.reads == "first":
        raise RecipeError(
            "a student without layers under a head that reads the first token, which would be the same for every text",
            expected="at least 1 layer, or a bundle with pooling: mean",
            code="compress.distill",
        )
    student = copy.deepcopy(start.model)
    kept = [round((i + 1) * had / count) - 1 for i in range(count)]
    _keep_layers(student, kept)
    if not count:
        _speak_alone(student, start)
    return student


def _keep_layers(student: Model, kept: Sequence[int]) -> None:
    encoder, backbone = student.encoder, cast(Any, student.backbone)
    assert encoder is not None
    encoder.keep(kept)
    backbone.config.num_hidden_layers = len(kept)


def _speak_alone(student: Model, start: Start) -> None:
    """Set each token's vector so that the embeddings give what the teacher gives for that token alone (Tulkens and
    van Dongen 2024): a layer norm over a vector that is normal already changes nothing, so its gain and shift are the
    teacher's last."""
    teacher, tokenizer = start.model, start.task.tokenizer
    assert teacher.encoder is not None
    last: Any = teacher.encoder.layer[-1]
    norm, embeddings = last.output.LayerNorm, student.embeddings
    embeddings.word_embeddings = whole(embeddings.word_embeddings)
    table = embeddings.word_embeddings.weight
    before, after = tokenizer.prefix, tokenizer.suffix
    teacher.eval()
    with torch.inference_mode():
        for at in range(0, len(table), TOKENS_AT_ONCE):
            ids = torch.arange(at, min(at + TOKENS_AT_ONCE, len(table)))
            around = [torch.tensor(side).expand(len(ids), -1) for side in (before, after)]
            batch = torch.cat([around[0], ids[:, None], around[1]], dim=1)
            states = teacher.backbone.base_model(input_ids=batch, attention_mask=torch.ones_like(batch))  # type: ignore[operator]
            alone = states.last_hidden_state[:, len(before)]
            table.data[ids] = (alone - norm.bias) / torch.where(norm.weight.abs() < 1e-3, 1e-3, norm.weight)
    for other in (embeddings.position_embeddings, embeddings.token_type_embeddings):
        nn.init.zeros_(other.weight)
    embeddings.LayerNorm.load_state_dict(norm.state_dict())
