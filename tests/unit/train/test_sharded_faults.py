"""What cannot be had of divided weights is told before anything runs, with the key to blame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from hone.bundle.stage import NO_TASK, Inputs
from hone.core import processes
from hone.core.errors import Fault
from hone.core.processes import Place
from hone.models.base import Base
from hone.models.files import write_own
from hone.models.shapes import kept
from hone.models.tiny import write_tiny_base, write_tiny_writer
from hone.train.pretrain_settings import PretrainSettings
from hone.train.settings import FinetuneSettings
from hone.train.sharded_faults import sharded_faults
from hone.train.sharing import sharing_faults


def faults(base: Path, count: int, settings: PretrainSettings | FinetuneSettings) -> list[Fault]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_mine", Place(0, count, 0))
        inputs = Inputs(task=NO_TASK, base=Base("tiny", base, ""), data={})
        return [*sharded_faults(settings, inputs), *sharing_faults(settings, parallel=settings.parallel)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method.name", "adalora"),
        ("freeze_layers", 1),
        ("base_bits", 4),
        ("optim", "adafactor"),
        ("optim", "muon"),
        ("mixed_precision", "fp16"),
        ("torch_compile", True),
        ("techniques.1", ["ema", "fgm"]),
    ],
)
def test_what_acts_on_whole_weights_is_refused_beside_parallel(tiny_base: Path, key: str, value: Any) -> None:
    settings = {key.partition(".")[0]: value, "gradient_accumulation_steps": 2}
    (fault,) = faults(tiny_base, 2, FinetuneSettings.model_validate({**settings, "parallel": {}}))
    assert (fault.code, fault.field) == ("recipe.parallel", key)
    assert faults(tiny_base, 2, FinetuneSettings.model_validate(settings)) == []


def test_what_an_adapter_learns_is_sharded_but_not_computed_together(tiny_base: Path) -> None:
    settings = {"method": "lora", "gradient_accumulation_steps": 2}
    assert faults(tiny_base, 2, FinetuneSettings.model_validate({**settings, "parallel": {}})) == []
    (fault,) = faults(tiny_base, 2, FinetuneSettings.model_validate({**settings, "parallel": {"tensor": 2}}))
    assert (fault.code, fault.field) == ("recipe.parallel", "method.name")


@pytest.mark.parametrize("count", [1, 3])
def test_lanes_of_two_want_an_even_number_of_processes(tiny_base: Path, count: int) -> None:
    (fault,) = faults(tiny_base, count, PretrainSettings.model_validate({"parallel": {"tensor": 2}}))
    assert (fault.code, fault.field) == ("launch.tensor", "parallel.tensor")
    assert "hone launch --procs-per-node 2" in fault.fix


def test_a_step_needs_as_many_batches_as_there_are_lanes(tiny_base: Path) -> None:
    settings = PretrainSettings.model_validate({"parallel": {"tensor": 2}})
    assert faults(tiny_base, 2, settings) == []
    (fault,) = faults(tiny_base, 4, settings)
    assert (fault.code, fault.expected) == ("launch.batches", "2 or more")


def test_heads_that_are_not_divided_evenly_are_refused(tiny_base: Path) -> None:
    (fault,) = faults(tiny_base, 3, PretrainSettings.model_validate({"parallel": {"tensor": 3}}))
    assert (fault.code, fault.field) == ("recipe.parallel", "parallel.tensor")
    assert "attention heads" in fault.found


def test_layers_that_are_not_as_the_configuration_says_are_not_computed_together(tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base")
    model = AutoModel.from_pretrained(base)
    layer, some = model.encoder.layer[0], torch.arange(48)
    layer.intermediate.dense = kept(layer.intermediate.dense, outputs=some)
    layer.output.dense = kept(layer.output.dense, inputs=some)
    (base / "model.safetensors").unlink()
    assert write_own(model, base)
    settings = {"parallel": {"tensor": 2}}
    (fault,) = faults(base, 2, PretrainSettings.model_validate(settings))
    assert (fault.code, fault.field) == ("recipe.parallel", "parallel.tensor")
    assert "model.shaped.safetensors" in fault.found


def test_layers_of_a_type_that_no_plan_knows_are_sharded_but_not_computed_together(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "t5", kind="t5")
    settings = {"parallel": {"shard": "full"}, "gradient_accumulation_steps": 2}
    assert faults(base, 2, PretrainSettings.model_validate(settings)) == []
    (fault,) = faults(base, 2, PretrainSettings.model_validate({"parallel": {"tensor": 2}}))
    assert (fault.code, "'t5'" in fault.found) == ("recipe.parallel", True)
