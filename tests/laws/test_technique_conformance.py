"""Every entry of the table of techniques: it learns, it is off where its settings say so, a killed run goes on with it
to the very bundle of an undisturbed one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.tasks.settings import TextClassificationSettings
from hone.train.finetune import finetune
from hone.train.loop import Loop
from hone.train.settings import FinetuneSettings
from hone.train.techniques import TECHNIQUES

STEPS = 8
# Settings under which a technique changes nothing; the share of dropout at which two passes are one.
OFF: dict[str, dict[str, Any]] = {
    "ema": {"decay": 1e-9},
    "contrastive": {"weight": 0.0},
    "fgm": {"weight": 1e-15},
    "freelb": {"steps": 1, "start": 0.0},
    "gradient-checkpointing": {},  # it never changes anything
    "gradual-unfreezing": {"until": 0.0},
    "mixout": {"p": 0.0},
    "layer-decay": {"decay": 1.0},
    "r-drop": {"alpha": 0.0},
    "swa": {"start": 0.99},
}
NO_DROPOUT = 1e-9
GENTLE: dict[str, dict[str, Any]] = {  # for a base of small weights, whose texts have few numbers to move
    "fgm": {"epsilon": 0.5},
    "freelb": {"rate": 0.2, "start": 0.2},
    "mixout": {"p": 0.3},
}
TEXTS = {
    "refund": ["i want my money back", "please refund my order", "refund not here yet", "need the refund"],
    "broken": ["the screen is broken", "my laptop is broken", "printer broken again", "broken phone screen"],
}


def gentle(name: str) -> list[dict[str, Any]]:
    return [{"name": name, **GENTLE.get(name, {})}]


class Killed(Exception):
    pass


class Runs:
    """Fine-tunings of one tiny base over sixteen rows, two batches of four a step."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.folder, self._whole = folder, dict[str, str]()
        rows = [(text + end, label) for label, texts in TEXTS.items() for text in texts for end in ("", " now")]
        columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
        self.inputs = Inputs(
            task=TaskChoice("text-classification", TextClassificationSettings()),
            base=Base("tiny", base, "digest of the base"),
            data={"train": Dataset.from_columns("train", columns)},
            recipe_digest="the same for all",
        )

    def __call__(self, name: str, techniques: list[Any], **settings: Any) -> Bundle:
        values = {
            "max_steps": STEPS,
            "num_train_epochs": 100.0,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 2,
            "learning_rate": 5e-3,
            "save_steps": 3,
            "logging_steps": 1,
            "techniques": techniques,
            **settings,
        }
        run = Run(
            seed=3,
            device="cpu",
            folder=self.folder / name,
            target=self.folder / name / "bundle",
            cache=self.folder / "cache",
        )
        bundle = finetune(FinetuneSettings.model_validate(values), self.inputs, run).bundle
        assert bundle is not None
        return bundle

    def whole(self, name: str) -> str:
        """The digest of an undisturbed run with that technique, made once."""
        if name not in self._whole:
            self._whole[name] = self(f"{name}-whole", gentle(name)).digest
        return self._whole[name]

    def losses(self, name: str) -> list[float]:
        lines = (self.folder / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tiny_base, tmp_path_factory.mktemp("techniques"))


@pytest.fixture(scope="module")
def plain(runs: Runs) -> Bundle:
    return runs("plain", [], dropout=NO_DROPOUT)


def weights(bundle: Bundle) -> dict[str, Tensor]:
    return {key: value for file in bundle.path.glob("*.safetensors") for key, value in load_file(file).items()}


@pytest.mark.parametrize("name", sorted(TECHNIQUES))
def test_its_loss_falls(name: str, runs: Runs) -> None:
    assert TECHNIQUES[name].name == name
    runs.whole(name)
    losses = runs.losses(f"{name}-whole")
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])


@pytest.mark.parametrize("name", sorted(TECHNIQUES))
def test_settings_that_turn_it_off_leave_the_training_as_it_is(name: str, runs: Runs, plain: Bundle) -> None:
    off = runs(f"{name}-off", [{"name": name, **OFF[name]}], dropout=NO_DROPOUT)
    torch.testing.assert_close(weights(off), weights(plain), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", sorted(TECHNIQUES))
def test_a_killed_run_ends_with_the_same_bundle(name: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = runs.whole(name)
    step = Loop._step

    def dies(loop: Loop, *given: Any) -> float:
        if loop.position.step == 4:
            raise Killed
        return step(loop, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", dies)
        with pytest.raises(Killed):
            runs(f"{name}-killed", gentle(name))
    assert runs(f"{name}-killed", gentle(name)).digest == undisturbed


@pytest.mark.parametrize("name", sorted(TECHNIQUES))
def test_it_learns_over_frozen_layers_or_is_refused_with_the_recipe(name: str, runs: Runs) -> None:
    if "embeddings" in TECHNIQUES[name].needs:
        with pytest.raises(RecipeError) as caught:
            runs(f"{name}-frozen", gentle(name), freeze_layers=1, max_steps=2)
        assert caught.value.code == "recipe.technique"
        return
    runs(f"{name}-frozen", gentle(name), freeze_layers=1, max_steps=2)
    assert all(math.isfinite(loss) for loss in runs.losses(f"{name}-frozen"))
