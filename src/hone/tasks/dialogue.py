"""``dialogue``: the next answer of a conversation.

Rows are conversations (``turns``, or ``messages``), of which the assistant's turns are learned. A prediction is that of
`hone.tasks.text_generation`.
"""

from __future__ import annotations

from hone.core.measures import MeasureSpec
from hone.data.fields import Field, Shape
from hone.data.turns import COLUMNS
from hone.tasks.text_generation import TextGeneration


class Dialogue(TextGeneration):
    """An answer to the turns before it."""

    name = "dialogue"
    inputs = ()
    input_choices = tuple((Field(name, "turns"),) for name in COLUMNS)
    targets = (Field("turns", "answered"),)
    measure_specs = {**TextGeneration.measure_specs, "exact_match": MeasureSpec()}  # of answers, not of conversations

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        """Conversations under either name."""
        return tuple(Shape((), (Field(name, "answered"),)) for name in COLUMNS)

    @property
    def converses(self) -> bool:
        """Yes."""
        return True
