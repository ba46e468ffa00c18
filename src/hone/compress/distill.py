"""``distill``: a student of fewer layers learns what the bundle says (Hinton et al. 2015; Sanh et al. 2019)."""

from __future__ import annotations

from typing import Any, cast

import torch

from hone.compress.int8 import require_float
from hone.compress.likeness import Likeness
from hone.compress.recover import rows_taught, training
from hone.compress.settings import DistillSettings
from hone.compress.start import Made, Start
from hone.compress.student import Student, make_student
from hone.compress.taught import Taught
from hone.core.lineage import digest_value
from hone.predict.batching import score_rows
from hone.predict.device import pick_device
from hone.predict.engine import TorchEngine
from hone.tasks.protocol import LossOptions, Task
from hone.train.finetune import run_loop
from hone.train.loop import Setup


def distill(settings: DistillSettings, start: Start) -> Made:
    """Train the student on ``train``, and on ``unlabeled`` where there is some.

    Raises:
        RecipeError: There are no texts, or there can be no such student; see `make_student`.
    """
    require_float(start)
    task, run = start.task, start.run
    device = pick_device(run.device)
    torch.manual_seed(run.seed)
    rows, labeled, keys = rows_taught(start)
    student = make_student(settings, start, rows)
    teacher = TorchEngine(start.model.fix(), device)
    run.progress.begin("asking the teacher", total=len(rows), unit="row")
    scores = score_rows(task, teacher, rows, done=run.progress.advance)
    run.progress.finish()
    likeness = _likeness(settings, student, teacher)
    taught = Taught(
        task, scores, labeled=labeled, temperature=settings.temperature, own=settings.own, likeness=likeness
    )
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
    trained = run_loop(student.model, cast(Task, taught), rows, setup=setup, run=run, device=device)
    if likeness is not None:
        likeness.leave()
    config: Any = student.model.backbone.config
    facts = {
        "layers": settings.layers,
        "width": config.hidden_size,
        "inner": config.intermediate_size,
        "rows_taught": len(rows),
        "seconds": round(trained.seconds, 1),
    }
    return Made(student.model.to("cpu").eval(), task, facts)


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
