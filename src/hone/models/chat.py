"""How a conversation is written in tokens: as the base's own chat template has it, else by hone's own marks.

A base that was trained on conversations brings a template (transformers' ``chat_template``), and is read by that. Any
other base reads turn after turn: a mark that says who speaks, the text, and the token that ends a text. The mark is a
token of its own where the tokenizer was learned here, and else ``User:`` on a line by itself. Such a tokenizer has a
template that says the same, so that other programs write as hone does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from hone.core.errors import BundleError, DataError
from hone.models.chat_marks import PLAIN_MARKS, PLAIN_TEMPLATE, ROLE_TEMPLATE, ROLE_TOKENS, ROLES, TEMPLATES
from hone.models.tokenizer import Tokenizer

Turn = Mapping[str, str]  # ``role`` and ``text``
Span = tuple[int, int]

ASSISTANT = "assistant"
ASKED = {"role": "user", "text": "a"}
PROBES = [[ASKED, {"role": ASSISTANT, "text": text}] for text in "bc"]


class Unwritable(DataError):
    """A conversation that the base's template does not write."""


class Spoken(NamedTuple):
    """A conversation in tokens.

    Attributes:
        ids: The tokens.
        answers: Of each turn of the assistant its first token and where it ends, the token that ends it included. None
            where what comes later changes how the conversation is written up to there: what the model would read
            before that answer is not here.
    """

    ids: list[int]
    answers: list[Span | None]


class ChatFormat(Protocol):
    """A way to write conversations.

    Attributes:
        ending: The token that ends an answer.
    """

    ending: int

    def ready(self, conversations: Sequence[Sequence[Turn]]) -> None:
        """Tokenize at once what will be asked for, where that is faster."""
        ...

    def spoken(self, turns: Sequence[Turn]) -> Spoken:
        """The conversation.

        Raises:
            Unwritable: The template does not write it, or not all of it.
        """
        ...

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        """The conversation, and what stands before the next answer.

        Raises:
            Unwritable: As `spoken`.
        """
        ...


def chat_format(tokenizer: Tokenizer) -> ChatFormat:
    """How conversations are written for the base of ``tokenizer``, which has a template from then on.

    Raises:
        BundleError: Its template is broken, or answers have no end.
    """
    own = tokenizer.pretrained
    if own.chat_template is None:
        own.chat_template = PLAIN_TEMPLATE
    if own.chat_template == PLAIN_TEMPLATE:
        marks = tokenizer.encode([PLAIN_MARKS[role] for role in ROLES])
        return Marked(tokenizer, dict(zip(ROLES, marks, strict=True)))
    if own.chat_template == ROLE_TEMPLATE:
        ids = own.convert_tokens_to_ids([ROLE_TOKENS[role] for role in ROLES])
        return Marked(tokenizer, {role: [mark] for role, mark in zip(ROLES, ids, strict=True)})
    return Template(tokenizer)


def knows_conversations(tokenizer: Tokenizer) -> bool:
    """Whether its base brought a template of its own: then it was trained on conversations."""
    return tokenizer.pretrained.chat_template not in (None, *TEMPLATES)


class Marked:
    """Turn after turn: a mark, the text, the token that ends a text.

    Args:
        marks: Tokens that stand before a text, of each role.

    Raises:
        BundleError: The tokenizer has no token that ends a text.
    """

    def __init__(self, tokenizer: Tokenizer, marks: Mapping[str, list[int]]) -> None:
        if tokenizer.eos_id is None:
            raise _no_end("the base's tokenizer has no token that ends a text")
        self.ending = tokenizer.eos_id
        self._tokenizer, self._marks = tokenizer, marks
        self._begin = tokenizer.prefix or ([] if tokenizer.bos_id is None else [tokenizer.bos_id])
        special = {token for token, what in tokenizer.added_tokens().items() if what.special}
        self._special = special - ({tokenizer.unk_id} - {self.ending})  # unknown letters spell none
        self._known: dict[str, list[int]] = {}

    def ready(self, conversations: Sequence[Sequence[Turn]]) -> None:
        texts = list({turn["text"] for turns in conversations for turn in turns})
        self._known = dict(zip(texts, self._tokenizer.encode(texts), strict=True))

    def spoken(self, turns: Sequence[Turn]) -> Spoken:
        ids, answers = [*self._begin], list[Span | None]()
        for number, turn in enumerate(turns, start=1):
            ids += self._marks[turn["role"]]
            begin = len(ids)
            said = self._known.get(turn["text"]) or self._tokenizer.encode([turn["text"]])[0]
            self._require_letters(said, number)
            ids += said
            ids.append(self.ending)
            if turn["role"] == ASSISTANT:
                answers.append((begin, len(ids)))
        return Spoken(ids, answers)

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        return [*self.spoken(turns).ids, *self._marks[ASSISTANT]]

    def _require_letters(self, said: Sequence[int], number: int) -> None:
        """Raise where a text spells a special token. Tokenizers that were learned here read it as letters."""
        found = next((token for token in said if token in self._special), None)
        if found is not None:
            raise _spelled(self._tokenizer.pretrained.convert_ids_to_tokens(found), number)


class Template:
    """As the base's own template has it.

    What stands before an answer is tokenized by itself, and so is the answer: training reads what the model will read
    before it writes. Words that the template puts before every answer and does not ask for one with, such as Qwen3's
    thought of nothing, stand before it too: they are neither learned nor written.

    Raises:
        BundleError: See `chat_format`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        special = {id: token for id, token in tokenizer.added_tokens().items() if token.special}
        self._special = re.compile("|".join(map(re.escape, sorted((t.content for t in special.values()), key=len))))
        self._lead = ""
        self.ending = self._found_ending(set(special))

    def ready(self, conversations: Sequence[Sequence[Turn]]) -> None:
        """Nothing: only the template tells what stretches there are."""

    def spoken(self, turns: Sequence[Turn]) -> Spoken:
        whole = self._written(turns)
        self._require_all(whole, turns)
        return self._cut(whole, turns)

    def prompt(self, turns: Sequence[Turn]) -> list[int]:
        whole = self._asking(turns)
        self._require_all(whole, turns)
        return self._cut(whole, turns).ids

    def _cut(self, whole: str, turns: Sequence[Turn]) -> Spoken:
        """The tokens of ``whole``, which is cut where answers begin and end."""
        ids, answers, done = list[int](), list[Span | None](), 0
        for at in (at for at, turn in enumerate(turns) if turn["role"] == ASSISTANT):
            before, after = self._asking(turns[:at]), self._written(turns[: at + 1])
            if not (whole.startswith(after) and after.startswith(before) and len(before) >= done):
                answers.append(None)
                continue
            context, answer = self._tokenizer.encode([whole[done : len(before)], after[len(before) :]])
            if self.ending not in answer:
                raise _no_end("the base's chat template writes an answer without an end")
            begin, done = len(ids) + len(context), len(after)
            ids += [*context, *answer]
            answers.append((begin, begin + answer.index(self.ending) + 1))
        return Spoken([*ids, *self._tokenizer.encode([whole[done:]])[0]], answers)

    def _asking(self, turns: Sequence[Turn]) -> str:
        """The turns, and all that stands before the text of the next answer."""
        return self._written(turns, asking=True) + self._lead

    def _written(self, turns: Sequence[Turn], *, asking: bool = False) -> str:
        messages = [{"role": turn["role"], "content": turn["text"]} for turn in turns]
        if not messages:  # before an answer that opens the conversation
            raise Unwritable("an answer that opens the conversation, which the base's chat template does not write",
                             fix="Begin with a turn of the user.", code="data.chat-template")  # fmt: skip
        try:
            found = self._tokenizer.pretrained.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=asking
            )
        except Exception as error:  # a template is a program: whatever it raises
            raise Unwritable(
                f"turns that the base's chat template refuses ({error})",
                fix="Write them as the base was trained on them.",
                code="data.chat-template",
            ) from error
        return str(found)

    def _require_all(self, whole: str, turns: Sequence[Turn]) -> None:
        """Raise unless every text stands in ``whole``, in order, and none spells a token that ends or begins a turn."""
        at = 0
        for number, turn in enumerate(turns, start=1):
            text = turn["text"].strip()
            found = whole.find(text, at)
            if found < 0:
                raise Unwritable(
                    f"turn {number}, which the base's chat template leaves out or changes",
                    expected="a template that writes every text as it is",
                    fix="Take the turn out, or another base.",
                    code="data.chat-template",
                )
            at = found + len(text)
            if self._special.pattern and (spelled := self._special.search(text)):
                raise _spelled(spelled.group(), number)

    def _found_ending(self, special: set[int]) -> int:
        """The token that ends an answer; what stands before one is known from then on."""
        try:
            before = self._asking([ASKED])
            wholes = [self._written(turns) for turns in PROBES]
        except Unwritable as error:
            raise BundleError(f"the base's chat template writes no conversation: {error.found}",
                              code="base.chat-template") from error  # fmt: skip
        if not all(whole.startswith(before) for whole in wholes):
            raise BundleError(
                "the base's chat template writes an answer elsewhere than it asks for one",
                expected="one with add_generation_prompt that ends where answers begin",
                code="base.chat-template",
            )
        one, other = (whole[len(before) :] for whole in wholes)
        same = one[: next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)]
        self._lead = same if same.strip() else ""  # a blank is the first token's own
        (answer,) = self._tokenizer.encode([one.removeprefix(self._lead)])
        said = self._tokenizer.decode([answer])[0].find("b")
        ending = next((token for token in answer if token in special), None)
        if ending is None or said < 0:
            raise _no_end("the base's chat template writes an answer without an end")
        return ending


def _spelled(token: str, number: int) -> Unwritable:
    return Unwritable(
        f"{token!r} in turn {number}, which the tokenizer reads as a token of its own",
        fix="Write it otherwise: it would end or begin a turn.",
        code="data.special-token",
    )


def _no_end(found: str) -> BundleError:
    return BundleError(
        found,
        expected="a special token that ends an answer",
        fix="Take another base for conversations.",
        code="base.no-eos",
    )
