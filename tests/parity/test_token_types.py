"""A model over pairs of texts gives transformers' own logits and gradients, on every way through it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
import transformers
from byte_level import VOCABULARY, write_byte_level
from torch import Tensor

from hone.bundle.stage import Run
from hone.compress.int8 import round_weights
from hone.compress.onnx import to_onnx
from hone.compress.settings import Int8Settings, OnnxSettings
from hone.compress.start import Start
from hone.compress.vocabulary import _used
from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.models.export import export_onnx
from hone.models.heads import HeadSpec
from hone.models.model import HEAD_FILE, Model, build_model
from hone.models.tiny import write_tiny_base
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.predict.engine import engine_of
from hone.tasks.rows import ROWS_SCHEMA, SECOND, Batch, IntArray, Rows, rows_of, text_inputs
from hone.tasks.settings import TextSettings

FIRST = ["the card is not here", "a", "", "i want my money back please", "naïve 我在家"]
SECOND_TEXTS = ["where is my card", "reset the password and the account please", "no", "", "b"]
LABELS = ("no", "perhaps", "yes")
HEADS = {"cls": HeadSpec("sequence-cls", LABELS), "mean": HeadSpec("sequence-mean", LABELS)}
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 40, "max_position_embeddings": 130, "pad_token_id": 1, "type_vocab_size": 1}  # fmt: skip
FAMILIES = {"bert": True, "roberta": False, "distilbert": False}  # whether the base tells token types apart


def base(folder: Path, family: str) -> Path:
    """A random classifier with weights large enough for every part to count, and a tokenizer that fits it."""
    torch.manual_seed(3)
    if family == "roberta":
        write_byte_level(folder)
        config = transformers.RobertaConfig(**SIZES)
    else:
        write_tiny_base(folder, width=24)
        config = transformers.AutoConfig.from_pretrained(folder)
    if family == "distilbert":  # under a BERT tokenizer
        config = transformers.DistilBertConfig(vocab_size=config.vocab_size, dim=24, n_layers=2, n_heads=4,
                                               hidden_dim=40, max_position_embeddings=64)  # fmt: skip
    config.num_labels = len(LABELS)
    made = transformers.AutoModelForSequenceClassification.from_config(config)
    for parameter in made.parameters():
        if parameter.ndim > 1:  # norms stay: rows would come out alike
            torch.nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: base(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


def model_of(folder: Path, head: str = "cls", *, dropout: float = 0.0) -> Model:
    torch.manual_seed(5)
    model = build_model(folder, HEADS[head], dropout=dropout, head_from=folder / HEAD_FILE if head == "cls" else None)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


class Pairs:
    """As much of a task over pairs as the stages below need."""

    says = "one"
    settings = TextSettings()
    inputs = (Field("text", "text"), Field("other", "text"))

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.row_schema = {**ROWS_SCHEMA, **({SECOND: pa.int64()} if tokenizer.types else {})}

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        return (Shape(cls.inputs, ()),)

    def encode(self, columns: Any, *, purpose: str = "predict", start: int = 0) -> pa.RecordBatch:
        given, out = self.tokenizer, {name: [] for name in self.row_schema}  # type: dict[str, list[Any]]
        assert given.middle is not None
        pairs = zip(given.encode(columns["text"]), given.encode(columns["other"]), strict=True)
        for i, (a, b) in enumerate(pairs):
            before = [*given.prefix, *a, *given.middle]
            ids = [*before, *b, *given.suffix]
            row = {"example": i, "truncated": False, "text_tokens": len(ids), "input_ids": ids, SECOND: len(before)}
            for name, values in out.items():
                values.append(row[name])
        return rows_of(out, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        return text_inputs(rows, index, pad_id=self.tokenizer.pad_id)


def batch_of(folder: Path, index: list[int] | None = None) -> Batch:
    task = Pairs(load_tokenizer(folder))
    rows = Rows(task.encode({"text": FIRST, "other": SECOND_TEXTS}))
    return task.collate(rows, np.arange(len(rows)) if index is None else np.array(index))


def theirs_of(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """transformers' own model, without dropout, and encoding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout",
                 "classifier_dropout", "seq_classif_dropout"):  # fmt: skip
        setattr(config, name, 0.0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, config=config).eval()
    encoding = dict(tokenizer(FIRST, SECOND_TEXTS, padding=True, return_tensors="pt"))
    if config.model_type == "distilbert":
        del encoding["token_type_ids"]
    return model, encoding


def untyped(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name != "token_type_ids"}


def logits(model: Model, batch: Batch) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(batch)["logits"].clone()
    return found


def apart(found: Tensor, expected: Tensor) -> float:
    """Root of the mean squared difference."""
    return float((found - expected).square().mean().sqrt())


def gradients(model: Any, scores: Tensor) -> dict[str, Tensor]:
    weighing = torch.randn(scores.shape, generator=torch.Generator().manual_seed(6))
    (scores * weighing).sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_and_logits_are_those_of_transformers(bases: dict[str, Path], family: str) -> None:
    theirs, encoding = theirs_of(bases[family])
    model, batch = model_of(bases[family]), batch_of(bases[family])
    assert ("token_type_ids" in batch) == (family != "roberta")
    assert all(torch.equal(batch[name], value) for name, value in encoding.items())
    with torch.inference_mode():
        expected = theirs(**encoding).logits
    torch.testing.assert_close(logits(model, batch), expected, rtol=0, atol=1e-5)
    with model.module_by_module():
        torch.testing.assert_close(logits(model, batch), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_transformers(bases: dict[str, Path], family: str) -> None:
    theirs, encoding = theirs_of(bases[family])
    expected = gradients(theirs, theirs.train()(**encoding).logits)
    model = model_of(bases[family]).train()
    found = gradients(model.backbone, model(batch_of(bases[family]))["logits"])
    assert found.keys() == expected.keys()
    assert any("token_type" in name for name in found) == (family != "distilbert")
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_a_pair_alone_is_answered_as_in_a_batch(bases: dict[str, Path], family: str, head: str) -> None:
    model = model_of(bases[family], head)
    together = logits(model, batch_of(bases[family]))
    for i in range(len(FIRST)):
        alone = logits(model, batch_of(bases[family], [i]))
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("way", ["own", "packed", "module by module"])
def test_types_count_on_every_way_where_the_base_tells_them_apart(
    bases: dict[str, Path], family: str, head: str, way: str
) -> None:
    model, batch = model_of(bases[family], head), batch_of(bases[family])
    batch.setdefault("token_type_ids", torch.ones_like(batch["input_ids"]))  # a RoBERTa under a BERT tokenizer
    expected, without = logits(model, batch), logits(model, untyped(batch))
    assert ((expected - without).abs().amax(1) > 0.01).tolist() == [FAMILIES[family]] * len(FIRST)
    if way == "module by module":
        with model.module_by_module():
            found = logits(model, batch)
    else:
        if model.encoder is not None and way == "packed":
            model.encoder.kernel = "block-mask"
        found = logits(model.fix(), batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("family", "head"), [("bert", "mean"), ("roberta", "cls")])  # an export takes seconds
def test_the_graph_takes_types_where_the_base_tells_them_apart(bases: dict[str, Path], family: str, head: str) -> None:
    model, batch = model_of(bases[family], head), batch_of(bases[family])
    exported = export_onnx(model, types=True)
    inputs = [value.name for value in onnx.load_from_string(exported.graph).graph.input]
    assert inputs == ["input_ids", "attention_mask", *(["token_type_ids"] if FAMILIES[family] else [])]
    engine = engine_of(exported)
    for index in (None, [3], [2, 0]):
        some = batch if index is None else batch_of(bases[family], index)
        torch.testing.assert_close(engine.forward(some)["logits"], logits(model, some), rtol=0, atol=1e-5)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_see_types(bases: dict[str, Path], frozen: int) -> None:
    model, batch = model_of(bases["bert"], dropout=0.0), batch_of(bases["bert"])
    expected = logits(model, batch)
    model.freeze(frozen)
    lower = model.lower_states(batch)
    torch.testing.assert_close(logits(model, {**batch, "lower_states": lower}), expected, rtol=0, atol=1e-5)
    blind = model.lower_states(untyped(batch))
    assert not torch.allclose(logits(model, {**batch, "lower_states": blind}), expected, atol=0.01)


def start(folder: Path, tmp_path: Path, head: str = "cls") -> Start:
    """A model of pairs opened for a compression method; the second texts are other than the first."""
    run = Run(seed=1, device="cpu", folder=tmp_path / "run", target=tmp_path / "new", cache=tmp_path / "cache")
    data = {"train": Dataset.from_columns("train", {"text": FIRST, "other": SECOND_TEXTS})}
    bundle: Any = SimpleNamespace(path=folder)
    task: Any = Pairs(load_tokenizer(folder))
    return Start(bundle, model_of(folder, head), task, data, run)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activations", ["dynamic", "static"])
def test_rounded_models_take_pairs(bases: dict[str, Path], tmp_path: Path, family: str, activations: str) -> None:
    given, batch = start(bases[family], tmp_path), batch_of(bases[family])
    expected = logits(given.model, batch)
    made = round_weights(Int8Settings.model_validate({"activations": activations}), given)
    assert isinstance(made.model, Model)
    found = logits(made.model.fix(), batch)
    assert 0 < apart(found, expected) < 0.25 * float(expected.std())
    if FAMILIES[family]:
        assert apart(logits(made.model, untyped(batch)), expected) > 2 * apart(found, expected)


@pytest.mark.parametrize(("family", "precision"), [("bert", "int8"), ("distilbert", "float32")])
def test_the_method_onnx_takes_pairs(bases: dict[str, Path], tmp_path: Path, family: str, precision: str) -> None:
    settings = {"precision": precision, **({"activations": "static"} if precision == "int8" else {})}
    given, batch = start(bases[family], tmp_path), batch_of(bases[family])
    expected = logits(given.model, batch)
    made = to_onnx(OnnxSettings.model_validate(settings), given)
    found = engine_of(made.model).forward(batch)["logits"]
    assert apart(found, expected) < (1e-5 if precision == "float32" else 0.25 * float(expected.std()))
    if FAMILIES[family]:
        none = {**batch, "token_type_ids": torch.zeros_like(batch["input_ids"])}
        assert apart(engine_of(made.model).forward(none)["logits"], expected) > 2 * apart(found, expected)


def test_a_task_of_single_texts_has_no_types_in_its_graph(bases: dict[str, Path], tmp_path: Path) -> None:
    given = start(bases["bert"], tmp_path)
    given.task.row_schema.pop(SECOND)
    made: Any = to_onnx(OnnxSettings.model_validate({"precision": "float32"}), given).model
    names = [value.name for value in onnx.load_from_string(made.graph).graph.input]
    assert names == ["input_ids", "attention_mask"]


def test_tokens_of_both_texts_and_of_what_is_between_them_are_used(bases: dict[str, Path], tmp_path: Path) -> None:
    given = start(bases["bert"], tmp_path)
    tokenizer = given.task.tokenizer
    tokenizer.middle = [7]
    texts = {i for ids in tokenizer.encode([*FIRST, *SECOND_TEXTS]) for i in ids}
    assert _used(given) == texts | {*tokenizer.prefix, 7, *tokenizer.suffix}


def test_what_is_saved_tells_types_apart_too(bases: dict[str, Path], tmp_path: Path) -> None:
    copy, batch = shutil.copytree(bases["bert"], tmp_path / "copy"), batch_of(bases["bert"])
    load_tokenizer(bases["bert"]).save(copy)
    again = transformers.AutoTokenizer.from_pretrained(copy)(FIRST, SECOND_TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(again["token_type_ids"], batch["token_type_ids"])
