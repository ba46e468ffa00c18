"""Tuning methods in the stage: what a base cannot give is told beforehand; a killed run goes on to the same adapter."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from safetensors.torch import load_file
from torch import nn
from training_bench import Bench, dataset, same, state_of

from hone.bundle.stage import Inputs, TaskChoice
from hone.core.errors import HoneError, MissingExtra
from hone.core.settings import check_settings
from hone.models.adapters.held_base import hold
from hone.models.adapters.usual import IA3_INNER, IA3_TARGETS, LORA_TARGETS
from hone.models.base import resolve_base
from hone.models.held import HeldLinear
from hone.models.tiny import write_tiny_base
from hone.tasks.settings import TextClassificationSettings
from hone.train.faults import find_faults
from hone.train.finetune import tune
from hone.train.settings import FinetuneSettings


@pytest.fixture(scope="module")
def inputs(tiny_base: Path) -> Inputs:
    task = TaskChoice("text-classification", TextClassificationSettings())
    data = {"train": dataset(), "validation": dataset("validation")}
    return Inputs(task=task, base=resolve_base(str(tiny_base)), data=data)


@pytest.mark.parametrize(
    ("settings", "field", "told"),
    [
        ({"method": {"name": "lora", "r": 33}}, "method.r", "at most 32"),
        ({"method": {"name": "lora", "target_modules": ["qery"]}}, "method.target_modules", "Did you mean 'query'?"),
        ({"method": {"name": "top-n", "layers": 3}}, "method.layers", "at most 2"),
        ({"method": "head", "freeze_layers": 1}, "freeze_layers", "the method head"),
        ({"method": "lora", "freeze_layers": 1}, "freeze_layers", "the method lora"),
        ({"method": "lora", "embedding_learning_rate": 1e-4}, "embedding_learning_rate", "learn nothing"),
        ({"method": "adalora", "mixed_precision": "fp16"}, "mixed_precision", "scores ranks by gradients"),
        ({"method": "top-n", "techniques": ["fgm"]}, "techniques.0", "the method top-n"),
        ({"base_bits": 4}, "base_bits", "the method full"),
        ({"method": "top-n", "base_bits": 8}, "base_bits", "the method top-n"),
        ({"method": "bitfit", "base_bits": 4}, "base_bits", "the method bitfit"),
        ({"method": "head", "base_bits": 4}, "base_bits", "the method head"),
        ({"method": "lora", "base_bits": 4, "torch_compile": True}, "torch_compile", "no compiler"),
        ({"method": "lora", "base_bits": 8, "techniques": ["mixout"]}, "techniques.0", "the method lora"),
    ],
)
def test_what_a_base_cannot_give_is_told_beforehand(
    settings: dict[str, Any], field: str, told: str, inputs: Inputs
) -> None:
    (fault,) = find_faults(FinetuneSettings.model_validate(settings), inputs)
    assert fault.field == field
    assert told in str(fault)


@pytest.mark.parametrize(
    ("task", "settings", "field", "told"),
    [
        ({"pooling": "cls", "max_length": 32}, {"method": "prompt"}, "method", "pooling: mean"),
        (
            {"max_length": 32},
            {"method": "prefix", "techniques": ["gradient-checkpointing"]},
            "techniques.0",
            "keys and values",
        ),
        ({"max_length": 45}, {"method": "prefix"}, "method.num_virtual_tokens", "at most 44"),
        ({}, {"method": {"name": "p-tuning-v2", "num_virtual_tokens": 1}}, "method.num_virtual_tokens", "at most 63"),
        ({}, {"method": {"name": "houlsby", "bottleneck_size": 33}}, "method.bottleneck_size", "at most 32"),
        ({}, {"method": {"name": "adalora", "init_r": 33}}, "method.init_r", "at most 32"),
        ({}, {"method": "adalora", "techniques": ["swa"]}, "techniques.0", "adalora"),
        ({}, {"method": {"name": "ia3", "feedforward_modules": ["x"]}}, "method.feedforward_modules", "Known: dense"),
        (
            {},
            {"method": {"name": "ia3", "target_modules": ["query"], "feedforward_modules": ["output.dense"]}},
            "method.feedforward_modules",
            "among target_modules",
        ),
    ],
)
def test_what_goes_neither_with_the_task_nor_with_a_technique_is_told(
    task: dict[str, Any], settings: dict[str, Any], field: str, told: str, inputs: Inputs
) -> None:
    choice = TaskChoice("text-classification", TextClassificationSettings.model_validate(task))
    (fault,) = find_faults(FinetuneSettings.model_validate(settings), replace(inputs, task=choice))
    assert fault.field == field
    assert told in str(fault)


def test_the_usual_layers_are_those_of_peft() -> None:
    from peft.utils import constants

    for name, ours in (("LORA_TARGET", LORA_TARGETS), ("IA3_TARGET", IA3_TARGETS), ("IA3_FEEDFORWARD", IA3_INNER)):
        theirs = getattr(constants, f"TRANSFORMERS_MODELS_TO_{name}_MODULES_MAPPING")
        assert ours.items() >= {kind: theirs[kind] for kind in ours if kind in theirs}.items()
        assert {"bert", "roberta"} <= ours.keys() & theirs.keys()


def test_a_base_made_from_nothing_is_tuned_whole(inputs: Inputs) -> None:
    assert inputs.base is not None
    made = replace(inputs, base=replace(inputs.base, made={}))
    (fault,) = find_faults(FinetuneSettings.model_validate({"method": "lora"}), made)
    assert (fault.code, fault.field) == ("recipe.method-base", "method.name")
    assert find_faults(FinetuneSettings(), made) == []
    trained = replace(made, pretrained=True)  # by a stage before
    assert find_faults(FinetuneSettings.model_validate({"method": "lora"}), trained) == []


def test_a_merge_that_cannot_be_is_told_before_the_training(inputs: Inputs) -> None:
    planned = replace(inputs, plan={"merge": FinetuneSettings()})
    (fault,) = find_faults(FinetuneSettings.model_validate({"method": "bitfit"}), planned)
    assert fault.code == "merge.method"
    assert find_faults(FinetuneSettings.model_validate({"method": "lora"}), planned) == []


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("lroa", "Did you mean 'lora'"),
        ({"name": "lora", "rank": 4}, "rank"),
        ({"name": "lora", "r": 0}, "method"),
        ({"name": "lora", "target_modules": []}, "target_modules"),
        ({"name": "adalora", "target_modules": []}, "target_modules"),
        ({"name": "ia3", "target_modules": []}, "target_modules"),
        (3, "name"),
    ],
)
def test_methods_and_settings_that_do_not_exist_are_told(value: Any, told: str) -> None:
    _, [fault] = check_settings(FinetuneSettings, {"method": value})
    assert told in str(fault)


def test_the_decided_recipe_holds_every_setting_of_the_method() -> None:
    assert FinetuneSettings.model_validate({"method": "top-n"}).method == {"name": "top-n", "layers": 2}
    assert FinetuneSettings().method == {"name": "full"}


def test_four_bits_want_weights_that_blocks_divide(tmp_path: Path, inputs: Inputs) -> None:
    config = write_tiny_base(tmp_path / "base") / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 12, "intermediate_size": 30}))
    base = resolve_base(str(config.parent))
    asked = [FinetuneSettings.model_validate({"method": "lora", "base_bits": bits}) for bits in (4, 8)]
    found = [find_faults(settings, replace(inputs, base=base)) for settings in asked]
    assert [[fault.code for fault in faults] for faults in found] == [["recipe.base-bits"], []]
    assert "30 x 12" in str(found[0][0])


def test_a_base_in_fewer_bits_wants_torchao(monkeypatch: pytest.MonkeyPatch, inputs: Inputs) -> None:
    monkeypatch.setattr("hone.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=re.escape("hone[torchao]")):
        find_faults(FinetuneSettings.model_validate({"method": "lora", "base_bits": 4}), inputs)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(MissingExtra, match=re.escape("hone[torchao]")):
        HeldLinear.of(nn.Linear(8, 8), 4)


@pytest.mark.parametrize("bits", [None, 4])
def test_a_killed_run_goes_on_to_the_same_adapter_and_keeps_no_weight_of_the_base(
    bits: Literal[4] | None, bench: Bench
) -> None:
    def loop(folder: str, seed: int = 0) -> Any:
        model = bench.model(seed=seed)
        if bits is not None:
            hold(model, bits)
        tune(model, FinetuneSettings.model_validate({"method": "lora"}))
        return bench.loop(model=model, max_steps=6, save_steps=3, learning_rate=1e-2, folder=folder, method="lora")

    whole = loop("whole")
    bench.run(whole)
    first, step = loop("killed"), 0

    def dies(*given: Any) -> Any:
        nonlocal step
        step += 1
        if step == 5:
            raise KeyboardInterrupt
        return type(first)._step(first, *given)

    first._step = dies
    with pytest.raises(KeyboardInterrupt):
        bench.run(first)
    (kept,) = first.setup.checkpoints.glob("step-*")
    names = load_file(kept / "model.safetensors").keys()
    assert {"lora_A" in name or "lora_B" in name or name.startswith("head.") for name in names} == {True}
    again = loop("killed", seed=0)
    assert bench.run(again).resumed_at == 3
    assert same(state_of(again.model), state_of(whole.model))


def test_a_checkpoint_of_another_method_is_none_to_go_on_from(bench: Bench) -> None:
    bench.run(bench.loop(max_steps=3, save_steps=3))
    other = bench.model()
    tune(other, FinetuneSettings.model_validate({"method": "lora"}))
    with pytest.raises(HoneError, match="damaged"):
        bench.loop(model=other, max_steps=6, save_steps=3).resume()
