"""What tasks that write have in common: a text read, a text written token by token, and how likely the given one is.

A prediction is ``{"text", "texts", "score", "tokens", "ended", "truncated"}``: what was written; where several were
asked for, each as ``{"text", "score", "tokens", "ended"}``, the best first (else left out); the score by which they are
ordered, unless each has a ``reward``, which then orders them; how many tokens it took; why it ended (``stop``: the
model said so, ``length``: it may be no longer, ``stop-string``); and whether part of the source was left out. Where
there is a constraint (a regex, a JSON schema, required or bad words), ``satisfied`` says whether the text keeps to it.
Where the text to be written is known, ``reference_log_probability`` and ``reference_tokens`` say how likely the model
finds it: the sum over its tokens, the one that ends it among them.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.errors import BundleError
from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.data.turns import conversations_in
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.tasks.answers import written_of
from hone.tasks.controls import add_words, control_texts, learned_values, require_values
from hone.tasks.decoding import DecodingSettings
from hone.tasks.form import Form
from hone.tasks.languages import spoken
from hone.tasks.long_text import TextTooLong
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.reading import Reading
from hone.tasks.rows import CUT, TARGET, Batch, IntArray, Rows, padded, rows_of
from hone.tasks.writing_settings import ROW_WORDS
from hone.tasks.written_scores import (
    REFERENCE_CUT,
    Held,
    Judged,
    Kept,
    Likelihood,
    Matched,
    Part,
    by_bootstrap,
    given,
    texts_of,
    to_learn,
)
from hone.tasks.written_tables import tables_of

LOOKED_AT = 1000  # rows by which a language is told
WORDS_SCHEMA = {field.name: pa.list_(pa.string()) for field in ROW_WORDS}


@dataclass(frozen=True)
class Draft:
    """A text that was written.

    Attributes:
        text: What its tokens say, cut before a stop string.
        tokens: How many it took, without the one that ended it.
        score: What texts of one row are ordered by.
        ended: Why it ended: ``stop``, ``length`` or ``stop-string``.
        satisfied: Whether it is what the settings' constraint wants; None where there is none.
        reward: What a bundle that reads finds it worth, where one was asked.
    """

    text: str
    tokens: int
    score: float
    ended: str
    satisfied: bool | None = None
    reward: float | None = None


@dataclass(frozen=True)
class Drafts:
    """What a row came to.

    Attributes:
        texts: For each of its prompts what was written, best first; none where nothing was to be written.
        reference: Of the row's own target: the sum of its tokens' log probabilities, how many they are, and how many of
            them the model finds likeliest; None where it has none.
    """

    texts: tuple[tuple[Draft, ...], ...] = ()
    reference: tuple[float, int, int] | None = None


class TargetTooLong(TextTooLong):
    """Targets that are longer than a row, where ``long_target`` is ``refuse``."""

    what = "texts to write are longer than allowed, and long_target is 'refuse'"
    field = "target"
    fix = (
        "Shorten them; or train with long_target: truncate, or with a larger max_target_length, as far as the base "
        "goes (of a base from nothing: its max_length)."
    )


class WrittenText(Form):
    """A text written from a source by an encoder and a decoder. A task fills in its measures.

    Args:
        settings: The task's settings.
        labels: Always none: what is told are tokens of the base's vocabulary.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads, and writes.
    """

    inputs: tuple[Field, ...] = (Field("source", "text"),)
    targets: tuple[Field, ...] = (Field("target", "written"), Field("targets", "references", required=False))
    says: Says = "text"
    additive = True
    measure_specs: Mapping[str, MeasureSpec]
    reference_measures = tuple(Likelihood.specs)
    by_script: tuple[str, Callable[[Sequence[str]], str]] | None = None  # a setting, and what targets make of it
    writes = True  # else it only tells how likely the given texts are

    def __init__(self, settings: Any, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int) -> None:
        tokenizer, self._form = spoken(settings, tokenizer)
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self._reading = Reading(settings, tokenizer=tokenizer, model_limit=model_limit, fields=["source"])
        self.max_tokens = self._reading.max_tokens
        self._most = min(settings.max_target_length or model_limit, model_limit)
        self._likelihood = Likelihood()
        self.judged_attribute = ""  # of which another bundle says whether texts have it
        self._measure_what_is_asked()
        first = {"start": self._form.start, "forced": self._form.forced}
        self.head = HeadSpec("sequence-to-sequence", labels, {k: v for k, v in first.items() if v is not None})

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        """The usual one; where there may be several references, these alone, too."""
        alone = tuple(replace(field, required=True) for field in cls.targets if field.kind == "references")
        return (*super().shapes(), *([Shape(cls.inputs, alone)] if alone else []))

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """None."""
        return ()

    @classmethod
    def settled(cls, settings: Any, train: Dataset) -> Any:
        """The values of its attributes, and the setting that goes `by_script`, where they are not decided."""
        settings = settings.model_copy(update={"attributes": learned_values(settings.attributes, train)})
        if cls.by_script is None or getattr(settings, cls.by_script[0]) is not None:
            return settings
        name, chosen = cls.by_script
        texts = [first for first, *_ in given(train.slice(0, LOOKED_AT))]
        return settings.model_copy(update={name: chosen(texts)})

    @classmethod
    def smooths(cls, settings: Any) -> bool:
        """Yes, over the vocabulary."""
        return True

    def _measure_what_is_asked(self, *, row_words: bool = False) -> None:
        """Measure whether texts keep to the settings' constraints, or to words of their rows, where there are some,
        whether they hold their keywords, and whether they have the attribute that is judged."""
        keywords = self.settings.keywords
        kept = (Kept(),) if self.settings.constraints or row_words else ()
        more: list[Part] = [Held(keywords)] if keywords else []
        more += [Judged(self.judged_attribute)] if self.judged_attribute else []
        self._asked: tuple[Part, ...] = (*kept, *more)
        own = dict(type(self).measure_specs)
        for part in more:
            own |= part.specs
        if row_words and not self.settings.constraints:  # rows without words are no trials of Wilson's
            own |= by_bootstrap(Kept.specs)
        self.measure_specs = {name: spec for name, spec in own.items() if kept or spec.needs != "constraints"}

    def measuring(self, columns: Container[str]) -> WrittenText:
        """The same task, measuring what rows with ``columns`` ask for."""
        other = copy.copy(self)
        other._measure_what_is_asked(row_words=any(field.name in columns for field in ROW_WORDS))
        if conversations_in(columns) is not None:  # the answers of one are no independent trials
            other.measure_specs = by_bootstrap(other.measure_specs)
        return other

    def judging(self, attribute: str) -> WrittenText:
        """The same task, measuring how many texts another bundle finds to have this attribute of their row."""
        other = copy.copy(self)
        other.judged_attribute = attribute
        other._measure_what_is_asked()
        return other

    def decoding(self, decoding: DecodingSettings) -> WrittenText:
        """The same task, which writes by other settings."""
        other = copy.copy(self)
        other.settings = self.settings.model_copy(update={"decoding": decoding})
        other._measure_what_is_asked()
        return other

    def silent(self) -> WrittenText:
        """The same task, which writes nothing and measures how likely the given texts are."""
        other = copy.copy(self)
        other.writes = False
        return other

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._read_schema, TARGET: pa.list_(pa.int32()), CUT: pa.bool_()}

    @property
    def _read_schema(self) -> dict[str, pa.DataType]:
        """Columns of the rows that nothing is learned from."""
        return {**self._reading.schema, **WORDS_SCHEMA}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`.

        Raises:
            TextTooLong: A source or a target is longer than allowed, and the settings refuse that.
            FaultyExamples: An attribute has a value that was not learned.
        """
        require_values(self.settings.attributes, columns, start=start)
        controls = control_texts(self.settings, columns) or [""] * len(columns["source"])
        before = self.settings.instruction
        told = {"source": [own + before + text for own, text in zip(controls, columns["source"], strict=True)]}
        out = self._reading.encode(told, purpose=purpose, start=start)
        add_words(out, columns, start=start)
        if purpose == "predict":
            return rows_of(out, self._read_schema)
        form = self._form
        targets = [[*form.prefix, *ids, *form.suffix] for ids in self.tokenizer.encode(to_learn(columns))]
        long = {start + i: len(ids) for i, ids in enumerate(targets) if len(ids) > self._most}
        if long and self.settings.long_target == "refuse":
            raise TargetTooLong(long, room=self._most)
        out[TARGET], out[CUT] = [ids[: self._most] for ids in targets], [len(ids) > self._most for ids in targets]
        return rows_of(out, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [batch, tokens]; of rows to learn from also ``target_ids`` int64
        [batch, written], ``target_places`` int64 [n, 2], where their tokens are, ``gold`` int64 [n], those tokens, and
        ``counts`` int64 [batch], how many each row has."""
        batch = self._reading.collate(rows, index)
        if TARGET not in rows.table.column_names:
            return batch
        ids, real = padded(rows, TARGET, index, fill=self.tokenizer.pad_id)
        places = real.nonzero()
        gold = ids[places[:, 0], places[:, 1]]
        return {**batch, TARGET: ids, "target_places": places, "gold": gold, "counts": real.sum(1)}

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        gold = batch["gold"]
        total = functional.cross_entropy(
            outputs["logits"].float(), gold, reduction="sum", label_smoothing=options.label_smoothing
        )
        return Loss(total, float(len(gold)) or 1.0)  # nothing to learn counts as one token

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        """Of each row float32 [written, 2]: its tokens' log probabilities, and whether each is the likeliest."""
        logits, gold = outputs["logits"].float(), batch["gold"].to(outputs["logits"].device)
        own = logits.gather(1, gold.unsqueeze(1)).squeeze(1) - logits.logsumexp(1)
        found = torch.stack([own, (logits.argmax(1) == gold).float()], dim=1).cpu().numpy()
        return np.split(found, np.cumsum(batch["counts"].cpu().numpy())[:-1])

    def prompts(self, rows: Rows) -> list[list[list[int]]]:
        """See `Writing.prompts`: a source each."""
        return [[rows.row("input_ids", i).tolist()] for i in range(len(rows))]

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[Drafts], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        cut = zip(rows.scalar("truncated").astype(bool).tolist(), targets_cut(rows), strict=True)
        return [
            self._prediction(one, truncated=was, target_cut=told)
            for one, (was, told) in zip(partials, cut, strict=True)
        ]

    def _prediction(self, drafts: Drafts, *, truncated: bool, target_cut: bool = False) -> Prediction:
        each = [
            {k: v for k, v in asdict(draft).items() if v is not None}
            for draft in (drafts.texts[0] if drafts.texts else ())
        ]
        found: Prediction = dict(each[0]) if each else {}
        if len(each) > 1:
            found["texts"] = each
        found["truncated"] = truncated
        if drafts.reference is not None:
            summed, count, right = drafts.reference
            found |= {"reference_log_probability": summed, "reference_tokens": count, "reference_right": right}
            found |= {REFERENCE_CUT: True} if target_cut else {}
        return found

    @property
    def endings(self) -> tuple[int, ...]:
        """Tokens that end a text.

        Raises:
            BundleError: The tokenizer has none.
        """
        found = self.tokenizer.eos_id
        if found is None:
            raise BundleError(
                "the base's tokenizer has no token that ends a text",
                expected="an eos_token",
                fix="Take another base for this task.",
                code="base.no-eos",
            )
        return (found,)

    def with_texts(self, inputs: Columns, texts: Sequence[str]) -> Columns:
        """Examples with these inputs whose texts to be written are ``texts``."""
        return {**inputs, self.targets[0].name: texts}

    @property
    def forced_bos_token_id(self) -> int | None:
        """See `Writing.forced_bos_token_id`."""
        return self._form.forced

    @property
    def room_to_write(self) -> int:
        """Most tokens of a text to learn, without those put before and after it."""
        return self._most - 2

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is measured beside `Likelihood`."""
        return ()

    def quality(self, tally: FloatArray) -> float | None:
        """How good one text is, from 0 to 1, of its row [1, columns] of a tally."""
        raise TypeError(f"{type(self).__name__} has no measure of one text")

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """The columns of `Likelihood`, each of `parts` and what is asked of the texts: float64 [examples, columns]."""
        each = (self._likelihood, *self.parts, *self._asked)
        if not predictions:
            return np.zeros((0, sum(part.columns for part in each)))
        return np.hstack([part.tally(columns, predictions) for part in each])

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        each = (self._likelihood, *self.parts, *self._asked)
        cuts = np.cumsum([part.columns for part in each])[:-1]
        found = {k: v for part, own in zip(each, np.split(tally, cuts, axis=1), strict=True)
                 for k, v in part.values(own).items()}  # fmt: skip
        return {name: found[name] for name in self.measure_specs}

    def shown(self, columns: Columns) -> list[str]:
        """What each text was written from, as a person reads it, its attributes and keywords first."""
        shown, controls = self._reading.shown(columns), control_texts(self.settings, columns)
        return shown if controls is None else list(map(operator.add, controls, shown))

    def asked(self, columns: Columns, rows: Rows) -> list[list[str]]:
        """Of each row what the texts of its prompts (see `prompts`) are written from, as a person reads it; ``rows``
        are all those of ``columns``."""
        shown = self.shown(columns)
        return [[shown[i]] for i in (rows.example - rows.example[:1]).tolist()]

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        each = [self.quality(tally[i : i + 1]) for i in range(len(tally))]
        tables = {} if texts_of(predictions) is None else tables_of(predictions)
        matched = next((part for part in self.parts if isinstance(part, Matched)), None)
        if tables and matched is not None:
            tables["signatures"] = matched.signatures(columns)
        cut = sum(REFERENCE_CUT in prediction for prediction in predictions)
        return Scored(
            tables,
            np.array([1.0 - (value or 0.0) for value in each]),
            self.shown(columns),
            self.told(columns),
            ["\n".join(written_of(prediction)) for prediction in predictions],
            {"warn.cut_measured": cut} if cut else {},
        )

    def told(self, columns: Columns) -> list[str]:
        """What each text should have been, as a person reads it: any of these."""
        return [" ‖ ".join(texts) for texts in given(columns)]

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return written_of(one) == written_of(other)


def targets_cut(rows: Rows) -> list[bool]:
    """Whether the text to write of each row is longer than what is told of it."""
    return rows.scalar(CUT).astype(bool).tolist() if CUT in rows.table.column_names else [False] * len(rows)


def bleu_tokenizer_of(texts: Sequence[str]) -> str:
    """sacrebleu's name for how words of such texts are counted: ``zh`` where most letters are Han characters."""
    letters = [c for text in texts for c in text if c.isalpha()]
    return "zh" if 2 * sum("\u4e00" <= c <= "\u9fff" for c in letters) > len(letters) else "13a"


def reference_of(found: NDArray[np.float32]) -> tuple[float, int, int]:
    """`Drafts.reference` of what `WrittenText.decode` gives for a row."""
    return float(found[:, 0].sum(dtype=np.float64)), len(found), int(found[:, 1].sum())
