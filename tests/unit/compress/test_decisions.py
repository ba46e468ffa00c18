"""What a compressed bundle decides by is fitted by its own scores, or was left as it was by them, or is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Outcome, Run, TaskChoice
from hone.compress.compare import answers, values
from hone.compress.compress import compress
from hone.compress.settings import CompressSettings
from hone.data.dataset import Dataset
from hone.models.model import build_model
from hone.models.tiny import write_tiny_base
from hone.predict.predictor import open_bundle
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.protocol import Deciding
from hone.tasks.table import SETTINGS

TEXTS = ["i want my money back", "reset the password please", "the screen is broken", "printer broken again now"] * 4
LABELS = [["refund"], ["password", "broken"], ["broken"], ["broken", "refund"]] * 4
STALE = {"thresholds": dict.fromkeys(("broken", "password", "refund"), 1.0)}  # nothing is ever answered


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of random weights with thresholds that no score fits."""
    folder = tmp_path_factory.mktemp("parent")
    base = write_tiny_base(folder / "base", layers=1)
    name = "multi-label-classification"
    task: Any = make_task(name, SETTINGS[name](), labels=("broken", "password", "refund"), folder=base)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return write_model(folder / "bundle", build_model(base, task.head), task.decided(STALE), lineage=lineage)


def compressed(parent: Bundle, folder: Path, method: dict[str, Any], *, on: str) -> Outcome:
    task = open_bundle(parent).task
    data = {on: Dataset.from_columns(on, {"text": TEXTS, "labels": LABELS})}
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    settings = CompressSettings.model_validate({"method": method, "on": on})
    inputs = Inputs(task=TaskChoice(task.name, task.settings), base=None, data=data, bundle=parent)
    return compress(settings, inputs, run)


def decision_of(bundle: Bundle | None) -> Any:
    assert bundle is not None
    task = open_bundle(Bundle.open(bundle.path)).task
    assert isinstance(task, Deciding)
    return task.decision


def test_candidates_are_judged_by_decisions_of_their_own(parent: Bundle, tmp_path: Path) -> None:
    steps = [[{"name": "weight-only", "bits": 4}]]
    outcome = compressed(parent, tmp_path, {"name": "search", "steps": steps, "max_size_mb": 1e6}, on="validation")
    grid = outcome.report.tables["candidates"]
    said = next(row[3] for row in grid.rows if row[0] == "1 weight-only")
    main = next(one for one in outcome.report.measures if one.name == grid.columns[3])
    assert said == main.value
    assert float(said) > 0  # type: ignore[arg-type]
    candidate = Bundle.open(tmp_path / "run" / "search" / "weight-only" / "bundle")
    assert decision_of(candidate) == decision_of(outcome.bundle) != STALE


def test_without_validation_other_scores_have_no_decision_and_that_is_said(parent: Bundle, tmp_path: Path) -> None:
    outcome = compressed(parent, tmp_path, {"name": "weight-only", "bits": 4}, on="train")
    assert decision_of(outcome.bundle) is None
    assert len(outcome.report.warnings) == 1
    assert outcome.bundle is not None
    columns = {"text": TEXTS, "labels": LABELS}
    child = open_bundle(outcome.bundle)
    found = values(child.task, answers(child, columns), columns)
    assert found["micro_f1"] == found["micro_f1_at_half"]  # as a bundle answers that never had thresholds


def test_without_validation_a_decision_stays_that_the_same_scores_are_answered_by(
    parent: Bundle, tmp_path: Path
) -> None:
    steps = [["vocabulary"]]
    for i, method in enumerate(({"name": "vocabulary"}, {"name": "search", "steps": steps, "max_size_mb": 1e6})):
        outcome = compressed(parent, tmp_path / str(i), method, on="train")
        assert decision_of(outcome.bundle) == STALE
        assert outcome.report.warnings == []
