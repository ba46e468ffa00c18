"""Pairs of texts that each hold the whole conversation, as many public preference sets have them: what both begin with
is taken off, and is the prompt.

Such a text is a list of turns, or, as in Anthropic's HH-RLHF, one text in which ``Human:`` and ``Assistant:`` speak.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hone.core.errors import Fault
from hone.data.fields import Field
from hone.data.formats import Raw, RawRow
from hone.data.turns import ASSISTANT, COLUMNS, USER, Turn, turns_of

PROMPT, ANSWERS = "prompt", ("chosen", "rejected")
BY_CHANCE = 16  # characters of a prompt that both texts may begin with and not mean it
SPEAKERS = re.compile(r"\n\n(Human|Assistant):")


def hold_pairs(choices: Iterable[Sequence[Field]]) -> bool:
    """Whether rows may have two texts of which one is better."""
    return any({field.name for field in fields} >= {*ANSWERS} for fields in choices)


def parted(
    rows: Callable[[], Raw], file: str, *, choices: Iterable[Sequence[Field]], columns: Mapping[str, str]
) -> Raw:
    """Raw rows, those of whole conversations with a ``prompt`` and what follows it; where there is none, a fault."""
    names = {name: columns.get(name, name) for name in (PROMPT, *COLUMNS, *ANSWERS)}
    reads_turns = any(field.kind == "turns" for fields in choices for field in fields)
    for row in rows():
        yield row if isinstance(row, Fault) else _parted(row, file, names, reads_turns=reads_turns)


def _parted(row: RawRow, file: str, names: Mapping[str, str], *, reads_turns: bool) -> RawRow | Fault:
    line, raw = row
    alone = [_alone(raw.get(names[name])) for name in ANSWERS]
    if None not in alone:
        asked = _asked(raw.get(names[PROMPT]))
        if asked is None:
            answers = {names[name]: text for name, text in zip(ANSWERS, alone, strict=True)}
            return _repeating((line, {**raw, **answers}), file, names)
        raw = {column: value for column, value in raw.items() if column != names[PROMPT]}
        raw |= {names[name]: [*asked, {"role": ASSISTANT, "text": text}]
                for name, text in zip(ANSWERS, alone, strict=True)}  # fmt: skip
    given = [_conversation(raw.get(names[name])) for name in ANSWERS]
    if any(one is None for one in given):
        return _repeating(row, file, names)

    def fault(code: str, found: str, expected: str, *, name: str = ANSWERS[1], fix: str = "") -> Fault:
        return Fault(code, found, expected, file=file, line=line, field=names[name], fix=fix)

    both: list[list[Turn]] = []
    for name, one in zip(ANSWERS, given, strict=True):
        turns, odd = turns_of(one, answered=True)
        if odd is not None:
            return fault(odd.code, odd.found, "a conversation that ends with the answer", name=name, fix=odd.fix)
        if turns[-1]["role"] != ASSISTANT:
            found = f"a last turn of the {turns[-1]['role']}"
            return fault("data.pair-unanswered", found, "a conversation that ends with the answer", name=name)
        both.append(turns)
    chosen, rejected = both
    shared = chosen[:-1]
    if shared != rejected[:-1]:
        short = min(len(chosen), len(rejected) - 1)  # where one is all that the other begins with
        at = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), short)
        found = f"a conversation that parts from the chosen one at turn {at + 1} of {len(rejected)}"
        return fault("data.pair-parts", found, "the same turns before the last one", fix="Leave the row out.")
    if shared[-1]["role"] != USER:
        found = f"an answer to a turn of the {shared[-1]['role']}"
        return fault("data.pair-unasked", found, "an answer to a turn of the user", name=ANSWERS[0])
    if odd_one := next((name for name in (PROMPT, *COLUMNS) if not _agrees(raw.get(names[name]), chosen)), None):
        return fault("data.pair-prompt", "another prompt than both texts begin with", "the same one", name=odd_one)
    if not reads_turns and len(shared) > 1:
        return fault("data.pair-turns", f"{len(shared)} turns before the answer", "one, which the task reads",
                     fix="Learn from conversations by a bundle of dialogue.")  # fmt: skip
    rest = {column: value for column, value in raw.items() if column not in [names[name] for name in COLUMNS]}
    prompt = shared if reads_turns else shared[0]["text"]
    answers = {names[name]: turns[-1]["text"] for name, turns in zip(ANSWERS, both, strict=True)}
    return line, {**rest, names[PROMPT]: prompt, **answers}


def _spoken(value: Any) -> list[Turn] | None:
    """The turns of a text in which both speak; None where it is something else."""
    if not isinstance(value, str) or not SPEAKERS.match(value):
        return None
    _, *said = SPEAKERS.split(value)
    return [{"role": who, "text": text.strip()} for who, text in zip(said[::2], said[1::2], strict=True)]


def _conversation(value: Any) -> list[Any] | None:
    """The turns of a text that holds more of them than the answer; None where it does not."""
    return _spoken(value) or (value if isinstance(value, list) and len(value) > 1 else None)


def _alone(value: Any) -> str | None:
    """The text of an answer before which ``Assistant:`` stands, and nothing else; None where it is something else."""
    turns = _spoken(value) or []
    return turns[0]["text"] if [turn["role"] for turn in turns] == ["Assistant"] else None


def _asked(value: Any) -> list[Turn] | None:
    """The turns of a prompt in which both speak, without an ``Assistant:`` that nothing follows; else None."""
    turns = _spoken(value)
    return turns[:-1] if turns and turns[-1] == {"role": "Assistant", "text": ""} else turns


def _agrees(stated: Any, chosen: list[Turn]) -> bool:
    """Whether what a row states as its prompt is that of its conversation, or the whole of the better one."""
    if stated is None:
        return True
    if isinstance(stated, str):
        return stated.strip() == chosen[-2]["text"].strip()
    return turns_of(stated, answered=False)[0] in (chosen[:-1], chosen)


def _repeating(row: RawRow, file: str, names: Mapping[str, str]) -> RawRow | Fault:
    """The row; a fault where both texts say their prompt again."""
    line, raw = row
    prompt, *texts = (raw.get(names[name]) for name in (PROMPT, *ANSWERS))
    if not isinstance(prompt, str) or len(prompt.strip()) < BY_CHANCE:
        return row
    if all(isinstance(text, str) and text.lstrip().startswith(prompt.strip()) for text in texts):
        found, expected = "texts that both begin with the prompt", "what is to be written alone"
        return Fault("data.pair-prompt", found, expected, file=file, line=line, field=names[ANSWERS[0]],
                     fix="Take the prompt off both.")  # fmt: skip
    return row
