"""What the best state is chosen by: a measure that validation can give, and what becomes of one that it does not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from training_bench import Bench, scripted

from hone.bundle.stage import Inputs, TaskChoice
from hone.core.errors import Fault, HoneError
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.models.model import Model
from hone.predict.decide import decided_measures
from hone.tasks.make import make_task
from hone.tasks.settings import SentenceEmbeddingSettings
from hone.tasks.table import SETTINGS, TASKS
from hone.train.faults import find_faults
from hone.train.measured import Measured
from hone.train.measuring import main_measure
from hone.train.settings import FinetuneSettings

PAIRS: dict[str, list[Any]] = {"text_a": ["one", "two"], "text_b": ["uno", "due"]}
SCORED = {**PAIRS, "score": [0.0, 5.0]}
TRIPLETS = {**PAIRS, "negative": ["sei", "otto"]}


def faults(
    base: Path, task: str, train: dict[str, list[Any]], validation: dict[str, list[Any]], watched: str, **settings: Any
) -> list[Fault]:
    data = {name: Dataset.from_columns(name, of) for name, of in (("train", train), ("validation", validation))}
    choice = TaskChoice(task, SETTINGS[task].model_validate(settings))
    chosen = FinetuneSettings(metric_for_best_model=watched or None)
    return find_faults(chosen, Inputs(task=choice, base=Base("tiny", base, ""), data=data))


LABELS = {"text": ["one", "two", "six"], "label": ["a", "b", "none"]}
QUESTIONS: dict[str, list[Any]] = {
    "question": ["who", "what"],
    "context": ["ada is here", "bob is here"],
    "answers": [[{"text": "ada", "start": 0}], []],
}


@pytest.mark.parametrize(
    ("task", "train", "validation", "watched", "settings"),
    [
        ("sentence-embedding", PAIRS, PAIRS, "triplet_accuracy", {}),
        ("sentence-embedding", PAIRS, PAIRS, "spearman", {}),
        ("sentence-embedding", PAIRS, SCORED, "mrr", {}),
        ("text-classification", LABELS, {"text": ["one"], "label": ["a"]}, "out_of_scope_recall",
         {"unknown_label": "none"}),
        ("text-classification", LABELS, {"text": ["one"], "label": ["none"]}, "in_scope_accuracy",
         {"unknown_label": "none"}),
        ("question-answering", QUESTIONS, {n: v[1:] for n, v in QUESTIONS.items()}, "f1_answerable", {}),
        ("question-answering", QUESTIONS, {n: v[:1] for n, v in QUESTIONS.items()}, "unanswerable_recall", {}),
    ],
)  # fmt: skip
def test_a_measure_that_no_row_of_validation_tells_is_refused(
    task: str,
    train: dict[str, Any],
    validation: dict[str, Any],
    watched: str,
    settings: dict[str, Any],
    tiny_base: Path,
) -> None:
    (fault,) = faults(tiny_base, task, train, validation, watched, **settings)
    assert (fault.code, fault.field) == ("recipe.untold-measure", "metric_for_best_model")
    assert faults(tiny_base, task, train, train if task != "sentence-embedding" else TRIPLETS, "", **settings) == []


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_measured_by_something_before_it_is_made(name: str) -> None:
    assert TASKS[name].main_measure in TASKS[name].measure_specs  # as a learning curve asks for it


@pytest.mark.parametrize(
    ("loss", "validation", "watched"),
    [
        ("contrastive", PAIRS, "ndcg_at_10"),
        ("contrastive", SCORED, "spearman"),
        ("triplet", TRIPLETS, "triplet_accuracy"),
        ("triplet", SCORED, "spearman"),
        ("cosent", PAIRS, "ndcg_at_10"),
    ],
)
def test_embeddings_are_chosen_by_what_validation_tells(
    loss: str, validation: dict[str, Any], watched: str, tiny_base: Path
) -> None:
    settings = SentenceEmbeddingSettings.model_validate({"loss": loss})
    task = make_task("sentence-embedding", settings, labels=(), folder=tiny_base)
    assert main_measure(task, Dataset.from_columns("validation", validation)) == watched


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "cosent", "cosine"])
def test_scores_that_the_loss_would_not_read_are_refused(loss: str, tiny_base: Path) -> None:
    found = faults(tiny_base, "sentence-embedding", {**TRIPLETS, **SCORED}, SCORED, "", loss=loss)
    refused = [("recipe.unread", "task.loss")] if loss in ("contrastive", "triplet") else []
    assert [(fault.code, fault.field) for fault in found] == refused


def test_a_validation_without_a_value_is_said(bench: Bench, listener: Any) -> None:
    heard = listener()
    bench.run(bench.loop(validate=scripted([None, 0.5]), num_train_epochs=2.0), progress=heard)
    (said,) = [words for words in heard.words if "no accuracy" in words]
    assert "step 9" in said


def test_a_measure_that_is_no_number_ends_the_training(bench: Bench) -> None:
    with pytest.raises(HoneError, match="accuracy of validation at step 9") as caught:
        bench.run(bench.loop(validate=scripted([math.nan]), num_train_epochs=1.0))
    assert caught.value.code == "train.measure-not-finite"


def test_weights_that_are_no_numbers_are_told_before_they_are_measured(bench: Bench) -> None:
    def validate(_: Model) -> dict[str, float | None]:
        raise AssertionError("measured")

    def spoil(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        optimizer.param_groups[0]["params"][0].data.fill_(math.nan)

    loop = bench.loop(validate=validate, max_steps=1)
    handle = register_optimizer_step_post_hook(spoil)
    try:
        with pytest.raises(HoneError) as caught:
            bench.run(loop)
    finally:
        handle.remove()
    assert caught.value.code == "train.weights-not-finite"


def test_scores_that_are_no_finite_numbers_end_in_an_error_of_hones(bench: Bench) -> None:
    model, data = bench.model(), Dataset.from_columns("validation", {"text": ["refund"], "label": ["refund"]})
    with torch.no_grad():
        model.head.linear.bias.fill_(3e38)  # type: ignore[union-attr]
        model.head.linear.weight.fill_(3e38)  # type: ignore[union-attr]
    with pytest.raises(HoneError) as caught:
        decided_measures(bench.task, Measured(model, torch.device("cpu")), bench.rows(), data)
    assert caught.value.code == "train.scores-not-finite"
