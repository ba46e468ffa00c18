"""`Stream`: documents of a corpus in a seeded order, and a position to go on from exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hone.core.errors import DataError
from hone.data.corpus.documents import Document
from hone.data.corpus.mixture import Draws
from hone.data.corpus.order import Order

if TYPE_CHECKING:
    from hone.data.corpus.corpus import Corpus

VERSION = 1  # raised whenever the same seed gives another order


class Stream(Iterator[Document]):
    """Documents in a shuffled order, read one by one: see `Corpus.stream`.

    Each source goes through its documents again and again, every time in another order, and an epoch takes of each
    what its share asks for: of a corpus without shares every document once.
    """

    def __init__(
        self,
        corpus: Corpus,
        begins: Sequence[int],
        *,
        seed: int,
        epochs: tuple[int, int | None],
        position: Mapping[str, Any] | None,
        part: tuple[int, int],
    ) -> None:
        self._corpus, self._begins, self._seed = corpus, begins, seed
        self._rank, self._world = part
        first, count = epochs
        self._quota = corpus.shares.documents
        self._epoch, self._taken = first, [0] * len(self._quota)
        if position is not None:
            self._go_to(position)
        self._end = None if count is None else first + count
        self._orders: dict[int, tuple[int, Order]] = {}  # source -> its pass and that one's order
        self._draws = Draws(self._quota, seed=[seed, 0xD4A5, self._epoch])

    @property
    def position(self) -> dict[str, Any]:
        """Where it stands, after the last document that it gave: plain JSON."""
        return {
            "version": VERSION,
            "corpus": self._corpus.digest,
            "seed": self._seed,
            "rank": self._rank,
            "world_size": self._world,
            "epoch": self._epoch,
            "taken": list(self._taken),
        }

    def __next__(self) -> Document:
        return self._corpus.document(next(self.rows()))

    def rows(self) -> Iterator[int]:
        """The rows of the documents that are still to come, in place of these."""
        while True:
            if sum(self._taken) == sum(self._quota):
                self._epoch += 1
                self._taken = [0] * len(self._quota)
                self._draws = Draws(self._quota, seed=[self._seed, 0xD4A5, self._epoch])
            if self._end is not None and self._epoch >= self._end:
                return
            step = sum(self._taken)
            source = self._draws.source(self._taken)
            draw = self._epoch * self._quota[source] + self._taken[source]
            self._taken[source] += 1
            if step % self._world == self._rank:
                yield self._row(source, draw)

    def _row(self, source: int, draw: int) -> int:
        """The row of the ``draw``-th document that a source gives, over all epochs."""
        count = self._corpus.sizes[source].documents
        times, place = divmod(draw, count)
        known = self._orders.get(source)
        if known is None or known[0] != times:
            buffer = self._corpus.settings.shuffle_buffer
            known = times, Order(count, buffer=buffer, seed=[self._seed, 0x0DE5, source, times])
            self._orders[source] = known
        return self._begins[source] + known[1][place]

    def _go_to(self, position: Mapping[str, Any]) -> None:
        own = self.position
        for name, what in (("version", "version"), ("corpus", "corpus"), ("seed", "seed"), ("rank", "rank"),
                           ("world_size", "world size")):  # fmt: skip
            if position.get(name) != own[name]:
                raise DataError(
                    f"the position in the corpus is one of the {what} {position.get(name)!r}",
                    expected=f"one of the {what} {own[name]!r}",
                    fix="Go on with the same files, settings and number of processes, or begin anew.",
                    code="data.position",
                )
        taken = position.get("taken")
        if not isinstance(taken, list) or len(taken) != len(self._quota) or not isinstance(position.get("epoch"), int):
            raise DataError("the position in the corpus is damaged", code="data.position")
        self._epoch, self._taken = position["epoch"], list(taken)
