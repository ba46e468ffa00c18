"""`Conversation`: turn by turn with a bundle that answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from hone.core.errors import DataError, RecipeError
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

    Attributes:
        turns: What was said, the system text first where there is one.
        remembers: Whether an answer is to all that was said.
        prediction: The last answer, as `Predictor.predict` gives it; None before there is one.

    Raises:
        RecipeError: The bundle is of another task; or remembers nothing, and there is a system text.
    """

    def __init__(self, predictor: Predictor, *, system: str = "") -> None:
        task: Any = predictor.task
        if not isinstance(task, TextGeneration):
            raise RecipeError(
                f"a bundle of {task.name}, which takes part in no conversation",
                expected="a bundle of dialogue or text-generation",
                fix="Ask it with predict.",
                code="chat.task",
            )
        self._predictor, self._task = predictor, task
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
        """What was said as a line of a data file."""
        return json.dumps({"messages": self.turns}, ensure_ascii=False) + "\n"

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
        name = self._predictor.input_choices[-1][0].name
        given: Any = {name: asked} if self.remembers else text
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
