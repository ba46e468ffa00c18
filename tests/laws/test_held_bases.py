"""Bases in eight and four bits beside adapters: torchao's numbers, what is kept in memory, what bundles answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D
from tuned_models import TEXTS, Tuned, choice, tuned

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.compress.merge import merge
from hone.compress.merging import MergeSettings
from hone.core.choice import decided
from hone.core.errors import BundleError
from hone.models.adapters.held_base import hold, spared_bytes
from hone.models.adapters.linear import tuned_modules
from hone.models.adapters.method import shapes_of
from hone.models.adapters.table import METHODS
from hone.models.base import resolve_base
from hone.models.grouped import Bits
from hone.models.held import HeldLinear, block_of, held_tensors, rounded_bytes
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.models.writers.make import writer_of
from hone.models.writers.quick import QuickWriter
from hone.predict.engine import TorchEngine
from hone.predict.predictor import open_bundle
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.train.finetune import tune
from hone.train.settings import FinetuneSettings

torchao = pytest.importorskip("torchao.quantization")

BITS: tuple[Bits, ...] = (8, 4)
ADAPTERS = [name for name in METHODS if METHODS[name].adapter]
DORA = {"name": "lora", "use_dora": True, "target_modules": "all-linear"}


@pytest.fixture(scope="module")
def made(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each adapter method's model over the tiny base in so many bits, made once."""
    kept: dict[tuple[str, Bits], Tuned] = {}

    def make(key: str, bits: Bits) -> Tuned:
        if (key, bits) not in kept:
            method = choice(**DORA) if key == "dora" else choice(key)
            kept[key, bits] = tuned(tiny_base, method, tmp_path_factory.mktemp("held"), bits=bits)
        return kept[key, bits]

    return make


def batch_of(one: Tuned) -> dict[str, Tensor]:
    rows = Rows(one.task.encode({"text": TEXTS}, purpose="predict"))
    return one.task.collate(rows, np.arange(len(TEXTS)))


def logits(one: Tuned) -> Tensor:
    return TorchEngine(one.model, torch.device("cpu")).forward(batch_of(one))["logits"]


@pytest.mark.parametrize("shape", [(256, 128), (24, 40), (8, 8)])
def test_a_held_weight_is_what_torchao_makes_of_it(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = nn.Linear(shape[1], shape[0])
    layer.weight = nn.Parameter(torch.randn(shape) * torch.rand(shape[0], 1))
    weight = layer.weight.detach()
    theirs = {
        8: torchao.Int8Tensor.from_hp(weight, torchao.PerRow()).dequantize(),
        4: torchao.NF4Tensor.from_tensor(weight, *block_of(weight.numel())).get_original_weight(),
    }
    for bits in BITS:
        held = HeldLinear.of(layer, bits)
        assert torch.equal(held.weight, theirs[bits])
        assert sum(value.nbytes for value in held_tensors(held)) == rounded_bytes(*shape, bits=bits)
        assert float((held.weight - weight).norm() / weight.norm()) < {8: 0.01, 4: 0.12}[bits]


@pytest.mark.parametrize("bits", BITS)
def test_weights_that_are_zero_stay_zero(bits: Bits) -> None:
    layer = nn.Linear(64, 4)
    with torch.no_grad():
        layer.weight.zero_()
    assert not HeldLinear.of(layer, bits).weight.any()
    with torch.no_grad():
        layer.weight[1:].normal_()
    assert float(HeldLinear.of(layer, bits).weight[0].abs().max()) < 0.02


@pytest.mark.parametrize("bits", BITS)
def test_a_layer_that_lies_turned_computes_as_turned_back(bits: Bits) -> None:
    torch.manual_seed(1)
    turned, plain, given = Conv1D(48, 32), nn.Linear(32, 48), torch.randn(5, 32)
    plain.weight, plain.bias = nn.Parameter(turned.weight.detach().t().contiguous()), turned.bias
    held = HeldLinear.of(turned, bits)
    assert (held.out_features, held.in_features, held.turned) == (48, 32, True)
    assert torch.equal(held(given), HeldLinear.of(plain, bits)(given))


@pytest.mark.parametrize("key", [*ADAPTERS, "dora"])
def test_a_bundle_answers_exactly_as_what_was_tuned_and_says_its_bits(key: str, made: Any) -> None:
    one = made(key, 4)
    opened = open_bundle(one.bundle)
    apart = opened.engine.forward(batch_of(one))["logits"] - logits(one)
    assert float(apart.abs().max()) <= (
        1e-5 if key == "adalora" else 0
    )  # whose sums lack the ranks that were taken away
    (part,) = [part for part in one.bundle.manifest.parts if part.role == "base"]
    assert (part.settings, part.files, part.critical) == ({"bits": 4}, (), True)
    assert [need.digest for need in one.bundle.manifest.requires] == [one.base.digest]
    assert {path.suffix for path in one.bundle.path.iterdir()} <= {".json", ".safetensors", ""}
    assert not list(one.bundle.path.glob("model*"))


def test_another_rounding_answers_otherwise(made: Any) -> None:
    found = [logits(made("lora", bits)) for bits in BITS]
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("bits", BITS)
def test_the_memory_of_a_base_is_the_promised_one(bits: Bits, tiny_base: Path, made: Any) -> None:
    one = made("ia3", bits)
    whole = build_model(tiny_base, one.task.head)
    whole.tuning = None
    learned = sum(value.nbytes for layer in tuned_modules(one.model.backbone).values() for _, value in layer.own())
    cpu = torch.device("cpu")
    before, after = (TorchEngine(model, cpu).weights_bytes for model in (whole, one.model))
    assert before - (after - learned) == spared_bytes(shapes_of(tiny_base), bits) > 0


@pytest.mark.parametrize("key", ["lora", "dora", "adalora", "ia3", "houlsby", "pfeiffer"])
def test_no_whole_weight_is_kept_for_the_way_back_and_adapters_alone_learn(key: str, made: Any) -> None:
    one = made(key, 4)
    model, batch = one.model.train(), {**batch_of(one), "label": torch.tensor([0, 1, 2, 0])}
    sizes: list[tuple[int, ...]] = []
    before = [value.clone() for value in held_tensors(model)]
    try:
        with torch.autograd.graph.saved_tensors_hooks(
            lambda kept: (sizes.append(tuple(kept.shape)), kept)[1], lambda kept: kept
        ):
            loss = one.task.loss(model(batch), batch, options=LossOptions()).total
        loss.backward()
        learns = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    finally:
        model.zero_grad()
        model.eval()
    weights = set(shapes_of(one.base.folder).linear.values())
    assert not {size for size in sizes if size in weights or size[::-1] in weights}
    own = {id(value) for layer in tuned_modules(model.backbone).values() for _, value in layer.own()}
    names = {name for name, value in model.named_parameters() if id(value) in own}
    assert len(learns & names) >= len(names) / 2
    assert learns <= names | {name for name in learns if name.startswith("head.")}
    assert all(map(torch.equal, before, held_tensors(model)))


@pytest.mark.parametrize("bits", BITS)
def test_merged_is_what_was_tuned_over_rounded_weights(bits: Bits, made: Any, tmp_path: Path) -> None:
    one = made("lora", bits)
    inputs = Inputs(task=TaskChoice(one.task.name, one.task.settings), base=None, data={}, bundle=one.bundle)
    outcome = merge(MergeSettings(), inputs, run_in(tmp_path))
    assert outcome.bundle is not None
    found = open_bundle(outcome.bundle).engine.forward(batch_of(one))["logits"]
    torch.testing.assert_close(found, logits(one), rtol=0, atol=1e-4)
    assert [part.role for part in outcome.bundle.manifest.parts if part.role in ("base", "adapter")] == []


@pytest.mark.parametrize(("kind", "bits"), [("gpt2", 4), ("gpt2", 8), ("bart", 4), ("t5", 4)])
def test_what_writes_over_rounded_weights_is_served_and_merged_as_tuned(kind: Any, bits: Bits, tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "base", kind=kind)
    name, source = ("text-generation", "prompt") if kind == "gpt2" else ("translation", "source")
    settings = SETTINGS[name].model_validate({"decoding": {"max_new_tokens": 8}})
    task = make_task(name, settings, labels=(), folder=base)
    model = build_model(base, task.head, dropout=0.0)
    hold(model, bits)
    torch.manual_seed(3)
    tune(model, FinetuneSettings(method=decided("lora", METHODS)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    bundle = write_model(tmp_path / "bundle", model, task, lineage=lineage, base=resolve_base(str(base)))
    bundle.base = str(base)
    target = "text" if kind == "gpt2" else "target"
    rows = Rows(task.encode({source: TEXTS, target: [" order"] * len(TEXTS)}, purpose="learn"))
    batch, cpu = task.collate(rows, np.arange(len(rows))), torch.device("cpu")
    served = open_bundle(bundle)
    assert torch.equal(served.engine.forward(batch)["logits"], TorchEngine(model, cpu).forward(batch)["logits"])
    inputs = Inputs(task=TaskChoice(name, settings), base=None, data={}, bundle=bundle)
    merged = merge(MergeSettings(), inputs, run_in(tmp_path)).bundle
    assert merged is not None
    quick = open_bundle(merged)
    writers = [writer_of(each.engine.model.backbone) for each in (served, quick)]  # type: ignore[attr-defined]
    assert [isinstance(writer, QuickWriter) for writer in writers] == [False, True]
    assert [a["text"] for a in served.predict(TEXTS)] == [a["text"] for a in quick.predict(TEXTS)]


def test_layers_that_are_computed_again_learn_the_same(made: Any) -> None:
    one = made("lora", 4)
    batch, found = {**batch_of(one), "label": torch.tensor([0, 1, 2, 0])}, []
    model = one.model.train()
    for again in (False, True):
        if again:
            model.backbone.activation_checkpointing_enable()
        one.task.loss(model(batch), batch, options=LossOptions()).total.backward()
        found.append({name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None})
        model.zero_grad()
    model.eval()
    assert sum("lora" in name for name in found[0]) > 4
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-7)


def test_adapters_over_one_base_in_as_many_bits_share_it(made: Any, tiny_base: Path) -> None:
    each = {"a": made("lora", 4), "b": made("ia3", 4), "c": made("lora", 8)}
    shelf = hone.load_shelf({name: one.bundle.path for name, one in each.items()}, device="cpu", base=str(tiny_base))
    held = {}
    for name, one in each.items():
        engine = shelf[name].engine
        assert isinstance(engine, TorchEngine)
        assert torch.equal(engine.forward(batch_of(one))["logits"], logits(one))
        held[name] = {value.data_ptr() for value in held_tensors(engine.model)}
    assert held["a"] == held["b"]
    assert not held["a"] & held["c"]


def test_bits_that_this_hone_does_not_know_are_refused(made: Any, tiny_base: Path) -> None:
    bundle = made("lora", 4).bundle
    parts = [p.model_copy(update={"settings": {"bits": 3}}) if p.role == "base" else p for p in bundle.manifest.parts]
    other = Bundle(bundle.path, bundle.manifest.model_copy(update={"parts": tuple(parts)}), base=str(tiny_base))
    with pytest.raises(BundleError) as caught:
        open_bundle(other)
    assert caught.value.code == "bundle.base-bits"


def run_in(folder: Path) -> Run:
    return Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
