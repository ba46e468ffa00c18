"""Members of an ensemble may differ in how they read and learned, and in nothing that their scores mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.compress.ensemble import _require_alike
from hone.core.errors import RecipeError
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import Predictor, load
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

PAIRS = "text-pair-classification"


def members(
    bundle: Path, base: Path, *settings: dict[str, Any], name: str = "text-classification"
) -> tuple[list[Predictor], list[str]]:
    """Bundles whose tasks have these settings, and their names."""
    opened = load(bundle, device="cpu")
    labels = ("B-X", "I-X", "O") if name == "token-classification" else ("a", "b")
    tasks = [make_task(name, SETTINGS[name].model_validate(one), labels=labels, folder=base) for one in settings]
    return [Predictor(opened.bundle, task, opened.engine) for task in tasks], [f"m{i}" for i in range(len(tasks))]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("text-classification", {"pooling": "mean", "max_length": 16}, {"pooling": "cls", "long_text": "window"}),
        ("text-classification", {"stride": 16}, {"labels": ["a", "b"], "other_labels": "drop"}),
        ("multi-label-classification", {"loss": "bce"}, {"loss": "focal", "focal_gamma": 1.0, "pooling": "cls"}),
        ("text-regression", {"loss": "mse", "center": 0.0, "scale": 1.0},
         {"loss": "mae", "center": 0.0, "scale": 1.0}),
        (PAIRS, {"pooling": "pair"}, {"pooling": "mean"}),
    ],
)  # fmt: skip
def test_those_that_learned_otherwise_go_together(
    name: str, one: dict[str, Any], other: dict[str, Any], text_bundle: Path, tiny_base: Path
) -> None:
    both = members(text_bundle, tiny_base, one, other, name=name)
    _require_alike(*both)
    assert len(both[0]) == 2


@pytest.mark.parametrize(
    ("name", "one", "other", "told"),
    [
        ("text-classification", {}, {"unknown_label": "none"}, "differs from m0 in unknown_label"),
        ("multi-label-classification", {}, {"threshold": 0.3}, "differs from m0 in threshold"),
        ("token-classification", {"head": "crf"}, {"head": "linear"}, "differs from m0 in head"),
        ("text-classification", {}, {"max_length": 16}, "16 tokens and not the 64"),
        (PAIRS, {"pooling": "mean"}, {"pooling": "pair"}, "what they lack (parted)"),
    ],
)
def test_what_sets_members_apart_is_told(
    name: str, one: dict[str, Any], other: dict[str, Any], told: str, text_bundle: Path, tiny_base: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        _require_alike(*members(text_bundle, tiny_base, one, other, name=name))
    (fault,) = caught.value.faults
    assert fault.field == "members.1"
    assert told in fault.found


@pytest.mark.parametrize(
    ("name", "reason"), [("sentence-embedding", "no common axes"), ("text-generation", "token by token")]
)
def test_what_no_mean_stands_for_says_why(
    name: str, reason: str, text_bundle: Path, tiny_base: Path, tmp_path: Path
) -> None:
    base = write_tiny_writer(tmp_path, kind="gpt2") if name == "text-generation" else tiny_base
    with pytest.raises(RecipeError, match=reason):
        _require_alike(*members(text_bundle, base, {}, {}, name=name))


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_said_to_be_of_learning_is_a_setting(name: str) -> None:
    settings = SETTINGS[name]
    assert set(settings.incidental) <= settings.model_fields.keys()
    assert settings.incidental
