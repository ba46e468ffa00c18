"""Tensors that are divided among processes: which piece of one this process has, files of pieces, and what another
division reads from them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor


class Piece(NamedTuple):
    """A block of a tensor.

    Attributes:
        offset: Where it begins along each dimension.
        size: How long it is there.
    """

    offset: tuple[int, ...]
    size: tuple[int, ...]

    def shared(self, other: Piece) -> Piece:
        """What both have of the tensor; of no size where they have nothing."""
        starts = tuple(map(max, self.offset, other.offset))
        ends = [min(a + n, b + m) for a, n, b, m in zip(*self, *other, strict=True)]
        return Piece(starts, tuple(max(0, end - start) for start, end in zip(starts, ends, strict=True)))

    def within(self, other: Piece) -> tuple[slice, ...]:
        """Where it lies in ``other``."""
        return tuple(
            slice(a - b, a - b + n) for a, n, b in zip(self.offset, self.size, other.offset, strict=True)
        )  # fmt: skip


def local(tensor: Tensor) -> Tensor:
    """What of a tensor is in this process: the same memory, without derivatives."""
    found: Tensor = tensor.detach()
    return found.to_local() if isinstance(found, DTensor) else found


def piece_of(tensor: Tensor, coordinate: Sequence[int] | None = None) -> Piece:
    """Which piece of a tensor this process has, or the one at ``coordinate`` among those that it is divided among.
    Layers that are computed together are divided first, and what each has of them then among those that read other
    batches."""
    offset, size = [0] * tensor.ndim, list(tensor.shape)
    if isinstance(tensor, DTensor):
        coordinate = coordinate or tensor.device_mesh.get_coordinate()
        assert coordinate is not None, "a tensor of other processes"
        for axis in reversed(range(tensor.device_mesh.ndim)):
            dim = getattr(tensor.placements[axis], "dim", None)  # of those that divide a tensor
            if dim is not None:
                each = -(-size[dim] // tensor.device_mesh.size(axis))
                start = min(each * coordinate[axis], size[dim])
                offset[dim] += start
                size[dim] = min(each, size[dim] - start)
    return Piece(tuple(offset), tuple(size))


def holders(tensor: Tensor, count: int) -> int:
    """How many of ``count`` processes have the same piece of a tensor."""
    if not isinstance(tensor, DTensor):
        return count
    mesh = tensor.device_mesh
    return count // math.prod(mesh.size(i) for i, p in enumerate(tensor.placements) if hasattr(p, "dim"))


def write_pieces(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write what this process has of ``tensors``.

    Raises:
        OSError, SafetensorError: It could not be written.
    """
    places = {name: [*piece_of(tensor), tuple(tensor.shape)] for name, tensor in tensors.items()}
    values = {name: local(tensor).contiguous() for name, tensor in tensors.items()}
    save_file(values, path, metadata={"pieces": json.dumps(places)})


class Pieces:
    """Tensors by name, read from the files in which several processes wrote what they had of them.

    Args:
        files: Of all those processes.

    Raises:
        OSError, ValueError, KeyError, SafetensorError: One is damaged or missing; when entered.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files, self._stack = list(files), ExitStack()
        self._held: dict[str, list[tuple[Any, Piece]]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        for path in self._files:
            opened = self._stack.enter_context(safe_open(path, framework="pt"))
            for name, (offset, size, shape) in json.loads(opened.metadata()["pieces"]).items():
                self._held.setdefault(name, []).append((opened, Piece(tuple(offset), tuple(size))))
                self.shapes[name] = tuple(shape)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, name: str, into: Tensor) -> None:
        """Copy into what this process has of a tensor what the files have of that, however they divide it.

        Raises:
            KeyError, ValueError: They have no such tensor, one of another shape, or not all of it.
        """
        if self.shapes[name] != tuple(into.shape):
            raise ValueError(f"{name} is {list(self.shapes[name])}, and {list(into.shape)} here")
        wanted, target = piece_of(into), local(into)
        missing, done = target.numel(), set()
        for file, held in self._held[name]:
            part = held.shared(wanted)
            if math.prod(part.size) and part not in done:  # several may have the same piece
                found = file.get_slice(name)[part.within(held)] if part.size else file.get_tensor(name)
                target[part.within(wanted)] = found.to(target.device)
                missing -= math.prod(part.size)
                done.add(part)
        if missing:
            raise ValueError(f"{missing} numbers of {name} are in none of the files")

    def whole(self, name: str) -> Tensor:
        """A tensor that is not divided.

        Raises:
            KeyError, ValueError: As of `read`.
        """
        file, _ = self._held[name][0]
        value = torch.empty(self.shapes[name], dtype=file.get_tensor(name).dtype)
        self.read(name, value)
        return value
