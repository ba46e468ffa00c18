"""The stage finetune: what starts it, what reaches the loss, what it refuses, and what the bundle and report say."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from training_bench import TEXTS, dataset

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run, TaskChoice
from hone.core.errors import BundleError, DataError, DeviceError, HoneError, MissingExtra, RecipeError
from hone.data.dataset import Dataset
from hone.models.base import resolve_base
from hone.predict.predictor import load
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.train import finetune as module
from hone.train.finetune import finetune
from hone.train.settings import FinetuneSettings

TAGS = Dataset.from_columns(
    "train",
    {
        "tokens": [["Ada", "is", "in", "rome"], ["bob", "was", "here"], ["we", "love", "paris"], ["Max", "help"]],
        "tags": [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "O"], ["O", "O", "B-LOC"], ["B-PER", "O"]],
    },
)

Train = Callable[..., Outcome]


@pytest.fixture
def train(tiny_base: Path, tmp_path: Path) -> Train:
    """Runs the stage on 36 texts, all of them one batch, without dropout; the log has every step."""
    count = iter(range(100))

    def run(
        *,
        base: Path = tiny_base,
        bundle: Bundle | None = None,
        task: str = "text-classification",
        task_settings: dict[str, Any] | None = None,
        data: dict[str, Dataset] | None = None,
        seed: int = 1,
        device: Any = "cpu",
        **settings: Any,
    ) -> Outcome:
        plain = {"per_device_train_batch_size": 64, "dropout": 0.0, "logging_steps": 1, "save_steps": None}
        folder = tmp_path / f"stage-{next(count)}"
        inputs = Inputs(
            task=TaskChoice(task, SETTINGS[task].model_validate(task_settings or {})),
            base=resolve_base(str(base)),
            data=data or {"train": dataset()},
            bundle=bundle,
            recipe_digest="the recipe",
        )
        chosen = FinetuneSettings.model_validate({**plain, "learning_rate": 5e-3, **settings})
        return finetune(chosen, inputs, Run(seed=seed, device=device, folder=folder, target=folder / "bundle",
                                            cache=tmp_path / "cache"))  # fmt: skip

    return run


def bundle_of(outcome: Outcome) -> Bundle:
    assert outcome.bundle is not None
    return outcome.bundle


def losses(outcome: Outcome) -> list[float]:
    text = (bundle_of(outcome).path.parent / "log.jsonl").read_text(encoding="utf-8")
    return [line["loss"] for line in map(json.loads, text.splitlines()) if "loss" in line]


def loss_of(bundle: Bundle, data: Dataset | None = None, **options: Any) -> float:
    """The loss of a bundle on labeled rows, computed from its answers' logits by torch alone."""
    predictor = load(bundle.path, device="cpu")
    rows = Rows(predictor.task.encode((data or dataset()).slice(0, 99), purpose="learn"))
    batch = predictor.task.collate(rows, np.arange(len(rows)))
    outputs = predictor.engine.forward(batch)
    if "tags" in batch:
        loss = predictor.task.loss(outputs, batch, options=LossOptions())
        return float(loss.total.detach()) / loss.weight
    return float(functional.cross_entropy(outputs["logits"], batch["label"], **options))


def weights_of(bundle: Bundle) -> dict[str, Tensor]:
    return {k: v for file in sorted(bundle.path.glob("*.safetensors")) for k, v in load_file(file).items()}


def labeled(names: dict[str, str]) -> Dataset:
    """The texts under other label names."""
    columns = dataset().slice(0, 99)
    labels = [names[label] for label in columns["label"]]
    return Dataset.from_columns("train", {"text": columns["text"], "label": labels})


# What reaches the loss


def untrained(train: Train, **settings: Any) -> float:
    """The loss of the first step."""
    return losses(train(max_steps=1, **settings))[0]


@pytest.fixture
def start(train: Train) -> Bundle:
    """The model that every run with this seed and base starts from, moved by next to nothing."""
    return bundle_of(train(max_steps=1, learning_rate=1e-12))


def skewed() -> Dataset:
    """Twelve rows of refund, six of password, three of broken."""
    rows = [(text, label) for label, count in (("refund", 4), ("password", 2), ("broken", 1)) for text in
            [t + end for t in TEXTS[label][:count] for end in ("", " now", " thanks")]]  # fmt: skip
    return Dataset.from_columns("train", {"text": [text for text, _ in rows], "label": [label for _, label in rows]})


def test_the_first_loss_is_that_of_the_untrained_model(train: Train, start: Bundle) -> None:
    assert untrained(train) == pytest.approx(loss_of(start), rel=1e-5)


def test_label_smoothing_reaches_the_loss(train: Train, start: Bundle) -> None:
    found = untrained(train, label_smoothing_factor=0.3)
    assert found == pytest.approx(loss_of(start, label_smoothing=0.3), rel=1e-5)
    assert found != pytest.approx(loss_of(start), rel=1e-5)


def test_class_weights_by_name_reach_their_labels_and_the_others_weigh_one(train: Train, start: Bundle) -> None:
    found = untrained(train, class_weights={"refund": 6.0, "broken": 0.5})
    assert found == pytest.approx(loss_of(start, weight=torch.tensor([0.5, 1.0, 6.0])), rel=1e-5)
    assert found != pytest.approx(loss_of(start), rel=1e-5)


def test_balanced_weights_are_the_inverse_frequencies(train: Train, start: Bundle) -> None:
    found = untrained(train, class_weights="balanced", data={"train": skewed()})
    weights = torch.tensor([21 / 9, 21 / 18, 21 / 36])  # broken 3, password 6, refund 12: rows / (labels * count)
    assert found == pytest.approx(loss_of(start, skewed(), weight=weights), rel=1e-5)


def test_balanced_weights_for_tags_count_tags(train: Train) -> None:
    found = untrained(train, task="token-classification", data={"train": TAGS}, class_weights="balanced")
    plain = untrained(train, task="token-classification", data={"train": TAGS})
    assert math.isfinite(found)
    assert found != pytest.approx(plain, rel=1e-6)


def test_a_weight_for_a_label_that_no_row_has_is_refused(train: Train) -> None:
    with pytest.raises(RecipeError) as error:
        train(class_weights={"refunds": 2.0})
    assert error.value.code == "recipe.unknown-label"
    assert "'refunds'" in str(error.value)
    assert "'refund'" in error.value.faults[0].fix


@pytest.mark.parametrize("settings", [{"label_smoothing_factor": 0.1}, {"class_weights": {"O": 2.0}}])
def test_a_crf_refuses_what_its_loss_cannot_take(train: Train, settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as error:
        train(task="token-classification", task_settings={"head": "crf"}, data={"train": TAGS}, **settings)
    assert error.value.code == "recipe.loss-options"


# What training starts from

KINDS: dict[str, dict[str, Any]] = {
    "mean": {},
    "cls": {"task_settings": {"pooling": "cls"}},
    "tagging": {
        "task": "token-classification",
        "task_settings": {"head": "crf", "word_shape": True, "context": 8},
        "data": {"train": TAGS},
    },
    "tagging-linear": {"task": "token-classification", "data": {"train": TAGS}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["stage before", "base"])
def test_finetune_goes_on_from_a_bundle_with_its_head(train: Train, kind: str, how: str) -> None:
    first = bundle_of(train(max_steps=12, **KINDS[kind]))
    start = {"bundle": first} if how == "stage before" else {"base": first.path}
    second = train(max_steps=2, seed=2, **start, **KINDS[kind])
    expected = loss_of(first, KINDS[kind].get("data", {}).get("train"))
    assert losses(second)[0] == pytest.approx(expected, rel=1e-4)
    assert bundle_of(second).manifest.lineage.parents == (first.digest,)


def test_two_chained_stages_differ_from_one(train: Train) -> None:
    first = bundle_of(train(max_steps=3))
    second = bundle_of(train(max_steps=3, bundle=first))
    one, two = weights_of(first), weights_of(second)
    assert one.keys() == two.keys()
    assert not any(torch.equal(value, two[name]) for name, value in one.items() if value.ndim > 1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize(
    "names",
    [
        {"refund": "a", "password": "b", "broken": "c"},
        {"refund": "refund", "password": "password", "broken": "password"},
    ],
    ids=["as many", "fewer"],
)
def test_other_labels_get_a_new_head_on_the_bundles_backbone(train: Train, pooling: str, names: dict[str, str]) -> None:
    settings = {"task_settings": {"pooling": pooling}}
    first = bundle_of(train(max_steps=8, **settings))
    data = {"train": labeled(names)}
    second = train(max_steps=1, learning_rate=1e-9, seed=2, base=first.path, data=data, **settings)
    assert losses(second)[0] == pytest.approx(math.log(len(set(names.values()))), abs=0.3)
    before, after = weights_of(first), weights_of(bundle_of(second))
    head, body = {"mean": ("linear.weight", "encoder.layer.1.output.dense.weight"),
                  "cls": ("classifier.weight", "bert.encoder.layer.1.output.dense.weight")}[pooling]  # fmt: skip
    torch.testing.assert_close(after[body], before[body])
    labels = len(set(names.values()))
    assert after[head].shape == (labels, 32)
    assert float(functional.cosine_similarity(after[head][0], before[head][0], dim=0)) < 0.9
    assert bundle_of(second).manifest.task is not None
    assert set(bundle_of(second).manifest.task.labels) == set(names.values())  # type: ignore[union-attr]


def test_another_kind_of_head_is_a_new_head(train: Train) -> None:
    first = bundle_of(train(max_steps=30, learning_rate=1e-2))
    second = train(max_steps=1, base=first.path, task_settings={"pooling": "cls"})
    assert losses(second)[0] == pytest.approx(math.log(3), abs=0.3)


def test_a_damaged_bundle_is_no_base(train: Train, tmp_path: Path) -> None:
    first = bundle_of(train(max_steps=1))
    copy = tmp_path / "copy"
    shutil.copytree(first.path, copy)
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(BundleError) as error:
        train(max_steps=1, base=copy)
    assert error.value.code == "bundle.damaged"
    assert "model.safetensors" in str(error.value)


def test_no_base_and_no_bundle_is_refused(tmp_path: Path) -> None:
    inputs = Inputs(TaskChoice("text-classification", SETTINGS["text-classification"]()), None, {"train": dataset()})
    run = Run(seed=1, device="cpu", folder=tmp_path, target=tmp_path / "bundle", cache=tmp_path / "cache")
    with pytest.raises(RecipeError) as error:
        finetune(FinetuneSettings(), inputs, run)
    assert error.value.code == "recipe.no-base"


# What is refused


def test_a_precision_that_the_device_lacks_is_refused(train: Train) -> None:
    with pytest.raises(DeviceError) as error:
        train(mixed_precision="fp16")
    assert (error.value.code, error.value.exit_code) == ("device.precision", 2)
    assert "fp16" in str(error.value)
    assert "cpu" in str(error.value)


def test_bf16_on_the_cpu_trains_where_the_cpu_has_it_and_is_refused_where_not(train: Train) -> None:
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        outcome = train(mixed_precision="bf16", max_steps=3)
        assert losses(outcome)[0] == pytest.approx(losses(train(max_steps=1))[0], rel=2e-2)
        assert {value.dtype for value in weights_of(bundle_of(outcome)).values()} == {torch.float32}
    else:
        with pytest.raises(DeviceError) as error:
            train(mixed_precision="bf16")
        assert error.value.code == "device.precision"


@pytest.mark.parametrize(("precision", "there"), [("fp16", True), ("bf16", False), ("no", True)])
def test_apple_devices_have_fp16_alone(precision: str, there: bool) -> None:
    if there:
        module.require_precision(precision, torch.device("mps"))
        return
    with pytest.raises(DeviceError) as error:
        module.require_precision(precision, torch.device("mps"))
    assert error.value.code == "device.precision"


def test_a_device_that_is_not_there_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError) as error:
        train(device="cuda")
    assert error.value.code == "device.missing"


def test_an_unknown_measure_to_watch_is_refused_with_the_nearest(train: Train) -> None:
    with pytest.raises(RecipeError) as error:
        train(metric_for_best_model="acuracy", data={"train": dataset(), "validation": dataset("validation")})
    assert error.value.code == "recipe.unknown-measure"
    assert "'accuracy'" in error.value.faults[0].fix


@pytest.mark.parametrize("settings", [{"early_stopping_patience": 2}, {"metric_for_best_model": "accuracy"}])
def test_what_needs_a_validation_split_is_refused_without_one(train: Train, settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as error:
        train(**settings)
    assert error.value.code == "recipe.no-validation"
    assert next(iter(settings)) in str(error.value)


def test_a_label_that_training_does_not_teach_is_refused(train: Train) -> None:
    other = Dataset.from_columns("validation", {"text": ["hello"], "label": ["greeting"]})
    with pytest.raises(DataError) as error:
        train(data={"train": dataset(), "validation": other})
    assert "greeting" in str(error.value)


def test_a_missing_tracker_is_told_before_anything_is_trained(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra):
        train(report_to=["wandb"])


# What is left


def test_the_watched_measure_decides_by_its_own_direction(train: Train) -> None:
    data = {"train": dataset(), "validation": dataset("validation")}
    outcome = train(data=data, metric_for_best_model="ece", max_steps=6, learning_rate=2e-2, warmup_ratio=0.0)
    curve = outcome.report.tables["validation_curve"]
    assert curve.columns == ["epoch", "ece"]
    [measure] = outcome.report.measures
    assert (measure.name, measure.slice, measure.better, measure.n) == ("ece", "validation", "lower", 36)
    assert measure.value == min(row[1] for row in curve.rows)  # type: ignore[type-var]


def test_the_measure_reported_is_that_of_the_bundle_written(train: Train) -> None:
    """Validation sees the weights that are kept, with dropout off."""
    data = {"train": dataset(), "validation": dataset("validation")}
    outcome = train(data=data, dropout=0.5, max_steps=8, learning_rate=2e-2, metric_for_best_model="ece")
    predictor = load(bundle_of(outcome).path, device="cpu")
    columns = dataset().slice(0, 99)
    measured = predictor.task.measures(predictor.task.tally(predictor.predict(columns["text"]), columns))
    assert outcome.report.measures[0].value == pytest.approx(measured["ece"], abs=1e-9)


def test_the_report_says_how_training_went(train: Train) -> None:
    data = {"train": dataset(), "validation": dataset("validation")}
    outcome = train(data=data, num_train_epochs=5.0, learning_rate=1e-9, early_stopping_patience=2)
    facts = outcome.report.facts
    assert (facts["rows"], facts["steps"], facts["best_step"]) == (36, 3, 1)
    assert facts["stopped_early"] is True
    assert facts["resumed_at_step"] is None
    assert outcome.report.bundle == bundle_of(outcome).digest


def test_without_validation_the_report_has_no_measure_and_plots_the_log_alone(train: Train) -> None:
    report = train(max_steps=2, logging_steps=1).report
    assert report.measures == []
    assert set(report.tables) == {"log_loss", "log_learning_rate", "log_gradient_norm", "log_tokens_per_s"}
    assert [row[0] for row in report.tables["log_loss"].rows] == [1, 2]
    assert report.facts["best_step"] == 2


def test_lineage_names_base_data_seed_and_recipe(train: Train, tiny_base: Path) -> None:
    data = {"train": dataset(), "validation": dataset("validation")}
    lineage = bundle_of(train(data=data, max_steps=1, seed=7)).manifest.lineage
    assert lineage.parents == (resolve_base(str(tiny_base)).digest,)
    assert [(record.role, record.rows, record.digest) for record in lineage.data] == [
        (name, 36, split.digest) for name, split in data.items()
    ]
    assert (lineage.stage, lineage.seed, lineage.recipe_digest) == ("finetune", 7, "the recipe")
    assert lineage.recipe["settings"]["max_steps"] == 1


def test_everyone_may_read_the_bundle(train: Train) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in bundle_of(train(max_steps=1)).path.iterdir()}
    assert set(modes.values()) == {0o644}


def test_the_same_seed_gives_the_same_bundle_and_another_one_another(train: Train) -> None:
    digests = [bundle_of(train(max_steps=3, dropout=0.2, seed=seed)).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_trackers_get_the_log_of_a_run(train: Train) -> None:
    folder = bundle_of(train(max_steps=2, report_to=["tensorboard"])).path.parent
    assert list(folder.rglob("events.out.tfevents.*"))


def test_a_loss_that_is_not_finite_leaves_no_bundle(train: Train, tmp_path: Path) -> None:
    with pytest.raises(HoneError) as error:
        train(max_steps=9, learning_rate=1e30, max_grad_norm=None)
    assert error.value.code == "train.loss-not-finite"
    assert not list(tmp_path.glob("stage-*/bundle"))
