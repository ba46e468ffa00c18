"""The student that distillation begins with: some layers of its teacher, where asked for narrower ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from hone.compress.narrow import narrowed
from hone.compress.recover import encoder_of
from hone.compress.settings import DistillSettings
from hone.compress.shorter import spread_evenly
from hone.compress.start import Start
from hone.core.errors import Fault, RecipeError
from hone.models.model import Model
from hone.models.shapes import is_shaped, whole
from hone.tasks.rows import Rows

TOKENS_AT_ONCE = 512  # that are asked of the teacher each alone


@dataclass(frozen=True)
class Student:
    """A student before it learns.

    Attributes:
        layers: Of the teacher, from 0, that it has.
        back: What brings its states to the teacher's width, weight [teacher's, its own] and bias; None where it is as
            wide.
    """

    model: Model
    layers: tuple[int, ...]
    back: tuple[Tensor, Tensor] | None


def make_student(settings: DistillSettings, start: Start, rows: Rows) -> Student:
    """A copy of the teacher with some of its layers, evenly spread, the last among them, made narrower on ``rows``.

    Raises:
        RecipeError: The bundle's layers are not known here, or it has no more than the student is to have, or none
            would remain for a head that reads the first token alone.
    """
    encoder = encoder_of(start, "distill")
    faults = _faults(settings, start)
    if faults:
        raise RecipeError.of(faults, what="distill")
    count = settings.layers
    kept = spread_evenly(len(encoder.layer), count)
    student = copy.deepcopy(start.model)
    _keep_layers(student, kept)
    if not count:
        _speak_alone(student, start)
    if settings.width is None and settings.inner is None:
        return Student(student, kept, None)
    config: Any = start.model.backbone.config
    width, inner = settings.width or config.hidden_size, settings.inner or config.intermediate_size
    made = narrowed(student, start.task, rows, width=width, inner=inner)
    return Student(made.model, kept, None if width == config.hidden_size else (made.basis, made.shift))


def _faults(settings: DistillSettings, start: Start) -> list[Fault]:
    """Why there can be no such student, all of it."""
    encoder, config = start.model.encoder, cast(Any, start.model.backbone).config
    assert encoder is not None
    had, heads = len(encoder.layer), config.num_attention_heads
    size = config.hidden_size // heads
    faults: list[tuple[str, str]] = []
    if not settings.layers and start.model.head.reads == "first":
        faults.append(("no layers under a head that reads the first token, the same for every text",
                       "at least 1 layer, or a bundle with pooling: mean"))  # fmt: skip
    narrower = (settings.width or config.hidden_size) < config.hidden_size
    narrower |= (settings.inner or config.intermediate_size) < config.intermediate_size
    most = had if narrower or start.teacher is not None else had - 1
    if start.teacher is not None and (settings.hidden or settings.attention):
        faults.append(("hidden or attention above 0 for the student of an ensemble, whose members differ inside",
                       "hidden: 0 and attention: 0"))  # fmt: skip
    if settings.layers > most:
        faults.append((f"{settings.layers} layers for the student of a bundle that has {had}", f"at most {most}"))
    if settings.width is not None and (settings.width % size or settings.width > config.hidden_size):
        expected = f"a multiple of {size}, the size of its heads, up to {config.hidden_size}"
        faults.append((f"a width of {settings.width} for the student of such a bundle", expected))
    if (settings.width or config.hidden_size) < config.hidden_size and start.task.says == "direction":
        faults.append((f"a width of {settings.width} for the student of a bundle whose answers are as wide as it is",
                       f"{config.hidden_size}, or none"))  # fmt: skip
    if narrower and is_shaped(start.model.backbone):
        faults.append(("a narrower student of a bundle whose layers have shapes of their own", "its width and inner"))
    if settings.inner is not None and settings.inner > config.intermediate_size:
        faults.append((f"{settings.inner} inner units", f"at most {config.intermediate_size}, the bundle's own"))
    return [Fault(code="compress.distill", found=found, expected=expected) for found, expected in faults]


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
    # Were places to learn, a token's share of the scores would differ from place to place, and no table could hold it.
    embeddings.position_embeddings.weight.requires_grad_(False)
    embeddings.LayerNorm.load_state_dict(norm.state_dict())
