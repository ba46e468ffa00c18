"""Turns of a conversation as hone keeps them: each ``{"role", "text"}``, the role one of `ROLES`.

Data sets name those who speak in many ways. ``system`` is who says how to answer where there is an assistant, and who
answers where there is none (MultiWOZ); there it speaks after somebody else.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hone.core.errors import did_you_mean

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
ROLES = (SYSTEM, USER, ASSISTANT)
NAMES = {  # what data call them, in lower case
    **{role: role for role in ROLES},
    "usr": USER,
    "human": USER,
    "sys": ASSISTANT,
    "bot": ASSISTANT,
    "gpt": ASSISTANT,
}
COLUMNS = ("turns", "messages")  # of conversations
Turn = dict[str, str]


class Odd(NamedTuple):
    """What is wrong with turns, what it would be about, and what may be meant."""

    code: str
    found: str
    fix: str = ""


def turns_of(raw: Any, *, answered: bool) -> tuple[list[Turn], Odd | None]:
    """The turns, and the first thing that is wrong with them.

    Args:
        raw: A list of objects with ``role`` and ``text``, or ``content``; what else they have is left alone.
        answered: Whether there must be an answer, anywhere; else the last turn must be one to answer.
    """
    if not isinstance(raw, list | tuple) or not raw:
        return [], Odd("data.turns-kind", "an empty list" if raw == [] else f"{type(raw).__name__} {raw!r:.60}")
    turns: list[Turn] = []
    for number, one in enumerate(raw, start=1):
        turn, odd = _turn(one)
        if odd is not None:
            return [], odd._replace(found=f"{odd.found} at turn {number}")
        turns.append(turn)
    roles = [turn["role"] for turn in turns]
    if ASSISTANT not in roles and SYSTEM in roles[1:] and roles[0] != SYSTEM:
        turns = [{**turn, "role": ASSISTANT} if turn["role"] == SYSTEM else turn for turn in turns]
        roles = [turn["role"] for turn in turns]
    return turns, _order(roles, answered=answered)


def _turn(raw: Any) -> tuple[Turn, Odd | None]:
    if not isinstance(raw, Mapping):
        return {}, Odd("data.turns-kind", f"{type(raw).__name__} {raw!r:.60}")
    said, text = raw.get("role"), raw.get("text")
    text = raw.get("content") if text is None else text  # tables have both columns, one of them empty
    if not isinstance(said, str):
        return {}, Odd("data.turns-role", "no role" if said is None else f"the role {said!r:.60}")
    role = NAMES.get(said.strip().lower())
    if role is None:
        return {}, Odd("data.turns-role", f"the unknown role {said!r:.60}", did_you_mean(said.lower(), NAMES))
    if not isinstance(text, str):
        return {}, Odd("data.turns-kind", "no text" if text is None else f"{type(text).__name__} {text!r:.60} as text")
    if not text.strip():
        return {}, Odd("data.turns-empty", "an empty text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return {}, Odd("data.turns-kind", f"half a character ({text[error.start]!a})")
    return {"role": role, "text": text}, None


def _order(roles: Sequence[str], *, answered: bool) -> Odd | None:
    """What is wrong with who speaks when."""
    systems = [number for number, role in enumerate(roles, start=1) if role == SYSTEM]
    if len(systems) > 1:
        return Odd("data.turns-system", f"two system texts, at turns {systems[0]} and {systems[1]}",
                   "Keep the one; where system is who answers, call it assistant.")  # fmt: skip
    if systems and systems[0] != 1:
        return Odd("data.turns-system", f"a system text at turn {systems[0]}", "Put it first.")
    if answered and ASSISTANT not in roles:
        return Odd("data.turns-unanswered", "no answer: no turn is of the assistant")
    if not answered and roles[-1] != USER:
        return Odd("data.turns-unasked", f"a last turn of the {roles[-1]}, after which nothing is to be answered",
                   "Leave out what is to be written.")  # fmt: skip
    return None


def answers_of(turns: Sequence[Turn]) -> list[str]:
    """The texts of the assistant."""
    return [turn["text"] for turn in turns if turn["role"] == ASSISTANT]


def asked(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns before the last answer, where that is the last turn."""
    return turns[:-1] if turns[-1]["role"] == ASSISTANT else turns


def texts_in(value: Sequence[Any]) -> Iterator[str]:
    """The texts of a list of turns, or of words, which are texts themselves."""
    return (one["text"] if isinstance(one, Mapping) else one for one in value)


def conversations_in(columns: Container[str]) -> str | None:
    """The column of conversations; None where there is none."""
    return next((name for name in COLUMNS if name in columns), None)
