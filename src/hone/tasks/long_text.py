"""Text longer than a row: windows over it, the end cut off, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from hone.core.errors import DataError, Fault
from hone.models.tokenizer import Tokenizer
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


def row_limit(settings: TextSettings, tokenizer: Tokenizer, *, model_limit: int) -> int:
    """Tokens a row may have, special ones included: the setting, or what tokenizer and model both allow."""
    allowed = min(model_limit, tokenizer.max_tokens or model_limit)
    return min(settings.max_length, allowed) if settings.max_length else allowed


def refuse_long(indices: Sequence[int], lengths: Sequence[int], *, room: int) -> None:
    """Raise for the examples ``indices``, which have ``lengths`` tokens where ``room`` are allowed."""
    if not indices:
        return
    faults = [
        Fault("data.text-too-long", f"{length} tokens in row {index + 1}", f"at most {room}", field="text")
        for index, length in zip(indices, lengths, strict=True)
    ][:50]
    raise DataError(
        f"{len(indices)} texts are longer than a row, and long_text is 'refuse'",
        faults=faults,
        fix="Shorten them, or set long_text to window or truncate.",
        code="data.text-too-long",
    )


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
