"""Export to ONNX: the graph's scores are torch's for any batch; what is in the graph, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from hone.core.errors import MissingExtra, RecipeError
from hone.models import export
from hone.models.export import export_onnx, require_standard
from hone.models.heads import HeadSpec, MeanPooled, Outputs
from hone.models.int8 import to_int8
from hone.models.model import Model, build_model
from hone.models.onnx import OnnxModel, load_onnx, save_onnx
from hone.models.quiet import quiet_loading
from hone.text.shapes import SHAPE_SIZES

LABELS = ("O", "B-PER", "I-PER")
TAGGING = {"crf": True, "word_shape": True, "context": 12}
CASES = {
    "bert": HeadSpec("sequence-cls", LABELS),
    "roberta": HeadSpec("token-linear", LABELS),
    "distilbert": HeadSpec("sequence-mean", LABELS),
    "xlm-roberta": HeadSpec("token-tagging", LABELS, TAGGING),
    "camembert": HeadSpec("sentence-and-words", ("ask", "tell"), {"tags": LABELS, **TAGGING}),
    "ernie": HeadSpec("global-pointer", LABELS, {"size": 8, "efficient": True}),
}
SHAPES = [(1, 1, 1), (1, 9, 4), (5, 3, 3), (2, 17, 7), (33, 40, 11)]  # rows, tokens, words


def random_model(folder: Path, family: str, spec: HeadSpec) -> Model:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    small = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24} if family == "distilbert" else sizes
    config = AutoConfig.for_model(family, vocab_size=60, max_position_embeddings=64, pad_token_id=0, **small)
    torch.manual_seed(5)
    with quiet_loading():
        AutoModel.from_config(config).save_pretrained(folder)
    model = build_model(folder, spec).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture(scope="module", params=CASES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, OnnxModel]:
    """A model of each head, over another family each, and its export."""
    model = random_model(tmp_path_factory.mktemp("base"), request.param, CASES[request.param])
    return model, export_onnx(model)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return random_model(tmp_path_factory.mktemp("base"), "bert", HeadSpec("sequence-mean", LABELS))


def random_batch(rows: int, tokens: int, words: int) -> dict[str, Tensor]:
    """A padded batch of all that a head may read; the first row is the longest, the last has no words."""
    lengths = torch.randint(1, tokens + 1, (rows, 1))
    counts = torch.randint(0, words + 1, (rows, 1))
    lengths[0], counts[-1], counts[0] = tokens, 0, words
    mask, word_mask = torch.arange(tokens) < lengths, torch.arange(words) < counts
    shapes = torch.stack([torch.randint(0, size, (rows, words)) for size in SHAPE_SIZES], dim=2)
    return {
        "input_ids": torch.randint(5, 60, (rows, tokens)) * mask,
        "attention_mask": mask.long(),
        "word_positions": torch.randint(0, 1000, (rows, words)) % lengths * word_mask,
        "word_mask": word_mask,
        "shapes": shapes * word_mask[..., None],
    }


def scores(exported: OnnxModel, batch: Mapping[str, Tensor]) -> Tensor:
    session = onnxruntime.InferenceSession(exported.graph, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {entry.name: batch[entry.name].numpy() for entry in session.get_inputs()})
    return torch.from_numpy(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_torch(both: tuple[Model, OnnxModel], shape: tuple[int, int, int]) -> None:
    model, exported = both
    torch.manual_seed(sum(shape))
    batch = random_batch(*shape)
    with torch.inference_mode():
        expected = model(batch)["logits"]
    torch.testing.assert_close(scores(exported, batch), expected, rtol=0, atol=1e-5)


def test_the_graph_has_standard_operators_free_axes_and_no_path(both: tuple[Model, OnnxModel]) -> None:
    model, exported = both
    graph = onnx.load_from_string(exported.graph)
    onnx.checker.check_model(graph)
    assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}
    axes = {value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
            for value in (*graph.graph.input, *graph.graph.output)}  # fmt: skip
    assert axes["input_ids"] == axes["attention_mask"] == ["batch", "tokens"]
    assert axes["logits"] == [*model.head.axes, len(LABELS)]
    assert set(axes) == {"input_ids", "attention_mask", "logits", *model.head.entries()}
    assert b".py" not in exported.graph
    assert any(node.name.startswith("backbone.") for node in graph.graph.node)


def test_what_decoding_needs_goes_with_it_and_comes_back(both: tuple[Model, OnnxModel], tmp_path: Path) -> None:
    model, exported = both
    save_onnx(exported, tmp_path)
    again = load_onnx(tmp_path)
    assert (again.graph, again.config) == (exported.graph, exported.config)
    assert again.constants.keys() == model.head.constants().keys()
    for name, value in model.head.constants().items():
        assert torch.equal(again.constants[name], value)


def test_the_same_model_gives_the_same_bytes_and_stays_as_it_is(plain: Model) -> None:
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    one, other = export_onnx(plain, tables="int8"), export_onnx(plain, tables="int8")
    assert one.graph == other.graph
    assert plain.encoder is not None
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())
    kinds = {value.name: value.data_type for value in onnx.load_from_string(one.graph).graph.initializer}
    assert {kind for name, kind in kinds.items() if name.endswith("_embeddings.weight")} == {onnx.TensorProto.INT8}
    batch = random_batch(4, 9, 1)
    with torch.inference_mode():
        expected = plain(batch)["logits"]
    torch.testing.assert_close(scores(one, batch), expected, rtol=0, atol=0.2)


class Peeking(MeanPooled):
    """A head that no trace can follow."""

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return super().forward(-states if float(states.sum()) > 0 else states, batch)


def test_a_head_that_cannot_be_traced_is_told(plain: Model) -> None:
    with pytest.raises(RecipeError, match="cannot be exported to ONNX") as caught:
        export_onnx(Model(plain.backbone, Peeking(LABELS, width=16, dropout=0.0)))
    assert caught.value.code == "onnx.export"


def test_what_is_rounded_or_too_large_is_refused(tmp_path: Path, plain: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    small = random_model(tmp_path, "bert", HeadSpec("sequence-mean", LABELS))
    to_int8(small.backbone)
    with pytest.raises(RecipeError, match="weights are int8"):
        export_onnx(small)
    monkeypatch.setattr(export, "MOST_BYTES", 1000)
    with pytest.raises(RecipeError, match="2 GB at most"):
        export_onnx(plain)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_its_packages_it_says_what_to_install(
    plain: Model, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package}.*\n.*hone\[onnx\]"):
        export_onnx(plain)


def test_operators_of_others_are_refused() -> None:
    node: Any = onnx.helper.make_node("FusedGelu", ["x"], ["y"], domain="com.microsoft")
    graph = onnx.helper.make_graph([node], "g", [], [])
    with pytest.raises(RecipeError, match="com.microsoft:FusedGelu"):
        require_standard(onnx.helper.make_model(graph))
