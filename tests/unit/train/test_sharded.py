"""Weights that two processes divide: checkpoints in pieces, layers that are computed together, and what is refused."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from training_bench import Bench, same, scripted, state_of
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, LlamaConfig, LlamaModel

from hone.core.errors import HoneError
from hone.core.processes import Place
from hone.core.progress import Silent
from hone.models.divided import divide
from hone.train import checkpoint_pieces
from hone.train.checkpoint import learned_state
from hone.train.checkpoint_pieces import load_pieces
from hone.train.loop import Loop
from hone.train.pieces import local, piece_of
from hone.train.processes import Processes, join
from hone.train.settings import ParallelSettings
from hone.train.sharded import fresh
from hone.train.trackers import Unlogged
from worker_processes import HOST, at_once, free_port

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}
BACKBONES: dict[str, Callable[[], Any]] = {
    "bert": lambda: BertModel(BertConfig(**SIZES, intermediate_size=32)),
    "gpt2": lambda: GPT2Model(GPT2Config(**SIZES)),
    "llama": lambda: LlamaModel(LlamaConfig(**SIZES, intermediate_size=32)),
}
SETTINGS = {"gradient_accumulation_steps": 2, "max_steps": 8, "save_steps": 4, "eval_strategy": "steps",
            "eval_steps": 3, "techniques": ["ema"]}  # fmt: skip


class Stopped(Silent):
    """A `Progress` that ends a training after so many steps, as an error would."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, units: int, **figures: float) -> None:
        self.left -= units
        if self.left == 0:
            raise InterruptedError


def divided(bench: Bench, place: Place, folder: str, measured: list[float | None]) -> tuple[Loop, nn.Module]:
    """A loop over weights that two processes divide, and the model it was given."""
    plain, model = bench.loop(folder=folder, validate=scripted(measured), **SETTINGS), bench.model(dropout=0.1)
    setup = replace(plain.setup, processes=Processes(place), parallel=ParallelSettings())
    return Loop(model, plain.task, plain.rows, setup=setup, accelerator=plain.accelerator), model


def goes_on_bit_for_bit(bench: Bench, place: Place) -> None:
    """Masks of dropout, an average of the weights and the best ones included."""
    whole, given = divided(bench, place, "unbroken", [0.1, 0.3, 0.2])
    whole.run(log=Unlogged(), progress=Silent(), resumed_at=None)
    everything = sum(parameter.numel() for parameter in whole.model.parameters())
    moments = [value for state in whole.optimizer.state.values() for value in state.values() if value.ndim]
    assert sum(local(parameter).numel() for parameter in whole.model.parameters()) < 0.6 * everything
    assert sum(local(moment).numel() for moment in moments) < 0.6 * 2 * everything
    broken, _ = divided(bench, place, "broken", [0.1, 0.3])
    with pytest.raises(InterruptedError):
        broken.run(log=Unlogged(), progress=Stopped(6), resumed_at=None)
    resumed, _ = divided(bench, place, "broken", [0.3, 0.2])
    assert resumed.resume() == 4
    resumed.run(log=Unlogged(), progress=Silent(), resumed_at=4)
    for part in (lambda loop: loop.model.state_dict(), lambda loop: loop.techniques.state()):
        one, other = ({name: local(value) for name, value in part(loop).items()} for loop in (whole, resumed))
        assert len(one) > 5
        assert same(one, other)
    if place.first:
        save_file({name: value.contiguous() for name, value in state_of(given).items()}, bench.folder / "learned")


def keeps_the_last_good_one(bench: Bench, place: Place) -> None:
    loop, _ = divided(bench, place, "full", [0.1, 0.3, 0.2])
    write = checkpoint_pieces.write_pieces

    def full(path: Path, *given: Any) -> None:
        write(path, *given)
        if loop.position.step == 8 and place.number == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_pieces, "write_pieces", full)
        with pytest.raises(HoneError) as raised:
            loop.run(log=Unlogged(), progress=Silent(), resumed_at=None)
    assert raised.value.code == "checkpoint.not-saved"
    assert ("No space left" if place.number else "process 1 could not") in str(raised.value)
    Processes(place).wait()
    assert [path.name for path in loop.setup.checkpoints.iterdir()] == ["step-000000004"]


def computes_layers_together(bench: Bench, place: Place) -> None:
    """States and every gradient are those of the whole model."""
    mesh = DeviceMesh("cpu", torch.arange(2))
    ids = torch.arange(12).view(2, 6)
    for name, make in BACKBONES.items():
        torch.manual_seed(3)
        model = make().eval()
        expected = model(input_ids=ids).last_hidden_state
        expected.square().sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        model.zero_grad(set_to_none=True)
        divide(model, mesh)
        states = model(input_ids=ids).last_hidden_state
        states.square().sum().backward()
        torch.testing.assert_close(states, expected)
        for key, gradient in gradients.items():
            parameter = dict(model.named_parameters())[key]
            found = parameter.grad
            assert found is not None, (name, key)
            full = found.full_tensor() if isinstance(found, DTensor) else found
            torch.testing.assert_close(
                full.reshape(gradient.shape), gradient, atol=1e-4, rtol=1e-4, msg=f"{name} {key}"
            )
        pieces = [p for p in model.parameters() if isinstance(p, DTensor) and local(p).numel() < p.numel()]
        assert len(pieces) >= 6
        assert all(piece_of(p).size == tuple(local(p).shape) for p in pieces)


CHECKS = (goes_on_bit_for_bit, keeps_the_last_good_one, computes_layers_together)


def _process(place: Place, port: int, bench: Bench) -> None:
    os.environ.update(MASTER_ADDR=HOST, MASTER_PORT=str(port))
    join(place, torch.device("cpu"))
    for check in CHECKS:
        try:
            check(bench, place)
            said = "as it should"
        except BaseException:
            said = traceback.format_exc()
        (bench.folder / f"{check.__name__}-{place.number}").write_text(said, encoding="utf-8")
        dist.barrier()


@pytest.fixture(scope="module")
def module_bench(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tiny_base, tmp_path_factory.mktemp("divided"))


@pytest.fixture(scope="module")
def done(module_bench: Bench) -> Path:
    """The folder of what two processes have said of every check."""
    port = free_port()
    module_bench.loop(**SETTINGS)  # what it caches is there before both want it
    at_once(_process, [(Place(i, 2, i), port, module_bench) for i in range(2)])
    return module_bench.folder


@pytest.mark.parametrize("check", CHECKS)
def test_two_processes_find_that_dividing_weights(done: Path, check: Callable[..., None]) -> None:
    for number in range(2):
        assert (done / f"{check.__name__}-{number}").read_text(encoding="utf-8") == "as it should"


def test_one_process_reads_the_pieces_of_two(done: Path, module_bench: Bench) -> None:
    model = module_bench.model(seed=9)
    folder = module_bench.folder / "unbroken" / "checkpoints" / "step-000000008"
    parameters = dict(model.named_parameters())
    position, found = load_pieces(folder, model=learned_state(model, fixed=set()), parameters=parameters)
    assert (position.step, position.best) == (8, 0.3)
    learned = load_file(done / "learned")
    assert same(found["best"], learned)
    assert {name.rpartition("/")[0] for name in found["optimizer"]} == parameters.keys()
    assert not same(state_of(model), learned)  # the last weights, not the best


def test_pieces_that_are_missing_are_told_and_so_is_another_layout(done: Path, module_bench: Bench) -> None:
    whole = module_bench.loop(folder="unbroken", **SETTINGS)
    with pytest.raises(HoneError, match="2 processes wrote, and one process goes on") as raised:
        whole.resume()
    assert (raised.value.code, raised.value.exit_code) == ("checkpoint.divided", 2)
    folder = module_bench.folder / "broken" / "checkpoints" / "step-000000008"
    (folder / "process-1.safetensors").unlink()
    model = module_bench.model()
    with pytest.raises(HoneError) as raised:
        load_pieces(folder, model=learned_state(model, fixed=set()), parameters=dict(model.named_parameters()))
    assert raised.value.code == "checkpoint.damaged"


def test_what_a_layer_gives_is_no_view_of_another_tensor_and_no_weight() -> None:
    weight = torch.arange(4.0, requires_grad=True)
    states, rest, nothing = fresh(nn.Identity(), (), (weight.view(2, 2), {"bias": weight[1:]}, None))
    assert not states._is_view()
    assert not rest["bias"]._is_view()
    assert nothing is None
    assert fresh(nn.Identity(), (), {"end": weight})["end"] is not weight
    assert states.flatten().tolist() == [0, *rest["bias"].tolist()]
