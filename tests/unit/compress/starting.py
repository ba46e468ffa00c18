"""A bundle opened for a compression method, without the stage around it."""

from __future__ import annotations

from pathlib import Path

import torch

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Run
from hone.compress.start import Made, Start
from hone.core.progress import Progress, Silent
from hone.data.dataset import Dataset
from hone.predict.predictor import open_model
from hone.predict.write import write_model

TEXTS = ["i want my money back", "reset the password please", "the screen is broken", "printer broken again now"]
LABELS = ["refund", "password", "broken", "broken"]


def start(bundle: Path, folder: Path, *, progress: Progress | None = None, times: int = 4) -> Start:
    """``TEXTS`` with their labels, ``times`` over, as ``train``."""
    opened = Bundle.open(bundle)
    model, task = open_model(opened)
    run = Run(
        seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache",
        progress=progress or Silent(),
    )  # fmt: skip
    data = {"train": Dataset.from_columns("train", {"text": TEXTS * times, "label": LABELS * times})}
    return Start(opened, model, task, data, run)


def written(made: Made, target: Path, *, parent: Bundle) -> Bundle:
    """The bundle of what a method made."""
    lineage = Lineage(parents=(parent.digest,), stage="compress", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    return write_model(target, made.model, made.task, lineage=lineage)


def logits(given: Start) -> torch.Tensor:
    """What its model says of two texts."""
    tokenizer = given.task.tokenizer
    ids = torch.tensor([[*tokenizer.prefix, *ids[:3], *tokenizer.suffix] for ids in tokenizer.encode(TEXTS[:2])])
    with torch.inference_mode():
        scores: torch.Tensor = given.model.eval()({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["logits"]
    return scores
