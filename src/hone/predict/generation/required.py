"""Beam search whose texts contain required words (Post and Vilar 2018: dynamic beam allocation)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hone.core.errors import RecipeError
from hone.models.writers.writer import Writer
from hone.predict.generation.beam import NEVER, Beam, BeamSearch, Hunt, Looked, Whole, ids_of
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings
from hone.text.words import contains_word, is_unspaced


@dataclass(frozen=True)
class Lack:
    """What a beginning lacks.

    Attributes:
        tokens: How many tokens the words take that it does not have yet.
        following: Tokens that one of these may go on with.
    """

    tokens: int
    following: frozenset[int]


class Wanted:
    """Words as the tokens they are written in.

    Raises:
        RecipeError: There is no tokenizer, or it cannot write one of them.
    """

    def __init__(self, words: Sequence[str], vocabulary: Vocabulary) -> None:
        if vocabulary.encode is None or vocabulary.decode is None:
            raise RecipeError("required_words where there is no tokenizer", code="decoding.no-tokenizer")
        self._words, self._decode = list(dict.fromkeys(words)), vocabulary.decode
        spaced, bare = (vocabulary.encode([before + word for word in self._words]) for before in (" ", ""))
        self._forms = [
            [ids, *([first] if is_unspaced(word[0]) and first != ids else [])]
            for word, ids, first in zip(self._words, spaced, bare, strict=True)
        ]
        self._first = bare
        odd = [
            w for w, (ids, *_) in zip(self._words, self._forms, strict=True) if self._decode(ids).strip() != w.strip()
        ]
        if odd:
            raise RecipeError(
                f"required_words that the tokenizer cannot write: {', '.join(map(repr, odd))}",
                fix="Leave them out, or take a base whose tokenizer has their characters.",
                code="decoding.required-word",
            )

    def lack(self, ids: Sequence[int]) -> Lack:
        """What a text of these tokens lacks."""
        text = self._decode(ids)
        missing = [i for i, word in enumerate(self._words) if not contains_word(text, word)]
        least = {i: min(map(len, self._forms[i])) for i in missing}
        total, best, following = sum(least.values()), 0, set[int]()
        for i in missing:
            for form in [
                *self._forms[i],
                *([self._first[i]] if not text.strip() or _begun(ids, self._first[i]) else []),
            ]:
                done = _begun(ids, form)
                gained = least[i] - (len(form) - done) if done else 0
                following.add(form[done])
                best = max(best, gained)
        return Lack(total - best, frozenset(following))


class RequiredSearch(BeamSearch):
    """Beam search for texts that contain ``required_words``.

    Beside the likeliest tokens each beginning is tried with the next token of a word that it lacks, and beginnings that
    lack more are kept beside those that lack less, so that a word stands where the model finds it likeliest. No
    beginning is kept that has no room left for what it lacks. So every text has all words, unless there is less
    room than they take from the start.
    """

    def __init__(self, writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary) -> None:
        super().__init__(writer, settings, vocabulary)
        self._wanted = Wanted(settings.required_words, vocabulary)
        self._least = self._wanted.lack(()).tokens

    def _looked_at(self, sums: Tensor, own: Tensor | None) -> Iterator[Looked]:
        size = sums.shape[1] // self.each
        for at, (hunt, (_, best, _)) in enumerate(zip(self.rows, super()._looked_at(sums, None), strict=True)):
            more = [
                i * size + token
                for i, beam in enumerate(hunt.beams)
                if beam.chance > NEVER
                for token in self._wanted.lack(ids_of(beam)).following
            ]
            places = torch.tensor([*dict.fromkeys([*best, *more])])
            places = places[sums[at, places].argsort(descending=True, stable=True)]
            yield sums[at, places].tolist(), places.tolist(), None if own is None else own[at, places].tolist()

    def _sift(self, hunt: Hunt, candidates: Iterator[Beam], *, first: int) -> None:
        if self._least > hunt.limit:  # there is no room for them: what is written says that it lacks some
            super()._sift(hunt, candidates, first=first)
            return
        hunt.count += 1
        whole, kept, given = list[Whole](), defaultdict[int, list[Beam]](list), list(candidates)
        power = hunt.count**self._settings.length_penalty
        for beam in given:
            ids, ended = ids_of(beam), self._ended(hunt, beam)
            lack = self._wanted.lack(ids[:-1] if ended == "stop" else ids).tokens
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


def _begun(ids: Sequence[int], form: Sequence[int]) -> int:
    """How many tokens of ``form``, not all, ``ids`` ends with."""
    most = min(len(form) - 1, len(ids))
    return next((n for n in range(most, 0, -1) if list(ids[-n:]) == list(form[:n])), 0)
