"""A conversation in rows: what is learned of it, and what is read before its next answer.

What is longer than a row loses whole turns, the oldest first; the system text stays, and so that the base reads what it
was trained on, what is left begins with a turn of the user. Learning, the answers that a row has no place for are
learned in further ones, each once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hone.core.errors import DataError, Fault
from hone.data.turns import ASSISTANT, SYSTEM, USER
from hone.models.chat import ChatFormat, Span, Turn, Unwritable
from hone.tasks.faulty import FaultyExamples


class Room(NamedTuple):
    """How many tokens there may be.

    Attributes:
        row: In a row.
        prompt: Before an answer: what is left can be written.
        answer: In an answer, the token that ends it included.
        shared: In turns that a further row repeats, beyond those that its first answer is to.
        cuts: Whether a longer answer is cut, so that its end is not learned.
        leaves_out: Whether turns may be left out.
    """

    row: int
    prompt: int
    answer: int
    shared: int
    cuts: bool
    leaves_out: bool


class Passage(NamedTuple):
    """Some turns in tokens.

    Attributes:
        ids: The tokens.
        answers: Where answers that are learned begin and end.
        left_out: Whether there are earlier turns that are not here.
        whole: Tokens of the conversation up to here.
        cut: Whether the last answer is cut at its end.
    """

    ids: list[int]
    answers: list[Span]
    left_out: bool
    whole: int
    cut: bool = False


def unusable(wrong: Mapping[int, DataError], *, field: str, looked_at: int) -> FaultyExamples:
    """The error of conversations that cannot be read, or not learned.

    Args:
        wrong: Index of the example -> what is wrong with it.
        field: Their column.
        looked_at: How many conversations there are with these.
    """
    faults = {i: Fault(e.code, e.found, e.expected, field=field, fix=e.fix) for i, e in wrong.items()}
    return FaultyExamples("conversations cannot be used", faults, looked_at=looked_at)


def with_system(turns: Sequence[Turn], system: str) -> list[Turn]:
    """The turns after ``system``, where that is not empty and they bring no such text of their own."""
    own = not system or (bool(turns) and turns[0]["role"] == SYSTEM)
    return list(turns) if own else [{"role": SYSTEM, "text": system}, *turns]


NO_ROOM = "a turn that is too long even when all before it is left out"
NO_ROOM_BESIDE = "a turn that has no room after the system text (attributes and keywords are part of it)"


class _Talk:
    """A conversation, parted into its system text and what is said.

    Attributes:
        said: The turns after the system text.
        begins: Where what is left of it may begin.
        answers: Where the assistant speaks.
    """

    def __init__(self, form: ChatFormat, turns: Sequence[Turn]) -> None:
        at = int(turns[0]["role"] == SYSTEM)
        self._form, self._system, self.said = form, list(turns[:at]), list(turns[at:])
        self.begins = [i for i, turn in enumerate(self.said) if i == 0 or turn["role"] == USER]
        self.answers = [i for i, turn in enumerate(self.said) if turn["role"] == ASSISTANT]

    def prompt(self, first: int, to: int) -> list[int]:
        """Tokens before an answer to the turns from ``first`` on, before ``to``."""
        return self._form.prompt([*self._system, *self.said[first:to]])

    def without_room(self, first: int, to: int, room: Room) -> str:
        """What is too long, in words, where `prompt` of the same turns is: they themselves, or what stands before."""
        alone = self._system and len(self._form.prompt(self.said[first:to])) <= room.prompt
        return NO_ROOM_BESIDE if alone else NO_ROOM

    def spoken(self, first: int, to: int) -> tuple[list[int], dict[int, Span | None]]:
        """Tokens of these turns, and where their answers are, by number of the answer."""
        ids, spans = self._form.spoken([*self._system, *self.said[first:to]])
        return ids, dict(enumerate(spans, start=bisect_left(self.answers, first)))

    def alone(self, first: int, number: int) -> tuple[list[int], Span]:
        """Tokens up to the end of an answer, and where it is."""
        ids, spans = self.spoken(first, self.answers[number] + 1)
        span = spans[number]
        if span is None:
            raise Unwritable(
                f"answer {number + 1}, which the base's chat template writes elsewhere than it asks for it",
                fix="Take it out, or another base.",
                code="data.chat-template",
            )
        return ids, span


def to_answer(form: ChatFormat, turns: Sequence[Turn], room: Room) -> Passage:
    """What is read before the next answer.

    Raises:
        DataError: It is too much, and turns may not be left out, or the last ones alone are too long; or the base's
            template does not write it.
    """
    talk = _Talk(form, turns)
    end = len(talk.said)
    whole = ids = talk.prompt(0, end)
    first = 0
    if len(whole) > room.prompt:
        _require_leaving(room, len(whole))
        first = _earliest(talk.begins, lambda begin: len(talk.prompt(begin, end)) <= room.prompt)
        ids = talk.prompt(first, end)
    if len(ids) > room.prompt:
        raise _too_long(talk.without_room(first, end, room), len(ids), room.prompt)
    return Passage(ids, [], first > 0, len(whole))


def to_learn(form: ChatFormat, turns: Sequence[Turn], room: Room, *, last_alone: bool = False) -> list[Passage]:
    """Rows in which each answer, or the last one alone, is learned once, where it could be written.

    Raises:
        DataError: As `to_answer`; or an answer is longer than one may be.
    """
    talk = _Talk(form, turns)
    from_begin = talk.spoken(0, len(talk.said))
    whole = len(from_begin[0])
    rows: list[Passage] = []
    first, done = 0, len(talk.answers) - 1 if last_alone else 0
    while done < len(talk.answers):
        ids, spans = from_begin if first == 0 else talk.spoken(first, len(talk.said))
        if spans[done] is None:  # later turns change how it is written
            ids, own = talk.alone(first, done)
            spans = {done: own}
        learned = _learned(spans, done, room)
        if not learned:
            first, ids, learned = _shortened(talk, first, done, room, whole=whole)
        begin, end = learned[-1]
        done += len(learned)
        last = spans.get(done - 1)
        cut = last is not None and end - begin < last[1] - last[0]
        rows.append(Passage(ids[:end], learned, first > 0, whole, cut))
        if spans.get(done) is not None:  # the row is full
            _require_leaving(room, whole)
            first = _overlapping(talk, done, room)
    return rows


def _learned(spans: Mapping[int, Span | None], done: int, room: Room) -> list[Span]:
    """The answers from number ``done`` on that a row has room for; a cut one is the last."""
    found: list[Span] = []
    while (span := spans.get(done + len(found))) is not None:
        begin, end = span
        cut = min(end, begin + room.answer) if room.cuts else end
        if begin > room.prompt or cut > room.row or cut - begin > room.answer:
            break
        found.append((begin, cut))
        if cut < end:
            break
    return found


def _shortened(talk: _Talk, first: int, number: int, room: Room, *, whole: int) -> tuple[int, list[int], list[Span]]:
    """The first turn, the tokens and the place of an answer before which turns are left out so that it fits."""
    later = [begin for begin in talk.begins if first < begin < talk.answers[number]]
    if later:
        _require_leaving(room, whole)
        first = _earliest(later, lambda begin: bool(_learned({number: talk.alone(begin, number)[1]}, number, room)))
    ids, span = talk.alone(first, number)
    if learned := _learned({number: span}, number, room):
        return first, ids, learned
    begin, end = span
    if begin > room.prompt:
        where = talk.without_room(first, talk.answers[number], room)
        raise _too_long(f"answer {number + 1} to {where}", begin, room.prompt)
    most = min(room.answer, room.row - begin)
    if not room.cuts:
        raise _too_long(f"answer {number + 1}", end - begin, most)
    return first, ids, [(begin, begin + most)]


def _overlapping(talk: _Talk, number: int, room: Room) -> int:
    """Where a row begins whose first answer to learn is the one with this number."""
    at = talk.answers[number]
    begins = [begin for begin in talk.begins if begin < at]
    least = len(talk.prompt(begins[-1], at))
    most = max(least, min(least + room.shared, room.row // 2))  # so that there is room for several answers
    return _earliest(begins, lambda begin: len(talk.prompt(begin, at)) <= most)


def _earliest(begins: Sequence[int], fits: Callable[[int], bool]) -> int:
    """The first of ``begins`` that fits, where all after one that fits do; the last where none does."""
    return begins[min(bisect_left(begins, True, key=fits), len(begins) - 1)]


def _require_leaving(room: Room, tokens: int) -> None:
    if not room.leaves_out:
        raise _too_long("a conversation, and long_text is 'refuse'", tokens, room.row)


def _too_long(what: str, tokens: int, room: int) -> DataError:
    return DataError(
        f"{what}, of {tokens} tokens",
        expected=f"at most {room}",
        fix="Shorten it, raise max_length as far as the base goes, leave less room to write (max_new_tokens), or for "
        "an answer set long_target to truncate.",
        code="data.text-too-long",
    )
