"""`Words`: what has to stand in a text, and what may not, in the tokens that they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hone.core.errors import RecipeError
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings
from hone.text.words import contains_word, is_unspaced


class Words:
    """The words of some settings; prompts that are worked on together may each have others.

    Attributes:
        bad: Sequences of tokens that may not be written.
        wanted: The words that a text has to contain; None where there are none.
        keeps: `DecodingSettings.keeps`.

    Raises:
        RecipeError: There is no tokenizer, or it cannot write one of them.
    """

    def __init__(self, settings: DecodingSettings, vocabulary: Vocabulary) -> None:
        self.bad = _bad_tokens(settings.bad_words, vocabulary)
        self.wanted = Wanted(settings.required_words, vocabulary) if settings.required_words else None
        self.keeps = settings.keeps


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

    Attributes:
        least: How many tokens they take at least.

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
        self.least = self.lack(()).tokens

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


def _bad_tokens(words: Sequence[str], vocabulary: Vocabulary) -> list[list[int]]:
    """Sequences of tokens that may not be written, of words that may not: as they are and with a space before them; of
    a special token, that token.

    Raises:
        RecipeError: The vocabulary cannot encode, or makes no tokens of a word; or one is a token that ends texts.
    """
    if not words:
        return []
    if vocabulary.encode is None:
        raise RecipeError("bad_words where there is no tokenizer", code="decoding.no-tokenizer")
    found = vocabulary.encode([way for word in words for way in (word, f" {word}")])
    empty = [word for i, word in enumerate(words) if not any(found[2 * i : 2 * i + 2])]
    if empty:
        raise RecipeError(
            f"bad_words that the tokenizer makes no tokens of: {', '.join(map(repr, empty))}",
            fix="Leave them out.",
            code="decoding.bad-word",
        )
    special, ends = vocabulary.special(), vocabulary.eos_token_ids
    if ending := [word for word in words if special.get(word) in ends]:
        raise RecipeError(
            f"bad_words that end a text: {', '.join(map(repr, ending))}",
            fix="Leave them out; min_new_tokens keeps texts from ending early.",
            code="decoding.bad-word",
        )
    found += [[special[word]] for word in words if word in special]
    return [list(one) for one in dict.fromkeys(map(tuple, found)) if one and one not in [(end,) for end in ends]]


def _begun(ids: Sequence[int], form: Sequence[int]) -> int:
    """How many tokens of ``form``, not all, ``ids`` ends with."""
    most = min(len(form) - 1, len(ids))
    return next((n for n in range(most, 0, -1) if list(ids[-n:]) == list(form[:n])), 0)
