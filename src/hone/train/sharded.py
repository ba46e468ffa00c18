"""`Sharded`: a model of which each process has a part (Rajbhandari et al. 2020; Shoeybi et al. 2019), by torch's FSDP2.

Processes stand in rows and columns. Those of a row, a lane, compute each layer together and read the same batches
(`hone.models.divided`); those of a column read others, and each keeps a part of what they all would have.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from hone.models.divided import blocks_of, divide
from hone.models.model import Model
from hone.train.checkpoint import Position
from hone.train.checkpoint_pieces import load_pieces, save_pieces
from hone.train.holding import Holding, Restored
from hone.train.pieces import Piece, holders, local, piece_of
from hone.train.processes import Processes, talking, together
from hone.train.settings import ParallelSettings

DATA, TENSOR = "data", "tensor"
SMALL = 1e-6  # what torch adds to a norm before it divides by it


class Sharded(Holding):
    """Each process has a part of weights, gradients and moments. The first also has the whole model it was given, in
    which weights are gathered to be measured, and at the end.

    Args:
        model: As of `Holding`; in other processes than the first it is what is divided.
        device: That it is trained on.
    """

    divided = True

    def __init__(
        self, model: Model, processes: Processes, *, fixed: Set[str], parallel: ParallelSettings, device: torch.device
    ) -> None:
        self._whole = dict(model.named_parameters()) if processes.first else {}
        self._measured = model
        parts = copy.deepcopy(model.to("cpu")) if processes.first else model
        super().__init__(parts, processes, fixed=fixed)
        count, self._ways = processes.place.count, parallel.tensor
        ranks = torch.arange(count).view(-1, self._ways)
        with talking():
            mesh = DeviceMesh(device.type, ranks, mesh_dim_names=(DATA, TENSOR))
            if self._ways > 1:
                divide(parts.backbone, mesh[TENSOR])
            if len(ranks) > 1:
                self._shard(mesh[DATA], reshard=None if parallel.shard == "full" else False)
            else:
                parts.to(device)

    def _shard(self, lanes: DeviceMesh, *, reshard: bool | None) -> None:
        for part in (*blocks_of(self.model.backbone), self.model):
            part.register_forward_hook(fresh)  # before the hooks of FSDP2
            made = fully_shard(part, mesh=lanes, reshard_after_forward=reshard)
            made.set_gradient_divide_factor(1.0)  # a step divides by what it weighs
            made.set_force_sum_reduction_for_comms(True)

    @contextmanager
    def training(self) -> Iterator[None]:
        """Within it layers run module by module: that is when their weights are fetched."""
        with self.model.module_by_module(), talking():
            yield

    def add(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """They are added up on the way back."""

    @torch.no_grad()
    def norm(self, parameters: Sequence[Tensor]) -> Tensor:
        count = self._processes.place.count
        found = [(local(p.grad), 1 / holders(p, count)) for p in parameters if p.grad is not None]
        gradients, shares = [gradient for gradient, _ in found], [share for _, share in found]
        squares = torch.stack(torch._foreach_norm(gradients)).double().square().cpu()
        norm = math.sqrt(self._processes.sums(float(squares @ torch.tensor(shares, dtype=torch.float64)))[0])
        return torch.tensor(norm)

    @torch.no_grad()
    def clip(self, parameters: Sequence[Tensor], *, norm: Tensor, most: float) -> None:
        if norm > most:
            gradients = [local(p.grad) for p in parameters if p.grad is not None]
            torch._foreach_mul_(gradients, most / (float(norm) + SMALL))

    def measured(self, validate: Callable[[Model], dict[str, float | None]]) -> dict[str, float | None]:
        self._gather()
        found = self._processes.told(lambda: validate(self._measured))
        if self._processes.first:
            self._measured.to("cpu")  # where it was measured there is no room for it beside what is trained
        return found

    def kept(self) -> dict[str, Tensor] | None:
        return {name: value.clone() for name, value in self._state().items()}

    def save(
        self,
        folder: Path,
        *,
        position: Position,
        optimizer: torch.optim.Optimizer,
        best: dict[str, Tensor] | None,
        techniques: Mapping[str, Tensor],
    ) -> None:
        """Write a checkpoint, every process what it has; see `save_pieces`."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        moments = {
            f"{names[id(parameter)]}/{name}": value
            for parameter, values in optimizer.state.items()
            for name, value in values.items()
        }
        parts = {"model": self._state(), "optimizer": moments, "best": best or {}, "techniques": techniques}
        every = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        mine = {name: value for name, value in every.items() if self._writes(value)}
        save_pieces(folder, mine, position=position, has_best=best is not None, processes=self._processes)

    def load(self, path: Path, *, optimizer: torch.optim.Optimizer) -> Restored:
        """Take up a checkpoint that so many processes or others have written in pieces; see `load_pieces`."""
        learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        parameters = dict(self.model.named_parameters())
        position, found = load_pieces(path, model=self._state(), parameters=parameters)
        moments: dict[str, dict[str, Tensor]] = {}
        for key, value in found["optimizer"].items():
            name, _, kind = key.rpartition("/")
            moments.setdefault(name, {})[kind] = value
        for name, parameter in parameters.items():
            if id(parameter) in learned and name in moments:
                # The count of steps is read whole, on the CPU, and the optimizer counts where the weight is.
                optimizer.state[parameter] = {k: value.to(parameter.device) for k, value in moments[name].items()}
        return position, found.get("best"), found["techniques"]

    def finish(self) -> None:
        self._gather()

    def _writes(self, tensor: Tensor) -> bool:
        """Whether this process is the first of those that have the same piece of a tensor."""
        if not isinstance(tensor, DTensor):
            return self._processes.first
        mesh = tensor.device_mesh
        coordinate: Any = mesh.get_coordinate()
        divides = [hasattr(placement, "dim") for placement in tensor.placements]
        first = all(yes or not at for yes, at in zip(divides, coordinate, strict=True))
        names: Any = mesh.mesh_dim_names
        return first and (TENSOR in names or self._processes.place.number % self._ways == 0)

    @torch.no_grad()
    def _gather(self) -> None:
        """Copy every weight into the whole model of the first process."""
        for name, parameter in self.model.named_parameters():
            target = self._whole.get(name)
            into = None if target is None else target.detach().view(parameter.shape)
            if isinstance(parameter, DTensor):
                self._send(parameter, into)
            elif into is not None:
                into.copy_(parameter)

    def _send(self, parameter: DTensor, into: Tensor | None) -> None:
        """Send the first process what this one has of a weight; there ``into`` is all of it."""
        mesh, own = parameter.device_mesh, local(parameter)
        most = math.prod(_largest(parameter))
        sent = own.new_zeros(most)
        sent[: own.numel()] = own.flatten()
        parts = None if into is None else [torch.empty_like(sent) for _ in range(self._processes.place.count)]
        with together():
            dist.gather(sent, parts, dst=0)
        if into is None or parts is None:
            return
        everything = Piece((0,) * into.ndim, tuple(into.shape))
        for coordinate in np.ndindex(*mesh.shape):
            piece = piece_of(parameter, coordinate)
            values = parts[int(mesh.mesh[coordinate])][: math.prod(piece.size)]
            into[piece.within(everything)] = values.view(piece.size).to(into.device)


def _largest(parameter: DTensor) -> list[int]:
    """The size of the largest piece of a weight that any process has: the first one's."""
    return list(piece_of(parameter, (0,) * parameter.device_mesh.ndim).size)


def fresh(module: torch.nn.Module, given: Any, made: Any) -> Any:
    """What a module made, views of other tensors and weights as tensors of their own: FSDP2 marks what comes out of a
    module, a mark on a view is lost when that is changed in place, and a weight would keep those of all steps."""
    if isinstance(made, Tensor):
        return made.clone() if made.requires_grad and (made._is_view() or made.is_leaf) else made
    if isinstance(made, tuple):
        return tuple(fresh(module, given, one) for one in made)
    return {name: fresh(module, given, one) for name, one in made.items()} if isinstance(made, dict) else made


def held(
    model: Model,
    processes: Processes,
    *,
    fixed: Set[str],
    parallel: ParallelSettings | None,
    device: torch.device,
) -> Holding:
    """Who holds which weights, as the recipe has it; one process holds all."""
    if parallel is None or not processes.several:
        return Holding(model, processes, fixed=fixed)
    return Sharded(model, processes, fixed=fixed, parallel=parallel, device=device)
