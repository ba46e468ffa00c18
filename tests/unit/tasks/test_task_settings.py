"""What a recipe may say about a task, and tasks made from it by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.models.tokenizer import load_tokenizer
from hone.tasks.embedding import SentenceEmbedding
from hone.tasks.make import make_task
from hone.tasks.settings import SentenceEmbeddingSettings, TextClassificationSettings, TokenClassificationSettings
from hone.tasks.table import SETTINGS, TASKS


def test_defaults_are_those_documented() -> None:
    assert TextClassificationSettings().model_dump() == {
        "max_length": None,
        "long_text": "truncate",
        "stride": 64,
        "pooling": "mean",
        "unknown_label": None,
        "max_in_scope_drop": 0.01,
        "labels": None,
        "other_labels": "refuse",
    }
    assert TokenClassificationSettings().model_dump() == {
        "max_length": None,
        "long_text": "window",
        "stride": 64,
        "head": "linear",
        "word_shape": False,
        "context": 0,
        "split": "auto",
    }


@pytest.mark.parametrize(
    ("name", "values", "code", "field"),
    [
        ("text-classification", {"max_length": 7}, "recipe.greater-than-equal", "max_length"),
        ("text-classification", {"max_length": "64"}, "recipe.int-type", "max_length"),
        ("text-classification", {"stride": -1}, "recipe.greater-than-equal", "stride"),
        ("text-classification", {"pooling": "max"}, "recipe.literal-error", "pooling"),
        ("text-classification", {"head": "crf"}, "recipe.unknown-key", "head"),
        ("token-classification", {"context": 7}, "recipe.multiple-of", "context"),
        ("token-classification", {"word_shape": 1}, "recipe.bool-type", "word_shape"),
        ("token-classification", {"long_text": "windows"}, "recipe.literal-error", "long_text"),
    ],
)
def test_what_cannot_be_is_refused_by_field(name: str, values: dict[str, Any], code: str, field: str) -> None:
    settings, faults = check_settings(SETTINGS[name], values)
    assert settings is None
    assert [(fault.code, fault.field) for fault in faults] == [(code, field)]


def test_a_mistyped_value_gets_a_suggestion() -> None:
    _, [fault] = check_settings(TokenClassificationSettings, {"long_text": "windows"})
    assert "window" in fault.fix


@pytest.mark.parametrize("table", [TASKS, SETTINGS])
def test_an_unknown_task_is_refused_with_a_suggestion(table: Any) -> None:
    with pytest.raises(RecipeError) as raised:
        table["text-clasification"]
    assert raised.value.code == "recipe.unknown-task"
    assert "'text-classification'" in raised.value.fix


def test_a_task_takes_its_tokenizer_and_limit_from_the_folder(tiny_base: Path) -> None:
    task = make_task("text-classification", TextClassificationSettings(), labels=("a", "b"), folder=tiny_base)
    assert task.max_tokens == 64
    assert task.tokenizer.digest == load_tokenizer(tiny_base).digest


@pytest.mark.parametrize(
    ("name", "values", "named", "read"),
    [
        ("text-classification", {"max_in_scope_drop": 0.05}, "unknown_label", {"unknown_label": "oos"}),
        ("intent-and-slots", {"max_in_scope_drop": 0.05}, "unknown_label", {"unknown_label": "oos"}),
        ("text-classification", {"other_labels": "drop"}, "labels", {"labels": ["a", "b"]}),
        ("multi-label-classification", {"other_labels": "refuse"}, "labels", {"labels": ["a"]}),
        ("multi-label-classification", {"focal_gamma": 1.0}, "loss focal", {"loss": "focal"}),
        ("sentence-embedding", {"margin": 0.3}, "loss triplet", {"loss": "triplet"}),
        ("sentence-embedding", {"temperature": 0.1, "loss": "cosine"}, "cosent", {"loss": "cosent"}),
        ("sentence-embedding", {"lowest": 1.0}, "loss cosine", {"loss": "cosine"}),
        ("sentence-embedding", {"highest": 1.0}, "loss cosine", {"loss": "cosine"}),
        ("sentence-embedding", {"mined_margin": 0.1}, "negatives mined", {"negatives": "mined"}),
        ("sentence-embedding", {"negatives": "mined", "loss": "cosent"}, "triplet", {"loss": "triplet"}),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(
    name: str, values: dict[str, Any], named: str, read: dict[str, Any]
) -> None:
    settings, [fault] = check_settings(SETTINGS[name], values)
    assert settings is None
    assert f"{named}, which alone reads {next(iter(values))}" in fault.expected
    settings, faults = check_settings(SETTINGS[name], {**values, **read})
    assert faults == []
    assert settings is not None
    decided = settings.model_dump(mode="json")
    assert SETTINGS[name].model_validate(decided).model_dump(mode="json") == decided


def test_scores_that_stand_for_unlike_cosines_differ() -> None:
    _, [fault] = check_settings(SentenceEmbeddingSettings, {"loss": "cosine", "lowest": 1.0, "highest": 1.0})
    assert "apart" in fault.expected
    train = Dataset.from_columns("train", {"score": [1.0, 5.0]})
    with pytest.raises(RecipeError) as raised:
        SentenceEmbedding.settled(SentenceEmbeddingSettings(loss="cosine", lowest=5.0), train)
    assert raised.value.code == "recipe.scale"
