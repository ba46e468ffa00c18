"""When a text ends, and what it says then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hone.core.errors import DataError, RecipeError
from hone.models.writers.writer import Writer
from hone.predict.generation.words import Words
from hone.predict.generation.written import Ended, Vocabulary, Written
from hone.tasks.decoding import DecodingSettings


class Ends:
    """Tells whether a text has ended. A stop string that is a special token ends it as that token, which says nothing.

    Raises:
        RecipeError: There are stop strings and the vocabulary cannot decode, or one has a special token within it.
    """

    def __init__(self, writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary) -> None:
        if settings.stop_strings and vocabulary.decode is None:
            raise RecipeError("stop_strings where there is no tokenizer", code="decoding.no-tokenizer")
        special = vocabulary.special() if settings.stop_strings else {}
        self.tokens = frozenset(vocabulary.eos_token_ids)
        self._stops = frozenset(special[stop] for stop in settings.stop_strings if stop in special)
        _require_letters([stop for stop in settings.stop_strings if stop not in special], vocabulary, special)
        self._writer, self._settings, self._decode = writer, settings, vocabulary.decode
        rooms = [writer.most_tokens, vocabulary.most_tokens if writer.start is None else None]
        self._room = min((room for room in rooms if room is not None), default=None)

    def limit(self, prompt: Sequence[int]) -> int:
        """Most tokens of a text for a prompt.

        Raises:
            DataError: The prompt has no tokens, or leaves no place for one.
        """
        if not prompt:
            raise DataError("a prompt without tokens", expected="one at least", code="generation.empty-prompt")
        before = len(prompt) if self._writer.start is None else 1
        room, most = self._room, self._writer.most_prompt_tokens
        if (most is not None and len(prompt) > most) or (room is not None and room <= before):
            raise DataError(
                f"a prompt of {len(prompt)} tokens",
                expected=f"fewer than {room}" if self._writer.start is None else f"at most {most}",
                fix="Shorten it, or take a base with more positions.",
                code="generation.long-prompt",
            )
        new = self._settings.max_new_tokens
        return new if room is None else min(new, room - before)

    def reason(self, ids: Sequence[int], *, limit: int) -> Ended | None:
        """Why a text whose last token is the newest has ended; None where it goes on."""
        if ids[-1] in self.tokens:
            return "stop"
        if ids[-1] in self._stops:
            return "stop-string"
        if self._settings.stop_strings and self.stopped_at(self.text(ids)) is not None:
            return "stop-string"
        return "length" if len(ids) >= limit else None

    def stopped_at(self, text: str) -> int | None:
        """Where the first stop string of ``text`` begins."""
        found = [at for stop in self._settings.stop_strings if (at := text.find(stop)) >= 0]
        return min(found, default=None)

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say."""
        assert self._decode is not None  # as the stop strings were checked with
        return self._decode(ids)

    def written(
        self, ids: Sequence[int], ended: Ended, *, words: Words, log_probability: float, score: float | None
    ) -> Written:
        """A text that has ended; its last token may be one that ended it. ``score``: None for the usual one."""
        if score is None:
            score = log_probability / len(ids) ** self._settings.length_penalty
        own, ending = (tuple(ids[:-1]), ids[-1]) if ended == "stop" else (tuple(ids), None)
        text = None
        if self._decode is not None:
            text = self._decode(own)
            text = text[: self.stopped_at(text)]
        kept = None if text is None else words.keeps(text)
        return Written(own, log_probability, score, ended, text, kept, ending)


def _require_letters(stops: Sequence[str], vocabulary: Vocabulary, special: Mapping[str, int]) -> None:
    """Raise where the tokenizer reads a special token within one of ``stops``: no text says it."""
    if not stops or vocabulary.encode is None:
        return
    names = {token: name for name, token in special.items()}
    for stop, ids in zip(stops, vocabulary.encode(stops), strict=True):
        if (found := next((names[token] for token in ids if token in names), None)) is not None:
            raise RecipeError(
                f"the stop string {stop!r}, which has the special token {found!r} within it",
                expected="letters, or a special token by itself",
                fix=f"Take {found!r} alone.",
                code="decoding.stop-string",
            )
