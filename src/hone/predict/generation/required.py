"""Beam search whose texts contain required words (Post and Vilar 2018: dynamic beam allocation)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from hone.predict.generation.beam import NEVER, Beam, BeamSearch, Hunt, Looked, Whole, ids_of
from hone.predict.generation.words import Wanted


class RequiredSearch(BeamSearch):
    """Beam search for texts that contain ``required_words``; prompts that have none are searched as ever.

    Beside the likeliest tokens each beginning is tried with the next token of a word that it lacks, and beginnings that
    lack more are kept beside those that lack less, so that a word stands where the model finds it likeliest. No
    beginning is kept that has no room left for what it lacks. So every text has all words, unless there is less
    room than they take from the start.
    """

    def _looked_at(self, sums: Tensor, own: Tensor | None) -> Iterator[Looked]:
        size = sums.shape[1] // self.each
        for at, (hunt, looked_at) in enumerate(zip(self.rows, super()._looked_at(sums, own), strict=True)):
            wanted = self._words[hunt.key].wanted
            if wanted is None:
                yield looked_at
                continue
            more = [
                i * size + token
                for i, beam in enumerate(hunt.beams)
                if beam.chance > NEVER
                for token in wanted.lack(ids_of(beam)).following
            ]
            places = torch.tensor([*dict.fromkeys([*looked_at[1], *more])])
            places = places[sums[at, places].argsort(descending=True, stable=True)]
            yield sums[at, places].tolist(), places.tolist(), None if own is None else own[at, places].tolist()

    def _sift(self, hunt: Hunt, candidates: Iterator[Beam], *, first: int) -> None:
        wanted = self._words[hunt.key].wanted
        if wanted is None or wanted.least > hunt.limit:  # without room for them what is written says that it lacks some
            super()._sift(hunt, candidates, first=first)
            return
        self._sift_wanted(hunt, candidates, wanted=wanted, first=first)

    def _sift_wanted(self, hunt: Hunt, candidates: Iterator[Beam], *, wanted: Wanted, first: int) -> None:
        hunt.count += 1
        whole, kept, given = list[Whole](), defaultdict[int, list[Beam]](list), list(candidates)
        power = hunt.count**self._settings.length_penalty
        for beam in given:
            ids, ended = ids_of(beam), self._ended(hunt, beam)
            lack = wanted.lack(ids[:-1] if ended == "stop" else ids).tokens
            if beam.chance == NEVER or lack > hunt.limit - hunt.count:
                continue
            if ended is None:
                kept[lack].append(beam)
            elif lack == 0 and len(whole) < self.each:
                whole.append(Whole(beam.chance / power, beam, ended))
        if kept or whole or hunt.whole:
            self._go_on(hunt, _shared(kept, count=self.each), whole, first=first)
        else:  # other controls forbid a word: what is written says that it lacks some
            hunt.count -= 1
            super()._sift(hunt, iter(given), first=first)


def _shared(kept: Mapping[int, Sequence[Beam]], *, count: int) -> list[Beam]:
    """So many beams, by turns the best of each group, groups with the best one first; best first."""
    groups = sorted((list(group) for group in kept.values()), key=lambda group: -group[0].chance)
    chosen: list[Beam] = []
    while len(chosen) < count and any(groups):
        chosen += [group.pop(0) for group in groups if group][: count - len(chosen)]
    return sorted(chosen, key=lambda beam: -beam.chance)
