"""Relations from texts alone: one bundle finds the entities, another one says how pairs of them relate.

A prediction is the entities' bundle's, ``{"entities", "truncated"}``, with ``relations``, a list of ``{"head", "tail",
"label", "score", "scores", "truncated"}`` whose head and tail are places in ``entities``, and ``left_out``: how many
pairs were not asked about, since their spans share characters (``overlapping``) or the text has more pairs than are
asked about (``beyond_limit``), and how many relations are not told since they have the label to do without
(``without``). ``truncated`` beside ``entities`` says that not all of the text was searched for them; within a relation,
that not all of it was read about that pair.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from hone.core.errors import BundleError, RecipeError, did_you_mean
from hone.data.fields import Field
from hone.predict.formats import EXAMPLES_AT_ONCE, Precision
from hone.predict.given import columns_of
from hone.predict.predictor import Predictor, parts_of
from hone.predict.shelf import load_shelf
from hone.tasks.intent_and_slots import IntentAndSlots
from hone.tasks.long_text import TextTooLong
from hone.tasks.marked import CHARACTERS_READ
from hone.tasks.protocol import Columns, Prediction
from hone.tasks.relation import RelationExtraction
from hone.tasks.span_classification import SpanClassification
from hone.tasks.tagging import TokenClassification

MOST_PAIRS = 100  # of entities of one text that are asked about
CHARACTERS_AT_ONCE = 1 << 24  # of the texts of pairs that are encoded together, a text counted for each of its pairs
FINDERS = {task.name: task for task in (TokenClassification, SpanClassification, IntentAndSlots)}
Entity = Mapping[str, Any]
Pair = tuple[int, int]  # places of head and tail among a text's entities


@dataclass(frozen=True)
class _Asked:
    """A text with its entities, and what is asked about them."""

    text: str
    answer: Prediction
    pairs: Sequence[Pair]
    overlapping: int
    beyond_limit: int


class RelationPredictor:
    """Answers texts with two bundles; safe to call from several threads.

    Each pair of entities is asked about in both orders; once, the first in the text as head, where the labels name the
    direction, as ``Cause-Effect(e2,e1)`` does.

    Attributes:
        entities, relations: The two bundles' predictors.
        input_choices: Texts are all that it reads.
    """

    input_choices: tuple[tuple[Field, ...], ...] = ((Field("text", "text"),),)

    def __init__(self, relations: Predictor, entities: Predictor, *, most_pairs: int, without: str | None) -> None:
        task, finder = cast(object, relations.task), cast(object, entities.task)
        if not isinstance(task, RelationExtraction):
            raise _wrong(relations, [RelationExtraction.name], "tells no relations", code="bundle.no-relations")
        if not isinstance(finder, tuple(FINDERS.values())):
            raise _wrong(entities, sorted(FINDERS), "finds no entities", code="bundle.no-entities")
        if most_pairs < 1:
            raise RecipeError(f"found {most_pairs} as most_pairs", expected="at least 1", code="predict.most-pairs")
        if without is not None and without not in task.labels:
            raise RecipeError(f"found no label {without!r} to do without in the bundle {relations.bundle.path}",
                              fix=did_you_mean(without, task.labels), code="predict.without")  # fmt: skip
        self.entities, self.relations = entities, relations
        self._most_pairs, self._without, self._both = most_pairs, without, not task.directed

    def predict(self, inputs: Any) -> list[Prediction]:
        """One prediction a text, in order.

        Args:
            inputs: A text; a list or pandas Series of texts; objects or a DataFrame with ``text``.

        Raises:
            DataError: It is none of these, or one is too long for a bundle that refuses long texts.
        """
        parts = parts_of(columns_of(inputs, self.input_choices))
        return [answer for answers in self.stream(parts) for answer in answers]

    def stream(self, parts: Iterable[Columns], *, eager: bool = False) -> Iterator[list[Prediction]]:
        """Predictions in the order of the texts, so many at a time as have few pairs together; memory holds one part.

        Args:
            eager: As for `Predictor.stream`, of the search for entities.
        """
        read: deque[Sequence[str]] = deque()

        def kept() -> Iterator[Columns]:
            for part in parts:
                read.append(part["text"])
                yield part

        start = 0
        for answers in self.entities.stream(kept(), eager=eager):
            for group in _groups(map(self._asked, read.popleft(), answers)):
                yield self._told(group, start=start)
                start += len(group)

    def _asked(self, text: str, answer: Prediction) -> _Asked:
        chosen, apart = nearest_pairs(answer["entities"], most=self._most_pairs)
        pairs = sorted([*chosen, *((tail, head) for head, tail in chosen)] if self._both else chosen)
        count = len(answer["entities"])
        return _Asked(text, answer, pairs, count * (count - 1) // 2 - apart, apart - len(chosen))

    def _told(self, group: Sequence[_Asked], *, start: int) -> list[Prediction]:
        """The answers to a group of texts, ``start`` texts being before it."""
        try:
            said = iter([answer for answers in self.relations.stream(_columns(group)) for answer in answers])
        except TextTooLong as error:
            raise error.owned([start + i for i, one in enumerate(group) for _ in one.pairs]) from error
        return [self._shown(one, [next(said) for _ in one.pairs]) for one in group]

    def _shown(self, one: _Asked, said: Sequence[Prediction]) -> Prediction:
        told = [
            {"head": head, "tail": tail, **answer}
            for (head, tail), answer in zip(one.pairs, said, strict=True)
            if self._without is None or answer["label"] != self._without
        ]
        left_out = {"overlapping": one.overlapping, "beyond_limit": one.beyond_limit, "without": len(said) - len(told)}
        found = {name: value for name, value in one.answer.items() if name != "truncated"}
        return {**found, "relations": told, "left_out": left_out, "truncated": one.answer["truncated"]}


def load_relations(
    path: Path | str,
    *,
    entities: Path | str,
    most_pairs: int = MOST_PAIRS,
    without: str | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    base: str = "",
) -> RelationPredictor:
    """Open two bundles that find entities in texts and tell how they relate, after verifying every file of both.

    Args:
        path: A bundle of ``relation-extraction``.
        entities: A bundle that finds entities: of ``token-classification``, ``span-classification`` or
            ``intent-and-slots``.
        most_pairs: Pairs of entities of a text that are asked about at most: those with the fewest characters between
            them. How many there are beyond that is told in each answer.
        without: A label, such as ``Other``, whose relations are counted and not told.
        device, precision: As for `hone.load`, of both.
        base: As for `hone.load`, of each that is an adapter's; two over one base share its weights.

    Raises:
        BundleError: See `hone.load`; or a bundle is of another task.
        RecipeError: ``most_pairs`` is below 1, or the bundle knows no label ``without``.
    """
    shelf = load_shelf({"relations": path, "entities": entities}, device=device, precision=precision, base=base)
    return RelationPredictor(shelf["relations"], shelf["entities"], most_pairs=most_pairs, without=without)


def nearest_pairs(entities: Sequence[Entity], *, most: int) -> tuple[list[Pair], int]:
    """The pairs of entities that do not overlap and have the fewest characters between them, the first in the text
    first, ``most`` of them at most; and how many pairs there are that do not overlap."""
    order = sorted(range(len(entities)), key=lambda i: (entities[i]["start"], entities[i]["end"]))
    starts = np.array([entities[i]["start"] for i in order], dtype=np.int64)
    ends = np.array([entities[i]["end"] for i in order], dtype=np.int64)
    follows = np.searchsorted(starts, ends)  # the first that begins where each has ended
    # One next pair an entity waits, the nearest of those not taken yet: so few pairs of a long text are never listed.
    waiting = [(int(starts[j] - ends[i]), i, int(j)) for i, j in enumerate(follows) if j < len(order)]
    heapq.heapify(waiting)
    pairs: list[Pair] = []
    while waiting and len(pairs) < most:
        _, i, j = heapq.heappop(waiting)
        pairs.append((order[i], order[j]))
        if j + 1 < len(order):
            heapq.heappush(waiting, (int(starts[j + 1] - ends[i]), i, j + 1))
    return pairs, int((len(order) - follows).sum())


def _groups(every: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """Texts in order, with so many pairs together that their answers are few; at least one text."""
    group: list[_Asked] = []
    pairs = 0
    for one in every:
        if group and pairs + len(one.pairs) > EXAMPLES_AT_ONCE:
            yield group
            group, pairs = [], 0
        group.append(one)
        pairs += len(one.pairs)
    if group:
        yield group


def _columns(group: Sequence[_Asked]) -> Iterator[Columns]:
    """The pairs of a group as examples of ``relation-extraction``, so many at a time as are encoded together."""
    rows: list[tuple[str, dict[str, int], dict[str, int]]] = []
    size = 0
    for one in group:
        spans = [{"start": entity["start"], "end": entity["end"]} for entity in one.answer["entities"]]
        for head, tail in one.pairs:
            rows.append((one.text, spans[head], spans[tail]))
            size += min(len(one.text), 2 * CHARACTERS_READ)
            if len(rows) == EXAMPLES_AT_ONCE or size >= CHARACTERS_AT_ONCE:
                yield dict(zip(("text", "head", "tail"), zip(*rows, strict=True), strict=True))
                rows, size = [], 0
    if rows:
        yield dict(zip(("text", "head", "tail"), zip(*rows, strict=True), strict=True))


def _wrong(predictor: Predictor, names: Sequence[str], what: str, *, code: str) -> BundleError:
    return BundleError(
        f"the bundle {predictor.bundle.path} does {predictor.task.name}, which {what}",
        expected=f"one of {', '.join(names)}",
        fix="The first bundle tells relations, the one of --entities (entities= in Python) finds entities.",
        code=code,
    )
