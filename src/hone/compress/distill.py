"""``distill``: a student of fewer layers learns what the bundle says (Hinton et al. 2015; Sanh et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch

from hone.compress.distill_writing import distill_writer
from hone.compress.int8 import require_float
from hone.compress.likeness import Likeness
from hone.compress.recover import lesson, recover
from hone.compress.settings import DistillSettings
from hone.compress.start import Made, Start
from hone.compress.student import Student, make_student
from hone.core.errors import RecipeError
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.tasks.protocol import Writing


def distill(settings: DistillSettings, start: Start) -> Made:
    """Train the student on ``train``, and on ``unlabeled`` where there is some.

    Raises:
        RecipeError: There are no texts, or there can be no such student; see `make_student`.
    """
    if isinstance(start.task, Writing):
        return distill_writer(settings, start)
    if settings.texts != "given" or settings.encoder_layers is not None:
        raise RecipeError(
            f"texts or encoder_layers, and {start.task.name}, which writes nothing",
            fix="Leave them out.",
            code="compress.distill",
        )
    require_float(start)
    torch.manual_seed(start.run.seed)
    taught = lesson(start)
    student = make_student(settings, start, taught.rows)
    teacher = TorchEngine(start.model.fix(), pick_device(start.run.device))
    likeness = _likeness(settings, student, teacher)
    trained = recover(student.model, taught, start, settings=settings, method="distill", likeness=likeness)
    if likeness is not None:
        likeness.leave()
    config: Any = student.model.backbone.config
    facts = {
        "layers": settings.layers,
        "width": config.hidden_size,
        "inner": config.intermediate_size,
        "rows_taught": len(taught.rows),
        "seconds": round(trained.seconds, 1),
    }
    return Made(student.model, start.task, facts)


def _likeness(settings: DistillSettings, student: Student, teacher: TorchEngine) -> Likeness | None:
    if not (settings.hidden or settings.attention):
        return None
    return Likeness(
        student.model.to(teacher.device),
        teacher.model,
        layers=student.layers,
        hidden=settings.hidden,
        attention=settings.attention,
        start=student.back,
    )
