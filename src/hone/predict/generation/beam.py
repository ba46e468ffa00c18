"""Beam search, as transformers 5 does it: the same texts, scores and moment to end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hone.models.writers.writer import State, Writer
from hone.predict.generation.controls import Controls
from hone.predict.generation.ends import Ends
from hone.predict.generation.greatest import greatest
from hone.predict.generation.words import Words
from hone.predict.generation.written import Ended, Vocabulary, Written
from hone.tasks.decoding import DecodingSettings

NEVER = float("-inf")


Looked = tuple[list[float], list[int], list[float] | None]  # see BeamSearch._looked_at
Node = tuple[Any, int]  # the node of the token before, None at first, and a token: beginnings share their past


class Beam(NamedTuple):
    """The beginning of a text.

    Attributes:
        chance: What it is ranked by among beginnings of its length: the sum of its log-probabilities after controls.
        own: The sum without controls.
        node: Its last token; None where it has none yet.
        row: Of the state that it goes on from.
    """

    chance: float
    own: float
    node: Node | None
    row: int


class Whole(NamedTuple):
    """A text that has ended."""

    score: float
    beam: Beam
    ended: Ended


@dataclass
class Hunt:
    """What beam search has of one prompt.

    Attributes:
        key: Which prompt it is.
        limit: Most tokens of a text.
        beams: Beginnings to go on with, one a row.
        best: The greatest of their chances.
        whole: Texts that have ended, best first; at most as many as beams.
        count: Tokens of each beginning.
    """

    key: int
    limit: int
    beams: list[Beam]
    best: float = 0.0
    whole: list[Whole] = field(default_factory=list)
    count: int = 0


class BeamSearch:
    """Beam search over ``num_beams`` rows a prompt.

    Attributes:
        rows: The prompts that are being worked on, in the order of the state's rows.
    """

    hidden = False

    def __init__(
        self, writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary, words: Sequence[Words]
    ) -> None:
        self._writer, self._settings, self._words = writer, settings, words
        self._ends = Ends(writer, settings, vocabulary)
        self._controls = Controls(settings, vocabulary, words=words, start=writer.start, size=writer.vocabulary)
        self.each = self.most_rows = settings.num_beams
        self._wide = self.each * min(max(2, 1 + len(self._ends.tokens)), writer.vocabulary)
        self.rows: list[Hunt] = []

    def limit(self, prompt: Sequence[int]) -> int:
        return self._ends.limit(prompt)

    def add(self, keys: Sequence[int], prompts: Sequence[Sequence[int]], state: State) -> None:
        limits = [self._ends.limit(prompt) for prompt in prompts]
        self._controls.add(keys, prompts, each=self.each, limits=limits)
        for key, limit in zip(keys, limits, strict=True):
            # all rows are alike at first: what one of them goes on with counts once
            beams = [Beam(0.0, 0.0, None, -1), *(Beam(NEVER, 0.0, None, -1) for _ in range(self.each - 1))]
            self.rows.append(Hunt(key, limit, beams))

    @torch.inference_mode()
    def advance(self, state: Any, logits: Tensor) -> tuple[Tensor, dict[int, list[Written]]]:
        found = {}
        going = []
        for at, (hunt, candidates) in enumerate(zip(self.rows, self._candidates(logits), strict=True)):
            self._sift(hunt, candidates, first=at * self.each)
            if self._is_over(hunt):
                found[hunt.key] = self._best(hunt)
            else:
                going.append(hunt)
        self.rows = going
        beams = [beam for hunt in going for beam in hunt.beams]
        index = torch.tensor([beam.row for beam in beams], dtype=torch.long)
        tokens = torch.tensor([beam.node[1] for beam in beams if beam.node is not None], dtype=torch.long)
        self._controls.move(index, tokens)
        state.take(index)
        return (self._writer.step(state, tokens) if going else logits[:0]), found

    def _candidates(self, logits: Tensor) -> Iterator[Iterator[Beam]]:
        """For each prompt the beginnings that are one token longer, the likeliest ones, best first."""
        chances = torch.tensor([beam.chance for hunt in self.rows for beam in hunt.beams])
        own = logits.log_softmax(dim=-1)
        controlled = self._controls.active
        sums = self._controls.apply(own) + chances[:, None] if controlled else own.add_(chances[:, None])
        sums, own = sums.view(len(self.rows), -1), own.view(len(self.rows), -1)
        looked_at = zip(self.rows, self._looked_at(sums, own if controlled else None), strict=True)
        for at, (hunt, (best, places, alone)) in enumerate(looked_at):
            yield _longer(hunt.beams, best, places, alone, size=logits.shape[1], first=at * self.each)

    def _looked_at(self, sums: Tensor, own: Tensor | None) -> Iterator[Looked]:
        """For each prompt the beginnings that are looked at, best first: their chances, where they stand among all, and
        their log-probabilities without controls; of the chances of all, float32 [prompts, beams x vocabulary]."""
        best, places = greatest(sums, self._wide)
        alone = itertools.repeat(None) if own is None else own.gather(1, places).tolist()
        yield from zip(best.tolist(), places.tolist(), alone, strict=False)

    def _sift(self, hunt: Hunt, candidates: Iterator[Beam], *, first: int) -> None:
        """Go on with the best of the candidates that have not ended, and keep what has, if it is among the best; the
        prompt's rows begin at ``first``."""
        hunt.count += 1
        whole, going = [], []
        power = hunt.count**self._settings.length_penalty
        for rank, beam in enumerate(candidates):
            ended = self._ended(hunt, beam)
            if ended is None:
                going.append(beam)
            elif rank < self.each and beam.chance > NEVER:
                whole.append(Whole(beam.chance / power, beam, ended))
            if rank + 1 >= self.each and len(going) == self.each:
                break
        self._go_on(hunt, going, whole, first=first)

    def _go_on(self, hunt: Hunt, going: list[Beam], whole: list[Whole], *, first: int) -> None:
        """Go on with beams, of which there are at most as many as before, and keep what is whole, if it is among the
        best."""
        if whole:
            hunt.whole = sorted([*hunt.whole, *whole], key=lambda text: -text.score)[: self.each]
        if going:  # fewer than there were where stop strings end many: the first stands in, and counts once
            going += [going[0]._replace(chance=NEVER)] * (self.each - len(going))
        hunt.best = going[0].chance if going else NEVER
        hunt.beams = _settled(going, first=first)

    def _ended(self, hunt: Hunt, beam: Beam) -> Ended | None:
        if not self._settings.stop_strings:  # without them the last token tells
            assert beam.node is not None
            token = beam.node[1]
            return "stop" if token in self._ends.tokens else "length" if hunt.count >= hunt.limit else None
        return self._ends.reason(ids_of(beam), limit=hunt.limit)

    def _is_over(self, hunt: Hunt) -> bool:
        """Whether no beginning is left, or none that is likely to lead to a better text than there is."""
        settings = self._settings
        if hunt.best == NEVER:
            return True
        if len(hunt.whole) < self.each:
            return False
        longest = settings.early_stopping == "never" and settings.length_penalty > 0
        count = hunt.limit if longest else hunt.count
        hoped = hunt.best / count**settings.length_penalty
        return settings.early_stopping is True or hoped <= hunt.whole[-1].score

    def _best(self, hunt: Hunt) -> list[Written]:
        words = self._words[hunt.key]
        return [
            self._ends.written(
                ids_of(text.beam), text.ended, words=words, log_probability=text.beam.own, score=text.score
            )
            for text in hunt.whole[: self._settings.num_return_sequences]
        ]


def _longer(
    beams: Sequence[Beam],
    chances: Sequence[float],
    places: Sequence[int],
    alone: Sequence[float] | None,
    *,
    size: int,
    first: int,
) -> Iterator[Beam]:
    """Beams one token longer: the sums of their log-probabilities, with controls and without them (None: the same
    ones), and where each stands among the ``size`` tokens of all beams, the first of which is row ``first``."""
    for i, chance in enumerate(chances):
        beam, token = divmod(places[i], size)
        before = beams[beam]
        own = chance if alone is None else before.own + alone[i]
        yield Beam(chance, own, (before.node, token), first + beam)


def _settled(beams: Sequence[Beam], *, first: int) -> list[Beam]:
    """Beams in such an order that as many as can be stay in the row that they go on from, for others are moved."""
    rows: dict[int, Beam] = {}
    moved = []
    for beam in beams:
        if beam.row in rows:
            moved.append(beam)
        else:
            rows[beam.row] = beam
    free = iter(moved)
    return [rows[row] if row in rows else next(free) for row in range(first, first + len(beams))]


def ids_of(beam: Beam) -> list[int]:
    """The tokens of a beginning."""
    ids = []
    node = beam.node
    while node is not None:
        node, token = node
        ids.append(token)
    return ids[::-1]
