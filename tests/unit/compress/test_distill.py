"""Distillation: the loss is what it says, the student starts from the teacher's layers, learns, and is smaller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.stage import Run
from hone.compress.distill import distill
from hone.compress.likeness import Likeness
from hone.compress.settings import DistillSettings
from hone.compress.start import Start
from hone.compress.student import make_student
from hone.compress.taught import Taught
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.models.model import Model
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.predict.predictor import load, open_model
from hone.tasks.encoded import encoded
from hone.tasks.protocol import LossOptions
from hone.train.loop import Loop

TEXTS = ["i want my money back", "reset the password please", "the screen is broken", "printer broken again now"]
LABELS = ["refund", "password", "broken", "broken"]


def start(bundle: Path, folder: Path, **data: Dataset) -> Start:
    opened = Bundle.open(bundle)
    model, task = open_model(opened)
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    return Start(opened, model, task, data, run)


def labeled() -> Dataset:
    return Dataset.from_columns("train", {"text": TEXTS, "label": LABELS})


def student_of(given: Start, folder: Path, **settings: Any) -> Model:
    rows = encoded(given.task, labeled(), cache=folder)
    return make_student(DistillSettings(**settings), given, rows).model


def test_the_loss_weighs_labels_and_teacher_and_leaves_unlabeled_rows_to_the_teacher(
    text_bundle: Path, tmp_path: Path
) -> None:
    given = start(text_bundle, tmp_path)
    rows = encoded(given.task, labeled(), cache=tmp_path)
    teacher = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    has = np.array([True, False, True, False])
    taught = Taught(given.task, list(teacher), labeled=has, temperature=2.0, own=0.25)
    batch = taught.collate(rows, np.array([3, 0, 1]))
    given.model.eval()
    outputs = given.model(batch)
    found = taught.loss(outputs, batch, options=LossOptions())
    logits, wanted = outputs["logits"], torch.from_numpy(teacher[[3, 0, 1]])
    apart = functional.kl_div(
        functional.log_softmax(logits / 2, -1), functional.softmax(wanted / 2, -1), reduction="sum"
    )
    own = functional.cross_entropy(logits[1:2], batch["label"][1:2], reduction="sum")
    torch.testing.assert_close(found.total, 0.25 * own + 0.75 * 4 * apart)
    assert found.weight == 3.0


def test_a_student_that_says_what_the_teacher_says_has_no_distance(tag_bundle: Path, tmp_path: Path) -> None:
    given = start(tag_bundle, tmp_path)
    data = Dataset.from_columns("train", {"tokens": [["Ada", "is", "in", "rome"], ["Bob", "not"]],
                                          "tags": [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"]]})  # fmt: skip
    rows = encoded(given.task, data, cache=tmp_path)
    engine = TorchEngine(given.model, torch.device("cpu"))
    scores = score_rows(given.task, engine, rows)
    taught = Taught(given.task, scores, labeled=np.ones(2, dtype=bool), temperature=3.0, own=0.0)
    batch = taught.collate(rows, np.array([0, 1]))
    loss = taught.loss(engine.forward(batch), batch, options=LossOptions())
    assert float(loss.total) == pytest.approx(0.0, abs=1e-4)
    assert loss.weight == 6.0


def test_the_student_starts_with_layers_of_the_teacher_the_last_among_them(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    student = student_of(given, tmp_path, layers=1)
    assert student.encoder is not None
    assert given.model.encoder is not None
    assert len(given.model.encoder.layer) == 2
    (kept,) = student.encoder.layer
    for name, value in kept.state_dict().items():
        assert torch.equal(value, given.model.encoder.layer[1].state_dict()[name])
    assert student.backbone.config.num_hidden_layers == 1  # type: ignore[union-attr]


def test_without_layers_every_token_stands_for_what_the_teacher_says_of_it_alone(
    text_bundle: Path, tmp_path: Path
) -> None:
    given = start(text_bundle, tmp_path)
    student = student_of(given, tmp_path, layers=0).eval()
    tokenizer = given.task.tokenizer
    ids = torch.tensor([[*tokenizer.prefix, tokenizer.encode(["password"])[0][0], *tokenizer.suffix]])
    mask = torch.ones_like(ids)
    backbone: Any = given.model.eval().backbone
    static: Any = student.backbone
    with torch.inference_mode():
        theirs = backbone(input_ids=ids, attention_mask=mask).last_hidden_state[0, 1]
        ours = static(input_ids=ids, attention_mask=mask).last_hidden_state[0, 1]
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layers", [0, 1])
def test_the_stage_makes_a_smaller_bundle_that_learned_from_labeled_and_unlabeled_rows(
    layers: int, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps({"text": text + " thanks"}) + "\n" for text in TEXTS))
    method = {"name": "distill", "layers": layers, "num_train_epochs": 8, "learning_rate": 5e-3}
    recipe = {
        "version": 1, "task": "text-classification", "base": str(tiny_base),
        "data": {"train": str(texts["train"]), "unlabeled": str(more), "test": str(texts["test"])},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 8, "learning_rate": 5e-3, "save_steps": None},
            {"kind": "compress", "method": method}, "evaluate",
        ],
    }  # fmt: skip
    result = hone.run(recipe, out=tmp_path / "run")
    assert result.bundle is not None
    report = result.reports["compress"]
    assert report.facts["rows_taught"] == 66 + 4
    sizes = {row[0]: row[3] for row in report.tables["beside_parent"].rows}
    assert sizes["disk_mb"] < 1
    predictor = load(result.bundle.path, device="cpu")
    assert len(predictor.engine.model.encoder.layer) == layers  # type: ignore[attr-defined]
    accuracy = next(measure for measure in result.reports["evaluate"].measures if measure.name == "accuracy")
    assert accuracy.value is not None
    assert accuracy.value > 0.8


@pytest.mark.parametrize("more", [{}, {"width": 16, "inner": 24, "hidden": 1.0, "attention": 0.5}])
def test_a_student_is_the_same_from_the_same_work(more: dict[str, Any], text_bundle: Path, tmp_path: Path) -> None:
    settings = DistillSettings(layers=1, num_train_epochs=2, save_steps=None, **more)
    ends = []
    for name in ("a", "b"):
        made = distill(settings, start(text_bundle, tmp_path / name, train=labeled()))
        ends.append({key: value.clone() for key, value in made.model.state_dict().items()})
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


def test_a_taggers_inner_states_are_learned_too_a_row_as_often_as_it_has_words(
    tag_bundle: Path, tmp_path: Path
) -> None:
    given = start(tag_bundle, tmp_path)
    data = Dataset.from_columns("train", {"tokens": [["Ada", "is", "in", "rome"], ["Bob", "not"]],
                                          "tags": [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"]]})  # fmt: skip
    rows = encoded(given.task, data, cache=tmp_path)
    scores = score_rows(given.task, TorchEngine(given.model, torch.device("cpu")), rows)
    student = make_student(DistillSettings(layers=1), given, rows).model.eval()
    likeness = Likeness(student, given.model.fix(), layers=(1,), hidden=1.0, attention=1.0)
    weighed = {"labeled": np.ones(2, dtype=bool), "temperature": 2.0, "own": 0.3}
    plain, taught = Taught(given.task, scores, **weighed), Taught(given.task, scores, **weighed, likeness=likeness)
    batch = taught.collate(rows, np.array([0, 1]))
    outputs = student(batch)
    without, found = (each.loss(outputs, batch, options=LossOptions()) for each in (plain, taught))
    apart = likeness.of(batch)
    assert bool((apart > 1e-4).all())
    torch.testing.assert_close(found.total - without.total, 4 * apart[0] + 2 * apart[1], rtol=1e-3, atol=1e-4)
    assert found.weight == without.weight == 6.0


def test_a_killed_training_with_a_map_goes_on_to_the_same_end(
    text_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DistillSettings(layers=1, width=16, hidden=1.0, num_train_epochs=6, save_steps=1)
    straight = distill(settings, start(text_bundle, tmp_path / "straight", train=labeled()))
    step, done = Loop._step, [0]

    def killed(loop: Loop, *given: Any) -> Any:
        done[0] += 1
        if done[0] == 4:
            raise KeyboardInterrupt
        return step(loop, *given)

    monkeypatch.setattr(Loop, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        distill(settings, start(text_bundle, tmp_path / "killed", train=labeled()))
    resumed = distill(settings, start(text_bundle, tmp_path / "killed", train=labeled()))
    assert done[0] == 4 + 3
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_what_cannot_be_a_student_is_told(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path, train=labeled())
    with pytest.raises(RecipeError, match="at most 1"):
        distill(DistillSettings(layers=2), given)
    with pytest.raises(RecipeError, match="given no texts"):
        distill(DistillSettings(layers=1), start(text_bundle, tmp_path))
    given.model.head.reads = "first"  # type: ignore[misc]
    with pytest.raises(RecipeError, match="the same for every text"):
        distill(DistillSettings(layers=0), given)


def test_a_student_without_layers_answers_by_its_table_after_it_has_learned(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path, train=labeled())
    before = given.model.embeddings.word_embeddings.weight.clone()
    made = distill(DistillSettings(layers=0, num_train_epochs=3), given)
    assert isinstance(made.model, Model)
    assert not torch.equal(made.model.embeddings.word_embeddings.weight, before)
    student = made.model.fix().eval()
    assert student.token_scores is not None
    batch = made.task.collate(encoded(made.task, labeled(), cache=tmp_path), np.arange(4))
    with torch.inference_mode():
        by_table = student(batch)["logits"]
        student.token_scores = None
        assert torch.allclose(by_table, student(batch)["logits"], atol=1e-5)
