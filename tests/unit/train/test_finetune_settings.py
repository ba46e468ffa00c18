"""Settings of finetune: what does not fit together is refused, named and all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hone.core.settings import check_settings
from hone.train.pretrain_settings import PretrainSettings
from hone.train.settings import FINETUNE, FinetuneSettings, LoopSettings


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"eval_strategy": "steps"}, "eval_steps"),
        ({"eval_steps": 5}, "eval_strategy"),
        ({"eval_strategy": "no", "eval_steps": 5}, "eval_strategy"),
        ({"eval_strategy": "no", "early_stopping_patience": 2}, "eval_strategy"),
        ({"eval_strategy": "no", "metric_for_best_model": "macro_f1"}, "eval_strategy"),
        ({"optim": "adafactor", "adam_beta2": 0.95}, "adam_beta2"),
        ({"optim": "adafactor", "adam_beta1": 0.8, "adam_epsilon": 1e-6}, "adam_beta1, adam_epsilon"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any], named: str) -> None:
    settings, [fault] = check_settings(FinetuneSettings, values, at="stages.0")
    assert settings is None
    assert fault.code == "recipe.value-error"
    assert fault.field == "stages.0"
    assert named in fault.expected


@pytest.mark.parametrize(("epochs", "steps"), [(1.1, 110), (1.101, 111), (2.2, 220), (0.001, 1), (3.0, 300)])
def test_a_number_of_epochs_is_taken_at_its_word(epochs: float, steps: int) -> None:
    settings = LoopSettings(num_train_epochs=epochs, per_device_train_batch_size=1)
    assert settings.steps(np.ones(100, dtype=np.int64)) == (100, steps)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_train_epochs", 0),
        ("num_train_epochs", float("inf")),
        ("max_steps", 0),
        ("max_steps", 1.5),
        ("per_device_train_batch_size", 0),
        ("gradient_accumulation_steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", "3e-4"),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("head_learning_rate", -1e-3),
        ("weight_decay", -0.1),
        ("weight_decay", float("inf")),
        ("adam_beta1", 1.0),
        ("warmup_ratio", 1.0),
        ("label_smoothing_factor", 1.0),
        ("dropout", 1.0),
        ("max_grad_norm", 0.0),
        ("early_stopping_patience", 0),
        ("eval_strategy", False),
        ("mixed_precision", "fp8"),
        ("keep", "first"),
        ("method", "lroa"),
        ("report_to", ["comet"]),
    ],
)
def test_a_value_out_of_range_is_refused_under_its_key(key: str, value: object) -> None:
    settings, [fault] = check_settings(FinetuneSettings, {key: value}, at="stages.0")
    assert settings is None
    assert fault.field.startswith(f"stages.0.{key}")


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_class_weight_is_above_zero_and_finite(weight: float) -> None:
    settings, faults = check_settings(FinetuneSettings, {"class_weights": {"refund": weight}})
    assert settings is None
    assert any("refund" in fault.field for fault in faults)


def test_every_fault_is_told_at_once() -> None:
    _, faults = check_settings(FinetuneSettings, {"learning_rate": 0.0, "max_steps": 0, "epochs": 3})
    assert sorted(fault.field for fault in faults) == ["epochs", "learning_rate", "max_steps"]


def test_whole_numbers_do_where_a_real_one_is_asked_for() -> None:
    settings, faults = check_settings(FinetuneSettings, {"num_train_epochs": 2, "class_weights": {"a": 2}})
    assert faults == []
    assert settings is not None
    assert settings.num_train_epochs == 2.0


def test_finetune_changes_the_model_and_never_reads_test() -> None:
    assert FINETUNE.changes == "model"
    assert FINETUNE.reads == ("train", "validation")


@pytest.mark.parametrize("kind", [FinetuneSettings, PretrainSettings])
def test_a_recipe_as_it_was_decided_is_read_again(kind: type[LoopSettings]) -> None:
    decided = kind.model_validate({"optim": "adafactor"}).model_dump(mode="json")
    assert kind.model_validate(decided).model_dump(mode="json") == decided


def test_text_beside_the_rows_is_learned_by_an_objective_at_least() -> None:
    _, [fault] = check_settings(FinetuneSettings, {"joint": {"objective": []}})
    assert (fault.field, fault.expected) == ("joint.objective", "at least one objective")
