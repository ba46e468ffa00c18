"""Tuning methods over models that write: what peft makes of them, what merging changes, what they write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from tuned_models import SMALL

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.compress.merge import merge
from hone.compress.merging import MergeSettings
from hone.core.choice import decided
from hone.models.adapters.adalora import AdaLoraLinear
from hone.models.adapters.linear import tuned_modules
from hone.models.adapters.method import shapes_of
from hone.models.adapters.table import METHODS
from hone.models.base import resolve_base
from hone.models.model import Model, build_model
from hone.models.quiet import quiet_loading
from hone.models.tiny import write_tiny_writer
from hone.models.writers.make import writer_of
from hone.models.writers.quick import QuickWriter
from hone.predict.engine import TorchEngine
from hone.predict.predictor import open_bundle
from hone.predict.shelf import load_shelf
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.train.finetune import tune
from hone.train.settings import FinetuneSettings

peft = pytest.importorskip("peft")

SOURCES = ["the card is broken", "my laptop", "where is the order please"]
TARGETS = [" order the card", " please help me again now", " broken"]
EVERY: dict[str, dict[str, Any]] = {
    "lora": {"name": "lora"},
    "dora": {"name": "lora", "use_dora": True, "target_modules": "all-linear"},
    "rslora": {"name": "lora", "use_rslora": True, "r": 4},
    "adalora": {"name": "adalora"},
    "ia3": {"name": "ia3"},
    "houlsby": {"name": "houlsby"},
    "pfeiffer": {"name": "pfeiffer"},
    "bitfit": {"name": "bitfit"},
    "p-tuning": {"name": "p-tuning"},
    "p-tuning-v2": {"name": "p-tuning-v2"},
    "prefix": {"name": "prefix"},
    "prompt": {"name": "prompt"},
}
OLD_NAME = "_prepare_encoder_decoder_kwargs_for_generation"
KINDS = ("gpt2", "bart", "t5")
FEW = ("lora", "ia3", "houlsby", "pfeiffer")  # whose layers have other names in each base
CASES = [
    *(("gpt2", key) for key in EVERY),
    *(("bart", key) for key in (*FEW, "bitfit", "prompt")),
    *(("t5", key) for key in (*FEW, "p-tuning")),
]


class Tuned(NamedTuple):
    base: Path
    model: Model
    task: Task
    bundle: Bundle


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each base, and over it each method's model with random learned weights and its bundle, made once."""
    kept: dict[tuple[str, str], Tuned] = {}
    bases = {kind: write_tiny_writer(tmp_path_factory.mktemp(kind) / "base", kind=kind) for kind in KINDS}  # type: ignore[arg-type]

    def make(kind: str, key: str) -> Tuned:
        if (kind, key) not in kept:
            kept[kind, key] = tuned(bases[kind], kind, key, tmp_path_factory.mktemp("tuned"))
        return kept[kind, key]

    return make


def tuned(base: Path, kind: str, key: str, folder: Path) -> Tuned:
    name = "text-generation" if kind == "gpt2" else "translation"
    settings = SETTINGS[name].model_validate({"decoding": {"max_new_tokens": 8}})
    task = make_task(name, settings, labels=(), folder=base)
    model = build_model(base, task.head, dropout=0.0)
    method = EVERY[key]
    torch.manual_seed(3)
    tune(model, FinetuneSettings(method=decided({**SMALL.get(method["name"], {}), **method}, METHODS)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for layer in tuned_modules(model.backbone).values():
            if isinstance(layer, AdaLoraLinear):
                layer.lora_E[2:5] = 0.0  # ranks that were taken away
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    bundle = write_model(folder / "bundle", model, task, lineage=lineage, base=resolve_base(str(base)))
    bundle.base = str(base)
    return Tuned(base, model.eval(), task, bundle)


def batch_of(one: Tuned) -> dict[str, Tensor]:
    said = {"prompt": SOURCES, "text": TARGETS} if one.task.name == "text-generation" else {
        "source": SOURCES, "target": TARGETS}  # fmt: skip
    rows = Rows(one.task.encode(said, purpose="learn"))
    return one.task.collate(rows, np.arange(len(rows)))


def logits(one: Tuned) -> Tensor:
    return TorchEngine(one.model, torch.device("cpu")).forward(batch_of(one))["logits"]


@pytest.mark.parametrize(("kind", "key"), CASES)
def test_what_was_written_answers_as_what_was_tuned(kind: str, key: str, made: Any) -> None:
    one = made(kind, key)
    again = open_bundle(one.bundle).engine.forward(batch_of(one))["logits"]
    torch.testing.assert_close(again, logits(one), rtol=0, atol=1e-5)
    plain = TorchEngine(build_model(one.base, one.task.head, dropout=0.0), torch.device("cpu"))
    assert (plain.forward(batch_of(one))["logits"] - again).abs().max() > 1e-3  # something was tuned


@pytest.mark.parametrize(("kind", "key"), CASES)
def test_the_number_of_weights_that_learn_is_known_beforehand(kind: str, key: str, made: Any) -> None:
    one = made(kind, key)
    chosen = {**SMALL.get(EVERY[key]["name"], {}), **EVERY[key]}
    name = chosen.pop("name")
    settings = METHODS[name].settings.model_validate(chosen)
    said = METHODS[name].learning(settings, shapes_of(one.base))
    assert said == sum(p.numel() for p in one.model.parameters() if p.requires_grad)


@pytest.mark.parametrize(("kind", "key"), [case for case in CASES if METHODS[EVERY[case[1]]["name"]].peft])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks by the old name
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")  # as peft writes them itself
def test_peft_computes_the_same(kind: str, key: str, made: Any) -> None:
    one, batch = made(kind, key), batch_of(made(kind, key))
    with quiet_loading():
        base = getattr(transformers, one.model.head.auto_class).from_pretrained(one.base)
        if not hasattr(
            base, OLD_NAME
        ):  # transformers 5.23 has renamed it, and peft 0.21 asks for it, though it is not called here
            setattr(base, OLD_NAME, None)
        theirs = peft.PeftModel.from_pretrained(base, str(one.bundle.path)).eval()
    given, at = {name: batch[name] for name in ("input_ids", "attention_mask")}, batch["target_places"]
    if kind == "gpt2":
        labels = torch.full_like(batch["input_ids"], -100)
        labels[at[:, 0], at[:, 1] + 1] = batch["gold"]
    else:
        start, labels = base.config.decoder_start_token_id, torch.full_like(batch["target_ids"], -100)
        given["decoder_input_ids"] = torch.cat([torch.full_like(labels[:, :1], start), batch["target_ids"][:, :-1]], 1)
        labels[at[:, 0], at[:, 1]] = batch["gold"]
    with torch.inference_mode():
        out = theirs(**given, labels=labels)
        loss = one.task.loss({"logits": logits(one)}, batch, options=LossOptions())
    found = out.logits[:, -labels.shape[1] :][at[:, 0], at[:, 1]]  # without those of virtual tokens
    torch.testing.assert_close(found, logits(one), rtol=0, atol=1e-4)
    torch.testing.assert_close(loss.total / loss.weight, out.loss, rtol=1e-5, atol=0)


@pytest.mark.parametrize("key", ["p-tuning", "p-tuning-v2", "prefix", "prompt"])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_what_stands_before_a_text_learns_as_in_peft(key: str, made: Any) -> None:
    one = made("gpt2", key)
    batch, at = batch_of(one), batch_of(one)["target_places"]
    labels = torch.full_like(batch["input_ids"], -100)
    labels[at[:, 0], at[:, 1] + 1] = batch["gold"]
    with quiet_loading():
        base = transformers.GPT2LMHeadModel.from_pretrained(one.base)
        config = peft.PeftConfig.from_pretrained(str(one.bundle.path))
        config.inference_mode = False
        theirs = peft.get_peft_model(base, config).eval()
    before, encoder = one.model.before, theirs.prompt_encoder
    if before.network is None:
        encoder["default"].embedding.weight = before.plain
    else:
        encoder["default"] = before.network
    learned = [each for each in before.parameters() if each.requires_grad]
    loss = one.task.loss(one.model(batch), batch, options=LossOptions())
    ours = torch.autograd.grad(loss.total / loss.weight, learned)
    out = theirs(batch["input_ids"], batch["attention_mask"], labels=labels)
    torch.testing.assert_close(ours, torch.autograd.grad(out.loss, learned), rtol=1e-3, atol=1e-6)
    assert all(bool(each.any()) for each in ours)


def test_many_over_one_base_write_as_each_alone(made: Any) -> None:
    bundles = {key: made("gpt2", key).bundle.path for key in ("prefix", "prompt", "lora")}
    shelf = load_shelf(bundles, base=str(made("gpt2", "lora").base))
    found = {key: [answer["text"] for answer in shelf.predict(SOURCES, bundle=key)] for key in bundles}
    alone = {key: open_bundle(made("gpt2", key).bundle).predict(SOURCES) for key in bundles}
    assert found == {key: [answer["text"] for answer in answers] for key, answers in alone.items()}
    assert len({tuple(each) for each in found.values()}) == 3


@pytest.mark.parametrize(("key", "kind"), [("prefix", "bart"), ("p-tuning-v2", "t5")])
def test_keys_and_values_before_a_source_are_refused(key: str, kind: str, made: Any) -> None:
    (fault,) = METHODS[key].faults(METHODS[key].settings(), shapes_of(made(kind, "lora").base))
    assert fault.code == "recipe.method-base"


@pytest.mark.parametrize(("kind", "key"), [case for case in CASES if METHODS[EVERY[case[1]]["name"]].merges])
def test_merged_is_what_was_tuned_and_writes_the_same_quickly(kind: str, key: str, made: Any, tmp_path: Path) -> None:
    one = made(kind, key)
    inputs = Inputs(task=TaskChoice(one.task.name, one.task.settings), base=None, data={}, bundle=one.bundle)
    run = Run(seed=1, device="cpu", folder=tmp_path / "run", target=tmp_path / "new", cache=tmp_path / "cache")
    outcome = merge(MergeSettings(), inputs, run)
    assert outcome.bundle is not None
    apart = outcome.report.measures[-1].value
    assert apart is not None
    assert apart < 1e-4
    slow, quick = open_bundle(one.bundle), open_bundle(outcome.bundle)
    writers = [writer_of(each.engine.model.backbone) for each in (slow, quick)]  # type: ignore[attr-defined]
    assert [isinstance(writer, QuickWriter) for writer in writers] == [False, True]
    texts = [[answer["text"] for answer in each.predict(SOURCES)] for each in (slow, quick)]
    assert texts[0] == texts[1]


def test_a_base_without_biases_refuses_to_learn_them(made: Any) -> None:
    shapes = shapes_of(made("t5", "lora").base)
    (fault,) = METHODS["bitfit"].faults(METHODS["bitfit"].settings(), shapes)
    assert fault.code == "recipe.method-base"


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_are_computed_again_learn_the_same(kind: str, made: Any) -> None:
    one = made(kind, "lora")
    batch, found = batch_of(one), []
    for again in (False, True):
        model = build_model(one.base, one.task.head, dropout=0.0).train()
        if again:
            model.backbone.activation_checkpointing_enable()  # type: ignore[operator]
        loss = one.task.loss(model(batch), batch, options=LossOptions()).total
        loss.backward()  # type: ignore[no-untyped-call]
        found.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) > 10
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
