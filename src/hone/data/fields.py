"""`Field`: a declared input or target; from fields come data checks, the HTTP schema and ``hone init``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "tokens", "label", "labels", "tags", "score", "span", "answers", "entities", "texts", "choice",
               "written", "references", "turns", "answered", "words"]  # fmt: skip

# kinds of targets that are texts, any of which may be right
TO_WRITE: tuple[Kind, ...] = ("written", "references", "answered")


@dataclass(frozen=True)
class Field:
    """A column of an example.

    Attributes:
        name: Column name by convention (``text``, ``text_a``, ``label``, ``tokens``, ``tags``, ``score``).
        kind: What its values are; ``labels`` is a set of labels, ``score`` a number, ``span`` a
            stretch of the row's ``text`` as ``{start, end}``, in characters, end exclusive, and ``answers``
            stretches of its ``context``, each as ``{text, start}``, none where there is no answer; ``entities`` are
            labeled stretches of its ``text``, each as ``{start, end, label}``, which may overlap;
            ``texts`` are at least one text, and a ``choice`` is the place of one of the row's ``choices``, from 0;
            ``written`` is a text to write, which is not empty, and ``references`` are at least one such text; ``turns``
            are those of a conversation, the last one to be answered, and ``answered`` are turns with answers among
            them (`hone.data.turns`); ``words`` are words or phrases, of which there may be none.
        required: Whether every row must have it; one that is not is in all rows of a data set or in none.
        values: Of a ``label`` the values that a bundle has learned, where that is known.
        shared: Whether several rows are often about one such value, as questions are about a passage: who has learned
            one of these rows has read what the others are about.
    """

    name: str
    kind: Kind
    required: bool = True
    values: tuple[str, ...] = ()
    shared: bool = False


@dataclass(frozen=True)
class Shape:
    """The fields that the rows of one data set have: what is read, what is learned of it, and what a row says of the
    text that is to be written."""

    inputs: tuple[Field, ...]
    targets: tuple[Field, ...]
    controls: tuple[Field, ...] = ()

    @property
    def given(self) -> tuple[Field, ...]:
        """What an answer is to: inputs, then controls."""
        return (*self.inputs, *self.controls)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Inputs, then controls, then targets."""
        return (*self.given, *self.targets)

    @property
    def telling(self) -> list[str]:
        """Names of the fields that tell examples apart: the inputs, where none has to be there the targets, and what
        a row must say of the text."""
        return (required(self.inputs) or required(self.targets)) + required(self.controls)

    @property
    def shared(self) -> list[str]:
        """Names of the inputs that several examples may be about."""
        return [field.name for field in self.inputs if field.shared]


def required(fields: Sequence[Field]) -> list[str]:
    """Names of the fields that every data set has."""
    return [field.name for field in fields if field.required]
