"""The method int8: a bundle of eight-bit weights that answers as its parent does, and what cannot be done with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import hone
from hone.bundle.bundle import MANIFEST, Bundle
from hone.cli.main import main
from hone.compress.int8 import nearest_reach, own_head
from hone.core.errors import BundleError, DeviceError, HoneError, RecipeError
from hone.models.files import INT8_FILE
from hone.models.heads import HeadSpec
from hone.models.int8 import Int8Linear, fake_rounded, steps
from hone.models.model import build_model
from hone.predict import engine
from hone.predict.predictor import load, open_bundle

TEXTS = ["my card is lost", "please reset the password now", "the screen is broken", "i want my money back please"]


def compressed(bundle: Path, train: Path, out: Path, *more: str, method: str = "int8") -> Path:
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(bundle), str(train), "--method", method, "--out", str(out), *more])
    assert ended.value.code == 0
    return out


def test_it_answers_as_its_parent_and_is_a_quarter_of_it(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    small = compressed(text_bundle, texts["train"], tmp_path / "small")
    ours, theirs = (load(path, device="cpu").predict(TEXTS) for path in (small, text_bundle))
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    assert [answer["score"] for answer in ours] == pytest.approx([answer["score"] for answer in theirs], abs=0.05)
    kinds = {name: value.dtype for name, value in load_file(small / INT8_FILE).items()}
    weights = {name for name in kinds if name.endswith(".weight") and "LayerNorm" not in name}
    assert {kinds[name] for name in weights} == {torch.int8}
    assert (small / INT8_FILE).stat().st_size < 0.45 * (text_bundle / "model.safetensors").stat().st_size
    manifest = Bundle.open(small).manifest
    assert manifest.plain.gives == "nothing"
    assert manifest.lineage.parents == (Bundle.open(text_bundle).digest,)


def test_a_tagger_and_a_cls_head_can_be_int8_too(
    tag_bundle: Path, tagged: dict[str, Path], texts: dict[str, Path], tiny_base: Path, tmp_path: Path
) -> None:
    small = compressed(tag_bundle, tagged["train"], tmp_path / "tags")
    tokens = [["Ada", "is", "in", "rome", "."]]
    ours, theirs = (load(path, device="cpu").predict(tokens)[0]["entities"] for path in (small, tag_bundle))
    assert [entity["label"] for entity in ours] == [entity["label"] for entity in theirs]
    recipe: dict[str, Any] = {
        "version": 1, "task": {"name": "text-classification", "pooling": "cls"}, "base": str(tiny_base),
        "data": {"train": str(texts["train"])},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 8, "learning_rate": 5e-3, "save_steps": None},
            {"kind": "compress", "method": "vocabulary"}, {"kind": "compress", "method": "int8", "max_drop": 0.2},
        ],
    }  # fmt: skip
    result = hone.run(recipe, out=tmp_path / "run")
    assert list(result.reports) == ["inspect", "finetune", "compress", "compress-2"]
    assert result.bundle is not None
    assert load(result.bundle.path, device="cpu").predict(TEXTS[:1])[0]["label"]
    kinds = {name: value.dtype for name, value in load_file(result.bundle.path / INT8_FILE).items()}
    assert kinds["classifier.weight"] == torch.float32
    assert kinds["bert.pooler.dense.weight"] == torch.int8


@pytest.mark.parametrize(
    ("kind", "labels", "stays"),
    [
        ("sequence-mean", ("a", "b"), []),
        ("sequence-cls", ("a", "b"), ["classifier"]),
        ("multiple-choice", (), ["classifier"]),
        ("masked-tokens", (), []),
    ],
)
def test_what_scores_in_transformers_own_head_stays_but_for_scores_over_the_vocabulary(
    kind: str, labels: tuple[str, ...], stays: list[str], tiny_base: Path
) -> None:
    model = build_model(tiny_base, HeadSpec(kind, labels))
    kept = own_head(model)
    backbone: Any = model.backbone
    found = [name for name, part in backbone.named_modules() if part in kept and isinstance(part, torch.nn.Linear)]
    assert found == stays


@pytest.mark.parametrize("told", [1 << 19, 1 << 21])
def test_a_batch_has_as_many_tokens_as_the_cache_is_large(
    told: int, text_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_second_cache_bytes", lambda: told)
    running = load(text_bundle, device="cpu").engine
    monkeypatch.setattr(running.model.backbone.config, "intermediate_size", 1536)  # type: ignore[attr-defined]
    assert running.tokens_at_once == {1 << 19: 256, 1 << 21: 1024}[told]


def test_its_feed_forward_blocks_are_multiplied_with_the_gelu_between(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load(compressed(text_bundle, texts["train"], tmp_path / "small"), device="cpu")
    taken, original = [], Int8Linear.after_gelu

    def counted(self: Int8Linear, inner: Int8Linear, input: torch.Tensor) -> torch.Tensor:
        taken.append(self)
        return original(self, inner, input)

    monkeypatch.setattr(Int8Linear, "after_gelu", counted)
    predictor.predict(TEXTS[:1])
    assert len(taken) == predictor.engine.model.backbone.config.num_hidden_layers  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["text", "tag"])
@pytest.mark.parametrize(
    ("method", "more", "dtype"),
    [
        ("int8", ["method.activations=static", "method.calibration_rows=8"], torch.int8),
        ("weight-only", [], torch.int8),
        ("weight-only", ["method.bits=4"], torch.uint8),
    ],
)
def test_other_ways_of_keeping_integers(
    kind: str, method: str, more: list[str], dtype: torch.dtype, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle: Path = request.getfixturevalue(f"{kind}_bundle")
    rows: dict[str, Path] = request.getfixturevalue("texts" if kind == "text" else "tagged")
    small = compressed(bundle, rows["train"], tmp_path / "small", *more, method=method)
    held = load_file(small / INT8_FILE)
    assert held["encoder.layer.0.output.dense.weight"].dtype == dtype
    assert held["embeddings.word_embeddings.weight"].dtype == torch.int8
    assert ("encoder.layer.0.output.dense.reach" in held) == ("method.activations=static" in more)
    inputs: Any = TEXTS if kind == "text" else [["Ada", "is", "in", "rome", "."]]
    ours, theirs = (load(path, device="cpu").predict(inputs) for path in (small, bundle))
    if kind == "text":
        assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    else:
        assert [entity["label"] for entity in ours[0]["entities"]] == [e["label"] for e in theirs[0]["entities"]]
    assert Bundle.open(small).manifest.plain.gives == "nothing"


def test_static_activations_answer_alike_alone_and_among_others(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    small = compressed(text_bundle, texts["train"], tmp_path / "small", "method.activations=static")
    predictor = load(small, device="cpu")
    together = [answer["score"] for answer in predictor.predict(TEXTS)]
    assert [predictor.predict(text)[0]["score"] for text in TEXTS] == pytest.approx(together, abs=1e-5)


def test_the_same_bundle_comes_of_the_same_work(text_bundle: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    digests = {Bundle.open(compressed(text_bundle, texts["train"], tmp_path / name)).digest for name in ("a", "b")}
    assert len(digests) == 1


def test_what_is_int8_is_not_compressed_again_nor_trained(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    small = compressed(text_bundle, texts["train"], tmp_path / "small")
    recipe: dict[str, Any] = {"version": 1, "task": "text-classification", "base": str(small),
                              "data": {"train": str(texts["train"])}, "stages": ["finetune"]}  # fmt: skip
    with pytest.raises(HoneError, match=r"weights written as safetensors-int8|expected config.json and weights"):
        hone.run(recipe, out=tmp_path / "run")
    for method in ("int8", "vocabulary"):
        with pytest.raises(SystemExit) as ended:
            main(["compress", str(small), str(texts["train"]), "--method", method, "--out", str(tmp_path / "again")])
        assert ended.value.code == RecipeError.exit_code
        assert not (tmp_path / "again").exists()


def test_it_is_timed_without_transformers_which_cannot_open_it(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = compressed(text_bundle, texts["train"], tmp_path / "small")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["bench", str(small), str(texts["test"]), "--texts", "6", "--repeats", "2", "--json"])
    said = capsys.readouterr()
    assert [row[0] for row in json.loads(said.out)["tables"]["speed"]["rows"]] == ["hone"]
    assert "ONNX Runtime is not timed: the model cannot be exported to ONNX: its weights are int8" in said.err


def test_its_kernels_are_for_the_cpu(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Bundle.open(compressed(text_bundle, texts["train"], tmp_path / "small"))
    monkeypatch.setattr(engine, "pick_device", lambda name: torch.device("cpu" if name == "cpu" else "cuda"))
    assert open_bundle(small, device="auto").predict(TEXTS[:1])
    with pytest.raises(DeviceError, match="int8 weights"):
        open_bundle(small, device="cuda")


def test_weights_of_an_unknown_format_are_refused(text_bundle: Path) -> None:
    bundle = Bundle.open(text_bundle)
    parts = tuple(
        part.model_copy(update={"format": "ternary"}) if part.role == "weights" else part
        for part in bundle.manifest.parts
    )
    odd = Bundle(bundle.path, bundle.manifest.model_copy(update={"parts": parts}))
    with pytest.raises(BundleError, match="written as 'ternary'"):
        open_bundle(odd, device="cpu")


def test_a_damaged_int8_file_is_told(text_bundle: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    small = compressed(text_bundle, texts["train"], tmp_path / "small")
    opened = Bundle.open(small)
    raw = bytearray((small / INT8_FILE).read_bytes())
    raw[-1] ^= 1
    (small / INT8_FILE).write_bytes(raw)
    with pytest.raises(BundleError, match=INT8_FILE):
        Bundle.open(small)
    (small / INT8_FILE).write_bytes(b"no safetensors at all")
    with pytest.raises(BundleError, match="cannot be opened"):
        open_bundle(opened, device="cpu")
    assert (small / MANIFEST).is_file()


def test_the_calibrated_reach_rounds_with_the_least_error_of_those_tried() -> None:
    """A few inputs far out are cut off, so that the many are rounded finely; without any, all are kept."""
    torch.manual_seed(1)
    even = torch.rand(10_000) * 4 - 1
    assert nearest_reach(even).tolist() == pytest.approx([float(even.min()), float(even.max())])
    outlying = torch.cat([torch.randn(500_000), torch.tensor([60.0])])
    low, high = nearest_reach(outlying).tolist()
    assert high < 45.0
    kept = steps(torch.tensor(low), torch.tensor(high))
    whole = steps(*torch.aminmax(outlying))
    errors = [float((fake_rounded(outlying, *each) - outlying).square().mean()) for each in (kept, whole)]
    assert errors[0] < errors[1]
