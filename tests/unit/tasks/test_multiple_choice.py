"""``multiple-choice``: a row's choices are read with its question, and the logits are transformers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

from hone.core.errors import DataError
from hone.data.fields import Field
from hone.data.values import RowChecker
from hone.models.export import export_onnx
from hone.models.model import build_model
from hone.predict.given import columns_of
from hone.predict.onnx import OnnxEngine
from hone.tasks.long_text import TextTooLong
from hone.tasks.make import make_task
from hone.tasks.multiple_choice import MultipleChoice
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows, has_types
from hone.tasks.settings import MultipleChoiceSettings

COLUMNS = {
    "question": ["where is the screen", "help"],
    "choices": [["here", "not here", "the password is new"], ["please", "thanks again"]],
    "label": [2, 0],
}


@pytest.fixture
def task(tiny_base: Path) -> Any:
    return make_task("multiple-choice", MultipleChoiceSettings(), labels=("choice",), folder=tiny_base)


def test_transformers_alone_gives_the_same_logits(task: Any, tiny_base: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_base, task.head).eval()
    model.backbone.save_pretrained(tmp_path)  # type: ignore[operator]
    alone = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    rows = Rows(task.encode(COLUMNS, purpose="predict"))
    batch = task.collate(rows, np.arange(2))
    with torch.inference_mode():
        found = task.decode(model(batch), batch)
        for question, choices, scores in zip(COLUMNS["question"], COLUMNS["choices"], found, strict=True):
            pairs = tokenizer([question] * len(choices), choices, padding=True, return_tensors="pt")
            logits = alone(**{name: value.unsqueeze(0) for name, value in pairs.items()}).logits[0]
            assert np.abs(scores - logits.numpy()).max() < 1e-5


def test_the_loss_is_the_cross_entropy_over_each_rows_choices(task: Any) -> None:
    batch = task.collate(Rows(task.encode(COLUMNS, purpose="learn")), np.arange(2))
    logits = torch.randn(5, 1)
    loss = task.loss({"logits": logits}, batch, options=LossOptions())
    parts = [(logits[:3, 0], 2), (logits[3:, 0], 0)]
    expected = sum(float(functional.cross_entropy(part, torch.tensor(label))) for part, label in parts)
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)
    assert loss.weight == 2


def test_a_question_is_tokenized_once_for_all_its_choices(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    encode = type(task.tokenizer).encode

    def counted(self: Any, texts: Any) -> Any:
        read.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(type(task.tokenizer), "encode", counted)
    task.encode({"question": ["where is the screen"], "choices": [["here"] * 500 + ["help"]]}, purpose="predict")
    assert sorted(read) == ["help", "here", "where is the screen"]


def test_an_answer_has_the_best_choice_and_all_chances(task: Any) -> None:
    rows = Rows(task.encode(COLUMNS, purpose="predict"))
    scores = [np.array([0.0, 1.0, 0.0], dtype=np.float32), np.array([3.0, 1.0], dtype=np.float32)]
    one, other = task.join(COLUMNS, rows, scores, constants={})
    assert (one["label"], one["answer"]) == (1, "not here")
    assert (other["label"], other["answer"], len(other["scores"])) == (0, "please", 2)
    assert sum(one["scores"]) == pytest.approx(1.0)
    measured = task.measures(task.tally([one, other], COLUMNS))
    assert measured["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("label", "choices", "kept", "code"),
    [
        (1, ["a", "b"], 1, ""),
        ("b", ["a", "b"], 1, ""),
        ("b", ["b", "b"], 0, ""),
        ("1", ["0", "1", "2"], 1, ""),
        (2, ["a", "b"], None, "data.choice-place"),
        (-1, ["a", "b"], None, "data.choice-place"),
        ("c", ["a", "b"], None, "data.choice-place"),
        (1.0, ["a", "b"], None, "data.choice-kind"),
        (True, ["a", "b"], None, "data.choice-kind"),
        (0, [], None, "data.texts-kind"),
        (0, "a", None, "data.texts-kind"),
    ],
)
def test_the_right_choice_is_a_place_or_a_text(label: Any, choices: Any, kept: int | None, code: str) -> None:
    checker = RowChecker((*MultipleChoice.inputs, Field("label", "choice")), columns={})
    values, faults = checker.check({"question": "q", "choices": choices, "label": label}, file="f", line=2)
    assert [fault.code for fault in faults] == ([code] if code else [])
    if not code:
        assert values["label"] == kept


def test_a_refusal_names_the_example_of_a_long_choice(tiny_base: Path) -> None:
    settings = MultipleChoiceSettings(max_length=8, long_text="refuse")
    task = make_task("multiple-choice", settings, labels=("choice",), folder=tiny_base)
    columns = {
        "question": ["help", "help", "help"],
        "choices": [["here", "not"], ["now", "please"], ["now", "is " * 9, "is " * 12]],
    }
    with pytest.raises(TextTooLong) as caught:
        task.encode(columns, purpose="predict", start=10)
    assert caught.value.examples == [12]
    assert caught.value.lengths[12] >= 13  # of the longest choice, with its question


def test_a_question_without_choices_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        columns_of({"question": "q", "choices": []}, (MultipleChoice.inputs,))
    assert caught.value.code == "data.input-kind"


def test_exported_it_tells_question_and_choice_apart_as_before(task: Any, tiny_base: Path) -> None:
    torch.manual_seed(0)
    model = build_model(tiny_base, task.head, dropout=0.0).eval()
    with torch.no_grad():
        model.embeddings.token_type_embeddings.weight.normal_()  # so that the two kinds of tokens are far apart
    rows = Rows(task.encode(COLUMNS, purpose="predict"))
    batch = task.collate(rows, np.arange(2))
    exported = OnnxEngine(export_onnx(model, types=has_types(task.row_schema)))
    with torch.inference_mode():
        expected = model(batch)["logits"]
    assert torch.allclose(exported.forward(batch)["logits"], expected, atol=1e-5)
