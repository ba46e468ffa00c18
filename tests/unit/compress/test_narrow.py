"""Narrow students: nothing is lost where nothing was there, the start beats chance, bundles open anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers

import hone
from hone.compress.narrow import narrowed
from hone.core.errors import RecipeError
from hone.data.dataset import Dataset
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_base
from hone.predict.predictor import load
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.settings import (
    IntentAndSlotsSettings,
    RelationSettings,
    TextClassificationSettings,
    TokenClassificationSettings,
)

TEXTS = [
    "i want my money back",
    "reset the password please",
    "the screen is broken",
    "printer broken again now",
    "help",
]
LABELS = ("broken", "password", "refund")
TASKS: dict[str, tuple[str, Any]] = {
    "mean": ("text-classification", TextClassificationSettings(pooling="mean")),
    "cls": ("text-classification", TextClassificationSettings(pooling="cls")),
    "tags": ("token-classification", TokenClassificationSettings(split="words")),
    "shapes": ("token-classification", TokenClassificationSettings(split="words", word_shape=True, head="crf")),
    "context": ("token-classification", TokenClassificationSettings(split="words", word_shape=True, context=8)),
    "markers": ("relation-extraction", RelationSettings()),
    "slots": ("intent-and-slots", IntentAndSlotsSettings(split="words", slots=["X"], word_shape=True)),
}
WIDTH, INNER = 16, 40  # of 32 and 64; two of four heads


def built(kind: str, folder: Path) -> tuple[Model, Task, Any]:
    """A random model whose weights all count, its task, and rows of it."""
    base = write_tiny_base(folder / "base", layers=2)
    name, settings = TASKS[kind]
    tags = ("B-X", "I-X", "O")
    task = make_task(name, settings, labels=tags if name == "token-classification" else LABELS, folder=base)
    torch.manual_seed(1)
    model = build_model(base, task.head, dropout=0.0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    columns: dict[str, list[Any]] = {"text": TEXTS, "label": [LABELS[i % 3] for i in range(5)]}
    if name == "relation-extraction":
        columns |= {"head": [{"start": 0, "end": 1}] * 5, "tail": [{"start": 2, "end": 4}] * 5}
    if name in ("token-classification", "intent-and-slots"):
        words = [text.split() for text in TEXTS]
        columns |= {"tokens": words, "tags": [["O"] * len(each) for each in words]}
    return model.eval(), task, encoded(task, Dataset.from_columns("train", columns), cache=folder / "cache")


def hide(model: Model, *, width: int, inner: int) -> None:
    """Make ``model`` one whose states lie in ``width - 1`` directions, none of them along (1, ..., 1), and of which
    half of the heads and all but ``inner`` units do nothing but add a constant."""
    wide = 32
    generator = torch.Generator().manual_seed(7)
    drawn = torch.cat([torch.ones(wide, 1), torch.randn(wide, width - 1, generator=generator)], dim=1)
    span = torch.linalg.qr(drawn).Q[:, 1:]
    project = span @ span.T
    encoder = model.encoder
    assert encoder is not None
    embeddings = model.embeddings
    norms = [embeddings.LayerNorm]
    with torch.no_grad():
        for table in (embeddings.word_embeddings, embeddings.position_embeddings, embeddings.token_type_embeddings):
            table.weight.copy_(table.weight @ project)
        for layer in cast(Any, encoder.layer):
            layer.attention.self.value.weight[8:24] = 0.0  # the second and the third head
            layer.intermediate.dense.weight[torch.arange(64) % 8 >= inner // 8] = 0.0
            for linear in (layer.attention.output.dense, layer.output.dense):
                linear.weight.copy_(project @ linear.weight)
                linear.bias.copy_(project @ linear.bias)
            norms += [layer.attention.output.LayerNorm, layer.output.LayerNorm]
        for i, norm in enumerate(norms):
            norm.weight.fill_(0.5 + 0.1 * i)
            norm.bias.copy_(project @ norm.bias)


@pytest.mark.parametrize("kind", ["mean", "tags", "shapes", "context", "markers", "slots"])
def test_what_lies_in_fewer_directions_heads_and_units_is_narrowed_without_loss(kind: str, tmp_path: Path) -> None:
    model, task, rows = built(kind, tmp_path)
    hide(model, width=WIDTH, inner=INNER)
    made = narrowed(model, task, rows, width=WIDTH, inner=INNER)
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.no_grad():
        wanted, found = model(batch)["logits"], made.model(batch)["logits"]
    config: Any = made.model.backbone.config
    assert (config.hidden_size, config.intermediate_size, config.num_attention_heads) == (WIDTH, INNER, 2)
    assert float(wanted.std()) > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_shift_and_basis_bring_the_states_back(tmp_path: Path) -> None:
    model, task, rows = built("mean", tmp_path)
    hide(model, width=WIDTH, inner=INNER)
    made = narrowed(model, task, rows, width=WIDTH, inner=INNER)
    batch = task.collate(rows, np.arange(len(rows)))
    states = []
    for each in (model, made.model):
        assert each.encoder is not None
        each.encoder.collect()
        with torch.no_grad():
            each(batch)
        assert each.encoder.collected is not None
        states.append(each.encoder.collected)
    for wide, narrow in zip(*states, strict=True):
        torch.testing.assert_close(narrow @ made.basis.T + made.shift, wide, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", TASKS)
def test_units_that_do_nothing_are_dropped_without_loss_at_the_same_width(kind: str, tmp_path: Path) -> None:
    model, task, rows = built(kind, tmp_path)
    with torch.no_grad():
        for layer in cast(Any, model.encoder).layer:
            layer.intermediate.dense.weight[40:] = 0.0
    made = narrowed(model, task, rows, width=32, inner=INNER)
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.no_grad():
        torch.testing.assert_close(made.model(batch)["logits"], model(batch)["logits"], rtol=1e-4, atol=1e-4)


def test_an_own_head_of_two_layers_keeps_the_units_that_say_most(tmp_path: Path) -> None:
    model, task, rows = built("cls", tmp_path)
    hide(model, width=WIDTH, inner=INNER)
    backbone: Any = model.backbone
    with torch.no_grad():
        backbone.bert.pooler.dense.weight[::2] = 0.0
    made = narrowed(model, task, rows, width=WIDTH, inner=INNER)
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.no_grad():
        torch.testing.assert_close(made.model(batch)["logits"], model(batch)["logits"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_other_families_are_narrowed_too(family: str, tmp_path: Path) -> None:
    _, task, rows = built("cls", tmp_path)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=400, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        num_labels=3, pad_token_id=0, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(2)
    backbone: Any = transformers.AutoModelForSequenceClassification.from_config(config)
    backbone.save_pretrained(tmp_path / family)
    model = build_model(tmp_path / family, HeadSpec("sequence-cls", LABELS), dropout=0.0).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    hide(model, width=WIDTH, inner=INNER)
    with torch.no_grad():
        cast(Any, model.backbone).classifier.dense.weight[::2] = 0.0
    made = narrowed(model, task, rows, width=WIDTH, inner=INNER)
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.no_grad():
        torch.testing.assert_close(made.model(batch)["logits"], model(batch)["logits"], rtol=1e-3, atol=1e-3)


def recipe(texts: dict[str, Path], base: Path, **method: Any) -> dict[str, Any]:
    return {
        "version": 1, "task": "text-classification", "base": str(base),
        "data": {"train": str(texts["train"]), "test": str(texts["test"])},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 8, "learning_rate": 5e-3, "save_steps": None},
            {"kind": "compress", "method": {"name": "distill", "learning_rate": 5e-3, **method}}, "evaluate",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_a_narrow_bundle_opens_in_transformers_too(
    hidden: float, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    method = {"layers": 1, "width": 16, "inner": 24, "hidden": hidden, "attention": hidden, "num_train_epochs": 6}
    values = recipe(texts, tiny_base, **method)
    values["task"] = {"name": "text-classification", "pooling": "cls"}
    result = hone.run(values, out=tmp_path / "run")
    assert result.bundle is not None
    folder = result.bundle.path
    config = transformers.AutoConfig.from_pretrained(folder)
    sizes = (config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.num_attention_heads)
    assert sizes == (16, 24, 1, 2)
    assert result.bundle.manifest.plain.gives == "logits"
    facts = result.reports["compress"].facts
    assert (facts["width"], facts["inner"]) == (16, 24)
    ours = load(folder, device="cpu")
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        theirs = torch.softmax(plain(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits, dim=1)
    for answer, row in zip(ours.predict(TEXTS), theirs.tolist(), strict=True):
        assert list(answer["scores"].values()) == pytest.approx(row, abs=1e-5)


def test_the_projected_start_beats_a_random_one_after_as_many_steps(
    texts: dict[str, Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hone.compress import student

    def anew(*given: Any, **options: Any) -> Any:
        made = narrowed(*given, **options)
        backbone: Any = made.model.backbone
        with torch.no_grad():
            for parameter in (*backbone.parameters(), *made.model.head.parameters()):
                if parameter.ndim > 1:
                    parameter.normal_(std=0.02)
        return made

    rights = {}
    for name, start in (("projected", narrowed), ("random", anew)):
        monkeypatch.setattr(student, "narrowed", start)
        method = {"layers": 2, "width": 24, "num_train_epochs": 2, "learning_rate": 1e-3}
        result = hone.run(recipe(texts, tiny_base, **method), out=tmp_path / name)
        accuracy = next(measure for measure in result.reports["evaluate"].measures if measure.name == "accuracy")
        assert accuracy.value is not None
        rights[name] = accuracy.value
    assert rights["projected"] > rights["random"] + 0.1


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"layers": 2, "width": 20}, "a multiple of 8"),
        ({"layers": 2, "width": 40}, "up to 32"),
        ({"layers": 2, "inner": 65}, "at most 64"),
        ({"layers": 2, "inner": 64}, "at most 1"),
        ({"layers": 0, "hidden": 1.0}, "left out"),
    ],
)
def test_what_cannot_be_narrowed_is_told(
    method: dict[str, Any], words: str, texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    values = recipe(texts, tiny_base, **method)
    values["stages"][0]["max_steps"] = 1
    with pytest.raises(RecipeError) as caught:
        hone.run(values, out=tmp_path / "run")
    assert words in str(caught.value)
