"""`Conversation`: turn by turn with a bundle that answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from hone.core.errors import DataError, Fault, RecipeError, did_you_mean
from hone.data.fields import Field, required
from hone.data.turns import ASSISTANT, SYSTEM, USER, Turn
from hone.predict.predictor import Predictor
from hone.tasks.protocol import Prediction
from hone.tasks.text_generation import TextGeneration
from hone.tasks.writing_settings import WritingSettings


class Conversation:
    """What was said, and the next answer. The oldest turns are left out of what the model reads once they no longer
    fit, as in training; they stay in `turns`.

    Args:
        predictor: A bundle of ``dialogue``; or one of ``text-generation``, which remembers nothing where it was taught
            by texts and not by conversations: then each question is a prompt by itself.
        system: How to answer; empty: as the bundle has it.
        controls: What a row says of its text beside what is answered, where the bundle goes by that: its attributes and
            keywords, by their fields; several words are parted by ``|``.

    Attributes:
        turns: What was said, the system text first where there is one.
        remembers: Whether an answer is to all that was said.
        prediction: The last answer, as `Predictor.predict` gives it; None before there is one.

    Raises:
        RecipeError: The bundle is of another task; or remembers nothing, and there is a system text; or ``controls``
            are not those that it goes by.
    """

    def __init__(self, predictor: Predictor, *, system: str = "", controls: Mapping[str, str] | None = None) -> None:
        task: Any = predictor.task
        if not isinstance(task, TextGeneration):
            raise RecipeError(
                f"a bundle of {task.name}, which takes part in no conversation",
                expected="a bundle of dialogue or text-generation",
                fix="Ask it with predict.",
                code="chat.task",
            )
        self._predictor, self._task = predictor, task
        self.controls: dict[str, str | list[str]] = {}
        self.control(controls or {})
        self.remembers = task.converses
        self.turns: list[Turn] = []
        self.prediction: Prediction | None = None
        self.begin(system)

    def begin(self, system: str | None = None) -> None:
        """Forget what was said. ``system``: what is put first; None: what was first."""
        if system and not self.remembers:
            raise RecipeError(
                "a system text for a bundle that was taught by texts",
                expected="a bundle that was taught by conversations",
                code="chat.system",
            )
        kept = self.turns[:1] if self.turns and self.turns[0]["role"] == SYSTEM else []
        self.turns = kept if system is None else [{"role": SYSTEM, "text": system}] if system.strip() else []
        self.prediction = None

    def control(self, told: Mapping[str, str]) -> None:
        """Go by these from now on, beside those told before.

        Raises:
            RecipeError: Together they are not those that the bundle goes by.
        """
        fields = {field.name: field for field in self._task.settings.controls}
        given: dict[str, str | list[str]] = {
            name: [word.strip() for word in value.split("|") if word.strip()]
            if name in fields and fields[name].kind == "words"
            else value
            for name, value in told.items()
        }
        _require_controls({**self.controls, **given}, list(fields.values()))
        self.controls |= given

    @property
    def system(self) -> str:
        """How to answer: what is put first, or what the bundle has."""
        own = [turn["text"] for turn in self.turns if turn["role"] == SYSTEM]
        return own[0] if own else str(getattr(self._task.settings, "system", ""))

    @property
    def room(self) -> int:
        """Most tokens that the model reads before it writes."""
        return self._task.before_answers

    def row(self) -> str:
        """What was said as a line of a data file, with what the bundle goes by besides."""
        return json.dumps({"messages": self.turns, **self.controls}, ensure_ascii=False) + "\n"

    def ask(self, text: str) -> Iterator[str]:
        """The answer to ``text``, in pieces. When it is whole, both are among `turns`; where nothing was answered, or
        it was not read to its end, neither is.

        Raises:
            DataError: The text is empty or too long.
            RecipeError: The bundle's settings cannot be used.
        """
        if not text.strip():
            raise DataError("found an empty text", expected="something to answer", code="data.turns-empty")
        asked: list[Turn] = [*(self.turns if self.remembers else []), {"role": USER, "text": text}]
        name = next(field.name for fields in self._predictor.input_choices for field in fields if field.kind == "turns")
        given: Any = {name: asked} if self.remembers else {"prompt": text}
        given |= self.controls
        decoding = cast(WritingSettings, self._task.settings).decoding
        if decoding.search == "beam" or decoding.num_return_sequences > 1:  # known only when it is whole
            (found,) = self._predictor.predict([given])
            yield found["text"]
        else:
            stream = self._predictor.write(given)
            yield from stream
            assert stream.prediction is not None  # it was read to its end
            found = stream.prediction
        self.prediction = found
        if found["text"].strip():
            self.turns += [{"role": USER, "text": text}, {"role": ASSISTANT, "text": found["text"]}]


def _require_controls(given: Mapping[str, object], fields: Sequence[Field]) -> None:
    """Raise unless all that a bundle goes by is given, values that it has learned, and nothing else."""
    known = {field.name: field for field in fields}
    faults = [
        Fault("chat.control", f"the unknown field {name!r}", field=name, fix=did_you_mean(name, known))
        for name in given
        if name not in known
    ]
    faults += [
        Fault("chat.control", "nothing", "a value: --control KEY=VALUE", field=name)
        for name in required(fields)
        if name not in given
    ]
    faults += [
        Fault("chat.control", f"the unknown {name} {given[name]!r}", f"one of {', '.join(field.values)}", field=name,
              fix=did_you_mean(str(given[name]), field.values))
        for name, field in known.items()
        if name in given and field.values and given[name] not in field.values
    ]  # fmt: skip
    if faults:
        raise RecipeError.of(faults, what="the conversation")
