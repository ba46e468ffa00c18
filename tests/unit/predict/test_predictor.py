"""A predictor answers in order, from any thread, whatever the batches."""

from __future__ import annotations

import itertools
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import hone
from hone.bundle.bundle import MANIFEST, Bundle, write_bundle
from hone.bundle.manifest import Manifest
from hone.core.errors import BundleError, DataError, DeviceError, RecipeError
from hone.predict import batching
from hone.predict import predictor as module
from hone.predict.batching import budgeted
from hone.predict.device import pick_device, pick_precision
from hone.predict.engine import TorchEngine
from hone.predict.formats import Precision
from hone.predict.predictor import Predictor, load, open_bundle
from hone.tasks.make import make_task
from hone.tasks.settings import TextClassificationSettings

MIXED = [
    "refund please",
    "",
    "forgot my password " * 9,
    "broken",
    "的一是",
    "\u200b",
    "long " * 300,
    "screen\nbroken\t!",
]


@pytest.fixture(scope="module")
def classify(text_bundle: Path) -> Predictor:
    return load(text_bundle, device="cpu")


@pytest.fixture(scope="module")
def tag(tag_bundle: Path) -> Predictor:
    return load(str(tag_bundle), device="cpu")


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Equal but for the last digits of scores."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [rounded(inner) for inner in value]
        return round(value, 4) if isinstance(value, float) else value

    return bool(rounded(one) == rounded(other))


def test_a_prediction_has_the_shape_of_its_task(classify: Predictor) -> None:
    [answer] = classify.predict("forgot my password")
    assert list(answer) == ["label", "score", "scores", "truncated"]
    assert answer["label"] == "password"
    assert answer["score"] == max(answer["scores"].values())
    assert sum(answer["scores"].values()) == pytest.approx(1)
    assert set(answer["scores"]) == {"broken", "password", "refund"}
    assert answer["truncated"] is False


def test_predictions_are_plain_json(classify: Predictor, tag: Predictor) -> None:
    for answers in (classify.predict("refund"), tag.predict("Ada is in paris")):
        assert json.loads(json.dumps(answers, allow_nan=False)) == answers


def test_no_inputs_get_no_answers(classify: Predictor, tag: Predictor) -> None:
    assert classify.predict([]) == []
    assert tag.predict([]) == []


def test_every_form_of_the_same_texts_gets_the_same_answers(classify: Predictor) -> None:
    expected = classify.predict(MIXED)
    assert classify.predict(pd.Series(MIXED)) == expected
    assert classify.predict(pd.DataFrame({"text": MIXED})) == expected
    assert classify.predict([{"text": text} for text in MIXED]) == expected
    assert classify.predict({"text": MIXED[0]}) == classify.predict(MIXED[0])


def test_answers_come_in_the_order_of_the_inputs(classify: Predictor) -> None:
    together = classify.predict(MIXED)
    assert same(together, [classify.predict(text)[0] for text in MIXED])
    assert same(classify.predict(MIXED[::-1]), together[::-1])


def test_a_text_that_was_cut_says_so(classify: Predictor) -> None:
    assert [answer["truncated"] for answer in classify.predict(MIXED)] == [text.startswith("long") for text in MIXED]


def test_many_examples_are_answered_in_parts(classify: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = classify.predict(MIXED)
    monkeypatch.setattr(module, "EXAMPLES_AT_ONCE", 3)
    assert same(classify.predict(MIXED), expected)


def test_a_stream_answers_part_by_part(classify: Predictor) -> None:
    read = []

    def parts() -> Any:
        for text in ("refund", "password"):
            read.append(text)
            yield {"text": [text]}

    stream = classify.stream(parts())
    assert len(next(stream)) == 1
    assert read == ["refund"]
    assert [answer["label"] for answers in stream for answer in answers] == ["password"]


def test_many_threads_get_the_answers_of_one(classify: Predictor, tag: Predictor) -> None:
    texts = [f"{text}{'!' * i}" for i, text in enumerate(MIXED)]
    alone = [classify.predict(text) for text in texts], [tag.predict(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for predictor, expected in zip((classify, tag), alone, strict=True):
            assert list(pool.map(predictor.predict, texts * 3)) == expected * 3


def test_entities_are_the_same_by_text_and_by_tokens(tag: Predictor) -> None:
    words = ["Ada", "is", "in", "paris", "."]
    [by_text], [by_tokens] = tag.predict(" ".join(words)), tag.predict([words])
    assert by_text["entities"] == by_tokens["entities"]
    assert by_tokens["tags"] == ["B-PER", "O", "O", "B-LOC", "O"]
    assert [(e["label"], e["start"], e["end"], e["text"]) for e in by_text["entities"]] == [
        ("PER", 0, 3, "Ada"),
        ("LOC", 10, 15, "paris"),
    ]


def test_tagging_takes_objects_and_empty_inputs(tag: Predictor) -> None:
    by_object = tag.predict([{"tokens": ["Ada", "is"]}, {"tokens": []}])
    assert by_object == tag.predict([["Ada", "is"], []])
    assert by_object[1] == {"entities": [], "truncated": False, "tags": []}
    assert tag.predict("") == [{"entities": [], "truncated": False}]


@pytest.mark.parametrize("inputs", [None, 5, [1], ["a", None], [["a"]]])
def test_inputs_of_the_wrong_kind_are_refused(classify: Predictor, inputs: Any) -> None:
    with pytest.raises(DataError) as caught:
        classify.predict(inputs)
    assert caught.value.code == "data.input-kind"


def test_batches_hold_as_many_tokens_as_they_may_longest_first() -> None:
    lengths = np.array([3, 50, 7, 7, 1, 12, 90, 2], dtype=np.int64)
    batches = list(budgeted(lengths, tokens=24))
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    ordered = [int(lengths[i]) for batch in batches for i in batch]
    assert ordered == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * lengths[batch].max() <= 24 for batch in batches)
    assert [batch.tolist() for batch in batches] == [[6], [1], [5], [2, 3], [0, 7, 4]]


def test_batches_end_where_the_length_does_unless_they_would_be_small() -> None:
    lengths = np.array([8] * 5 + [7] * 2 + [6] * 2 + [5] * 1, dtype=np.int64)
    sizes = [lengths[batch].tolist() for batch in budgeted(lengths, tokens=32)]
    assert sizes == [[8, 8, 8, 8], [8, 7, 7, 6], [6, 5]]
    assert [len(batch) for batch in budgeted(lengths, tokens=64)] == [5, 5]
    assert [len(batch) for batch in budgeted(lengths, tokens=16)] == [2, 2, 1, 2, 2, 1]


def test_rows_without_tokens_still_come_in_batches() -> None:
    assert [batch.tolist() for batch in budgeted(np.zeros(3, dtype=np.int64), tokens=2)] == [[0, 1], [2]]
    assert list(budgeted(np.zeros(0, dtype=np.int64))) == []


def test_small_batches_give_the_answers_of_large_ones(classify: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = classify.predict(MIXED)
    monkeypatch.setattr(batching.budgeted, "__kwdefaults__", {"tokens": 1})
    assert same(classify.predict(MIXED), expected)


def test_what_is_finished_is_told(classify: Predictor) -> None:
    from hone.tasks.rows import Rows

    rows = Rows(classify.task.encode({"text": MIXED}, purpose="predict"))
    done: list[int] = []
    batching.score_rows(classify.task, classify.engine, rows, done=done.append)
    assert sum(done) == len(MIXED)


def test_auto_takes_the_best_device_there_is() -> None:
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert pick_device("auto").type == expected
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize("name", ["tpu", "", "cuda:99"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(text_bundle: Path, name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load(text_bundle, device=name)
    assert caught.value.code == "device.missing"
    assert repr(name) in str(caught.value)
    assert "cpu" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(DeviceError) as caught:
        pick_device("cuda")
    assert caught.value.exit_code == 2


def test_the_precision_is_float32_unless_told(classify: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = classify.engine
    assert isinstance(engine, TorchEngine)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: pytest.fail("autocast"))
    batch = {"input_ids": torch.tensor([[2, 9, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.int64)}
    assert {value.dtype for value in engine.forward(batch).values()} == {torch.float32}
    assert pick_precision("float32", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("of", ["text_bundle", "onnx_bundle"])
def test_half_precision_is_refused_where_there_is_no_gpu(
    of: str, precision: Precision, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(DeviceError) as caught:
        load(request.getfixturevalue(of), device="cpu", precision=precision)
    assert caught.value.code == "device.precision"
    assert "a CUDA GPU" in str(caught.value)


def test_an_unknown_precision_is_told_with_those_that_there_are(text_bundle: Path) -> None:
    with pytest.raises(DeviceError, match="float32, bf16, fp16"):
        load(text_bundle, precision="int4")  # type: ignore[arg-type]


def test_a_gpu_has_half_precision_but_an_older_one_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old card")
    assert pick_precision("fp16", gpu) == torch.float16
    with pytest.raises(DeviceError, match="an old card"):
        pick_precision("bf16", gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert pick_precision("bf16", gpu) == torch.bfloat16


def test_padding_is_not_computed_where_rows_are_packed(text_bundle: Path) -> None:
    engine = load(text_bundle, device="cpu").engine
    assert isinstance(engine, TorchEngine)
    assert engine.model.encoder is not None
    assert not engine.computes_padding
    engine.model.double()  # no way of its own in this type
    assert engine.computes_padding
    engine.model.encoder.kernel = "block-mask"
    assert not engine.computes_padding


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("of", ["text_bundle", "tag_bundle"])
def test_answers_in_half_precision_are_near_those_in_float32(of: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(of)
    ours, theirs = (load(path, device="cuda", precision=each).predict(MIXED) for each in ("fp16", "float32"))
    assert json.loads(json.dumps(ours)) == ours
    if of == "text_bundle":
        assert [a["score"] for a in ours] == pytest.approx([a["score"] for a in theirs], abs=0.02)


def remade(source: Path, target: Path, **update: Any) -> Bundle:
    """The bundle ``source`` with another manifest, whole and well digested."""

    def build(folder: Path) -> Manifest:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, "attachments"))
        return Bundle.open(source).manifest.model_copy(update=update)

    return write_bundle(target, build=build)


def test_a_base_without_a_task_is_refused(text_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(remade(text_bundle, tmp_path / "base", task=None))
    assert caught.value.code == "bundle.no-task"
    assert str(tmp_path / "base") in str(caught.value)


def test_a_task_that_is_not_known_is_refused(text_bundle: Path, tmp_path: Path) -> None:
    record = Bundle.open(text_bundle).manifest.task
    assert record is not None
    bundle = remade(text_bundle, tmp_path / "b", task=record.model_copy(update={"name": "mind-reading"}))
    with pytest.raises(RecipeError) as caught:
        load(bundle.path)
    assert caught.value.code == "recipe.unknown-task"
    assert "mind-reading" in str(caught.value)


def test_task_settings_that_cannot_be_used_are_refused(text_bundle: Path, tmp_path: Path) -> None:
    record = Bundle.open(text_bundle).manifest.task
    assert record is not None
    bundle = remade(text_bundle, tmp_path / "b", task=record.model_copy(update={"settings": {"pooling": "max"}}))
    with pytest.raises(BundleError) as caught:
        load(bundle.path)
    assert caught.value.code == "bundle.manifest"
    assert "pooling" in str(caught.value)


def test_a_damaged_bundle_is_not_opened(text_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(text_bundle, tmp_path / "b")
    (tmp_path / "b" / "head.safetensors").write_bytes(b"x")
    with pytest.raises(BundleError) as caught:
        hone.load(tmp_path / "b")
    assert caught.value.code == "bundle.damaged"


def test_a_head_of_other_labels_is_told(text_bundle: Path, tmp_path: Path) -> None:
    record = Bundle.open(text_bundle).manifest.task
    assert record is not None
    bundle = remade(text_bundle, tmp_path / "b", task=record.model_copy(update={"labels": ("one", "two")}))
    with pytest.raises(BundleError) as caught:
        load(bundle.path)
    assert caught.value.code == "bundle.head"


def test_a_refused_text_of_a_stream_is_named_by_its_row_in_the_stream(classify: Predictor) -> None:
    settings = TextClassificationSettings(long_text="refuse", max_length=8)
    task = make_task("text-classification", settings, labels=classify.task.labels, folder=classify.bundle.path)
    parts = [{"text": ["a", "b"]}, {"text": ["c", "a " * 20]}]
    with pytest.raises(DataError) as caught:
        list(Predictor(classify.bundle, task, classify.engine).stream(parts))
    assert "row 4" in caught.value.faults[0].found
