"""What a quick writer remembers: keys and values of what was written, with room for more, and those of the sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

GROWN = 32  # places by which the room grows at least


class Source:
    """Keys and values of sources, each once however many rows are written from it.

    Attributes:
        each: Rows in a row that share one source.
        keys, values: Of each layer, float32 [sources x heads, source tokens, size].
        bias: What attention adds to the scores of padding, float32 [sources x heads, 1, source tokens]; None where
            there is no padding.
    """

    def __init__(self, kept: Tensor, mask: Tensor) -> None:
        self._kept = kept  # [layers, 2, sources, heads, source tokens, size]
        self._mask = mask  # bool [sources, source tokens]
        self._owners = torch.arange(len(mask))  # [rows]: which source each is written from
        self.each = 1
        self._renew()

    def _renew(self) -> None:
        kept = self._kept
        flat = kept.view(kept.shape[0], 2, -1, *kept.shape[4:])
        self.keys: Sequence[Tensor] = [pair[0] for pair in flat]
        self.values: Sequence[Tensor] = [pair[1] for pair in flat]
        self.bias = None if bool(self._mask.all()) else _bias(self._mask, heads=kept.shape[3])

    def take(self, index: Tensor) -> None:
        owners = self._owners[index]
        if torch.equal(owners, self._owners):
            return
        found, counts = torch.unique_consecutive(owners, return_counts=True)
        each = int(counts[0]) if len(counts) else 1
        if not bool((counts == each).all()):  # rows share nothing then
            found, each = owners, 1
        if len(found) != len(self._mask) or not torch.equal(found, torch.arange(len(found))):
            self._kept, self._mask = self._kept.index_select(2, found), self._mask[found]
            self._renew()
        self._owners, self.each = torch.arange(len(found)).repeat_interleave(each), each

    def join(self, other: Source) -> None:
        for source in (self, other):
            if self.each != other.each and source.each > 1:
                source._kept, source._mask = source._kept.index_select(2, source._owners), source._mask[source._owners]
                source._owners, source.each = torch.arange(len(source._mask)), 1
        tokens = max(self._mask.shape[1], other._mask.shape[1])
        self._owners = torch.cat([self._owners, other._owners + len(self._mask)])
        self._kept = torch.cat([lengthened(source._kept, tokens) for source in (self, other)], dim=2)
        masks = [torch.nn.functional.pad(one._mask, (0, tokens - one._mask.shape[1])) for one in (self, other)]
        self._mask = torch.cat(masks)
        self._renew()


class Memory:
    """State of a quick writer.

    Each token that is kept has a number of its own, so that rows which change places with others of the same past (as
    beams do in every step) move only the tokens by which they differ.

    Attributes:
        places: int64 [rows]: where each row's next token stands.
        used: The greatest of these.
        even: Whether they are all alike.
        source: What was read of the sources; None where prompts are continued.
        shows: Whether each step leaves ``hidden``.
    """

    def __init__(self, kept: Tensor, places: Tensor, *, source: Source | None, hidden: Tensor | None) -> None:
        self.hidden = hidden
        self.shows = hidden is not None
        self.source = source
        self._kept = kept  # [layers, 2, rows, heads, room, size]
        self._numbers = torch.arange(len(places))[:, None].repeat(1, kept.shape[4])  # [rows, room]
        self._counted = len(places)
        self._moved(places)
        self._renew()

    def __len__(self) -> int:
        return len(self.places)

    def _moved(self, places: Tensor) -> None:
        self.places = places
        self.used = int(places.max()) if len(places) else 0
        self.even = bool((places == self.used).all())
        self._rows = torch.arange(len(places))

    def _renew(self) -> None:
        flat = self._kept.view(self._kept.shape[0], 2, -1, *self._kept.shape[4:])
        self._layers = [(whole, pair[0], pair[1]) for whole, pair in zip(self._kept, flat, strict=True)]

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Keys and values of each layer, float32 [rows, heads, room, size]."""
        yield from ((keys, values) for keys, values in self._kept)

    def reserve(self) -> None:
        """Make room for one more token of each row."""
        room = self._kept.shape[4]
        if self.used == room:
            more = max(GROWN, room // 2)
            self._kept = lengthened(self._kept, room + more)
            self._numbers = torch.nn.functional.pad(self._numbers, (0, more))
            self._renew()

    def keep(self, layer: int, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Set the keys and values [rows, 2, heads, size] of each row's new token at its place; returns all that there
        are, each [rows x heads, places, size], those after a row's own place without meaning."""
        whole, keys, values = self._layers[layer]
        if self.even:
            whole.select(3, self.used).copy_(pairs.transpose(0, 1))
        else:
            whole[:, self._rows, :, self.places] = pairs
        return keys.narrow(1, 0, self.used + 1), values.narrow(1, 0, self.used + 1)

    def seen(self) -> Tensor:
        """Which places each row may look at in this step, bool [rows, used + 1]."""
        return torch.arange(self.used + 1) <= self.places[:, None]

    def advance(self) -> None:
        """Each row has its new token."""
        if self.even:
            self._numbers[:, self.used] = self._rows + self._counted
        else:
            self._numbers[self._rows, self.places] = self._rows + self._counted
        self._counted += len(self)
        self.places = self.places + 1
        self.used += 1

    @torch.inference_mode()
    def take(self, index: Tensor) -> None:
        numbers = self._numbers[index]
        if len(index) == len(self):
            rows, places = (numbers[:, : self.used] != self._numbers[:, : self.used]).nonzero(as_tuple=True)
            self._kept[:, :, rows, :, places] = self._kept[:, :, index[rows], :, places]
        else:
            self._kept = self._kept.index_select(2, index)
            self._renew()
        self._numbers = numbers
        self.hidden = None if self.hidden is None else self.hidden[index]
        if len(index) != len(self) or not self.even:
            self._moved(self.places[index])
        if self.source is not None:
            self.source.take(index)

    @torch.inference_mode()
    def join(self, other: Memory) -> None:
        room = max(self._kept.shape[4], other._kept.shape[4])
        self._kept = torch.cat([lengthened(state._kept, room) for state in (self, other)], dim=2)
        numbers = [self._numbers, other._numbers + self._counted]
        self._numbers = torch.cat([torch.nn.functional.pad(one, (0, room - one.shape[1])) for one in numbers])
        self._counted += other._counted
        self.hidden = None
        self._moved(torch.cat([self.places, other.places]))
        self._renew()
        if self.source is not None and other.source is not None:
            self.source.join(other.source)


def lengthened(kept: Tensor, places: int) -> Tensor:
    """``kept`` [layers, 2, rows, heads, places, size] with zeros after it."""
    return torch.nn.functional.pad(kept, (0, 0, 0, places - kept.shape[4]))


def _bias(seen: Tensor, *, heads: int) -> Tensor:
    """0 of what may be looked at, bool [rows, places], and -inf of the rest: float32 [rows x heads, 1, places]."""
    bias = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
    return bias.repeat_interleave(heads, dim=0)[:, None]
