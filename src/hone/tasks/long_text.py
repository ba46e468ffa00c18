"""Text longer than a row: windows over it, the end cut off, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, get_args

from hone.core.errors import DataError, Fault
from hone.models.tokenizer import Tokenizer
from hone.report.catalog import Language, word
from hone.tasks.faulty import Places, how_many, named
from hone.tasks.settings import TextSettings

# A text is first tokenized in part when it is this long and only its beginning is wanted: 5 MB cost what 50 kB do.
PART_CHARACTERS = 20_000


def spans(length: int, *, room: int, stride: int) -> list[tuple[int, int]]:
    """Windows ``(start, end)`` over ``length`` items, ``room`` items at most, neighbors sharing ``stride``.

    At least one window, even over nothing; the last one ends at ``length``.
    """
    step = max(1, room - min(stride, room // 2))
    windows = [(0, min(room, length))]
    while windows[-1][1] < length:
        start = windows[-1][0] + step
        windows.append((start, min(start + room, length)))
    return windows


def spanned(length: int, *, room: int, stride: int) -> tuple[int, int]:
    """How many `spans` there are, and the items of all of them together."""
    step = max(1, room - min(stride, room // 2))
    windows = 1 + max(0, -(-(length - room) // step))
    return windows, length + (windows - 1) * (room - step)


def row_limit(settings: TextSettings, tokenizer: Tokenizer, *, model_limit: int) -> int:
    """Tokens a row may have, special ones included: the setting, or what tokenizer and model both allow."""
    allowed = min(model_limit, tokenizer.max_tokens or model_limit)
    return min(settings.max_length, allowed) if settings.max_length else allowed


def long_text_advice(settings: Any, most: int, language: Language) -> str:
    """What to do about texts of more than ``most`` tokens that are cut: what the task's settings have, and the base."""
    base_is_full = settings.max_length is None or settings.max_length > most
    said = [word("advice.whole_base" if base_is_full else "advice.raise", language)]
    if "window" in get_args(type(settings).model_fields["long_text"].annotation):
        said.append(word("advice.window", language))
    return ("" if language == "zh" else " ").join(said)


class TextTooLong(DataError):
    """Examples that are longer than a row, where ``long_text`` is ``refuse``.

    Args:
        lengths: Index of the example -> its tokens.
        room: Tokens allowed.
        places: File and line of each of them, where they are known.
        looked_at: How many examples there are with these; 0 where that is not known.
    """

    what = "texts are longer than a row, and long_text is 'refuse'"
    field = ""
    fix = "Shorten them, or set long_text to truncate or window, whichever the task has."

    def __init__(
        self, lengths: Mapping[int, int], *, room: int, places: Places | None = None, looked_at: int = 0
    ) -> None:
        self.lengths, self.room, self._looked_at = lengths, room, looked_at
        self.examples = list(lengths)
        code = "data.text-too-long"
        wrong = {i: Fault(code, f"{n} tokens", f"at most {room}", field=self.field) for i, n in lengths.items()}
        super().__init__(
            f"{self.what}: {how_many(len(lengths), looked_at)}",
            faults=named(wrong, places),
            fix=self.fix,
            code=code,
        )

    def placed(self, places: Places) -> Self:
        """See `hone.tasks.faulty.OfExamples`."""
        return type(self)(self.lengths, room=self.room, places=places, looked_at=self._looked_at)

    def owned(self, owner: Sequence[int]) -> Self:
        """The same error of the examples that these are parts of, each as long as its longest part.

        Args:
            owner: The example of each part.
        """
        lengths: dict[int, int] = {}
        for part, length in self.lengths.items():
            lengths[owner[part]] = max(length, lengths.get(owner[part], 0))
        return type(self)(lengths, room=self.room)

    def among(self, others: Sequence[Self], *, looked_at: int) -> Self:
        """See `hone.tasks.faulty.OfExamples`."""
        lengths = {index: n for one in (self, *others) for index, n in one.lengths.items()}
        room = min(one.room for one in (self, *others))
        return type(self)(lengths, room=room, looked_at=looked_at)


class TooMuch(DataError):
    """Examples that give more tokens to read together than are allowed."""


def refuse_much(tokens: int, *, most: int | None) -> None:
    """Raise `TooMuch` where there are more than ``most`` tokens; None: there may be as many as there are."""
    if most is not None and tokens > most:
        raise TooMuch(
            f"found {tokens:,} tokens to read, all windows counted",
            expected=f"at most {most:,} at a time",
            fix="Give fewer or shorter texts at a time.",
            code="data.too-many-tokens",
        )


def refuse_long(lengths: Mapping[int, int], *, room: int) -> None:
    """Raise `TextTooLong` for the examples in ``lengths``, where there are any."""
    if lengths:
        raise TextTooLong(lengths, room=room)


def encode_beginning(tokenizer: Tokenizer, text: str, *, room: int) -> list[int]:
    """The first tokens of ``text``, more than ``room`` if it has more, without tokenizing far more than that."""
    size = PART_CHARACTERS
    while size < len(text):
        cut = max(text.rfind(mark, size // 2, size) for mark in (" ", "\n", "。", ","))
        ids = tokenizer.encode([text[: cut if cut > 0 else size]])[0]
        if len(ids) > room + 8:  # a cut can change the last tokens alone; those are past what is kept
            return ids[: room + 1]
        size *= 4
    return tokenizer.encode([text])[0]
