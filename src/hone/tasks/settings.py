"""Settings of the tasks; no torch, so that a recipe is checked in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from hone.core.settings import Settings, unread
from hone.data.fields import Field as DataField
from hone.models.architectures import Stack

LongText = Literal["window", "truncate", "refuse"]
S = TypeVar("S", bound=Settings)


def _read(settings: S, readers: Mapping[str, Sequence[str]]) -> S:
    """``settings``, of which each that is set is read; see `hone.core.settings.unread`.

    Raises:
        ValueError: One is not.
    """
    if wrong := unread(settings, readers):
        raise ValueError("; ".join(wrong))
    return settings


class TextSettings(Settings):
    """What every task that reads text may be told.

    Attributes:
        max_length: Most tokens of a row, special ones included; None: the most the base reads.
        long_text: What becomes of a longer text: read through several windows joined to one answer, cut at the end,
            or refused with an error.
        stride: Tokens that neighboring windows share.
        stack: What does the task: an encoder reads, the other two write.
        incidental: Names of settings that say how a text is read or learned, and not what scores mean: bundles that
            differ in nothing else answer the same question.
    """

    stack: ClassVar[Stack] = "encoder"
    incidental: ClassVar[frozenset[str]] = frozenset({"max_length", "long_text", "stride"})

    max_length: Annotated[int, Field(ge=8)] | None = None
    long_text: LongText = "truncate"
    stride: Annotated[int, Field(ge=0)] = 64

    @property
    def controls(self) -> tuple[DataField, ...]:
        """Fields of a row that say how its text is to be written; tasks that read have none."""
        return ()


class UnknownSettings(Settings):
    """What a task of one label a text may be told of texts that no label fits.

    Attributes:
        unknown_label: What such texts are called, in the answers and where the data has some: rows of that label are
            learned like any, and on validation a threshold is tuned below which the likeliest label is not answered.
        max_in_scope_drop: How much of the accuracy on the other rows of validation the threshold may cost.
    """

    unknown_label: Annotated[str, Field(min_length=1)] | None = None
    max_in_scope_drop: Annotated[float, Field(ge=0, lt=1)] = 0.01

    @model_validator(mode="after")
    def _read_by_a_threshold(self) -> Self:
        return _read(self, {"unknown_label": ["max_in_scope_drop"] if self.unknown_label is None else []})


class AtLeast(Settings):
    """Labels that so many training rows have."""

    at_least: Annotated[int, Field(ge=1)]


class LabelSettings(TextSettings):
    """What a task that learns labels may be told besides.

    Attributes:
        labels: Which labels count: a list of them, or ``{at_least: N}`` for those that N training rows have; None: all
            that training rows have, and any other one in another split is an error.
        other_labels: What becomes of rows with any other label, where ``labels`` says which count: they are refused
            with an error, or left out (``drop``). Where a row may have several labels, ``drop`` takes the others from
            it and leaves it in place.
    """

    incidental = TextSettings.incidental | {"labels", "other_labels"}  # which labels there are, a bundle says itself

    labels: list[str] | AtLeast | None = None
    other_labels: Literal["refuse", "drop"] = "refuse"

    @field_validator("labels", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A list with numbers as text, for so they stand in data too; one message for all that is wrong."""
        least = value.get("at_least") if isinstance(value, dict) and len(value) == 1 else None
        if type(least) is int and least > 0:
            return value
        if not isinstance(value, list | None | AtLeast):
            raise ValueError("a list of labels, or {at_least: N}")
        if not isinstance(value, list):
            return value
        names = [str(one) if type(one) is int else one for one in value]
        if not names or not all(isinstance(one, str) and one.strip() for one in names):
            raise ValueError("a list of labels, or {at_least: N}")
        if len(set(names)) < len(names):
            raise ValueError("each label once")
        return names

    @model_validator(mode="after")
    def _others_of_some(self) -> Self:
        return _read(self, {"labels": ["other_labels"] if self.labels is None else []})


class TextClassificationSettings(LabelSettings, UnknownSettings):
    """Settings of ``text-classification``.

    Attributes:
        pooling: ``cls`` is the model's own head, transformers' (the bundle opens there with the same logits) or a
            net's; ``mean`` averages the token states, which suits sentence-embedding bases such as the default one.
    """

    incidental = LabelSettings.incidental | {"pooling", "max_in_scope_drop"}

    pooling: Literal["mean", "cls"] = "mean"


class TextPairClassificationSettings(TextClassificationSettings):
    """Settings of ``text-pair-classification``.

    Attributes:
        pooling: As of ``text-classification``; or ``pair``: the mean state of each text, and how the two compare.
        long_text: What becomes of a pair that is longer than a row: the longer text cut at its end, then both; or
            refused with an error.
    """

    pooling: Literal["mean", "cls", "pair"] = "mean"  # type: ignore[assignment]
    long_text: Literal["truncate", "refuse"] = "truncate"


class QuestionAnsweringSettings(TextSettings):
    """Settings of ``question-answering``.

    Attributes:
        max_length: Most tokens of a row, question and context together; None: the most the base reads.
        long_text: What becomes of a context that does not fit beside its question: read through several windows, whose
            best answer is taken, or refused with an error.
        stride: Tokens that neighboring windows share; an answer that is longer may be cut by every window.
        max_answer_tokens: The longest answer.
    """

    max_length: Annotated[int, Field(ge=32)] | None = None
    long_text: Literal["window", "refuse"] = "window"
    stride: Annotated[int, Field(ge=0)] = 128
    max_answer_tokens: Annotated[int, Field(ge=1)] = 30


class RelationSettings(LabelSettings):
    """Settings of ``relation-extraction``.

    Attributes:
        long_text: What becomes of a text that is longer than a row: what is far from the two spans is cut, or it is
            refused with an error.
        other: The label that means no relation; it is learned like any and left out of ``relation_f1``.
    """

    long_text: Literal["truncate", "refuse"] = "truncate"
    other: str = "Other"


class MultiLabelSettings(LabelSettings):
    """Settings of ``multi-label-classification``.

    Attributes:
        pooling: As of ``text-classification``.
        loss: ``bce`` is binary cross-entropy, one a label; ``focal`` counts labels that are told right already for less
            (Lin et al. 2017), which suits many labels that are rare.
        focal_gamma: How much less: each label's loss times ``(1 - p)^gamma``, ``p`` the probability given to the truth.
        threshold: Probability from which a label is answered, where none was tuned for it on validation.
    """

    incidental = LabelSettings.incidental | {"pooling", "loss", "focal_gamma"}

    other_labels: Literal["refuse", "drop"] = "drop"
    pooling: Literal["mean", "cls"] = "mean"
    loss: Literal["bce", "focal"] = "bce"
    focal_gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _read_by_the_loss(self) -> Self:
        return _read(self, {"loss focal": ["focal_gamma"] if self.loss != "focal" else []})


class TextRegressionSettings(TextSettings):
    """Settings of ``text-regression``.

    Attributes:
        pooling: As of ``text-classification``.
        loss: ``mse`` is the squared error, ``huber`` the squared error of near misses and the absolute one of far ones
            (Huber 1964), ``mae`` the absolute one.
        center: What the model's zero stands for; None: the mean of the training scores.
        scale: What the model's one stands for, beyond that; None: the standard deviation of the training scores.
    """

    incidental = TextSettings.incidental | {"pooling", "loss"}

    pooling: Literal["mean", "cls"] = "mean"
    loss: Literal["mse", "huber", "mae"] = "mse"
    center: Annotated[float, Field(allow_inf_nan=False)] | None = None
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class TextPairRegressionSettings(TextRegressionSettings):
    """Settings of ``text-pair-regression``.

    Attributes:
        pooling: As of ``text-pair-classification``.
        long_text: As of ``text-pair-classification``.
    """

    pooling: Literal["mean", "cls", "pair"] = "mean"  # type: ignore[assignment]
    long_text: Literal["truncate", "refuse"] = "truncate"


class SentenceEmbeddingSettings(TextSettings):
    """Settings of ``sentence-embedding``.

    Attributes:
        max_length: Most tokens of a text; each is read by itself.
        long_text: What becomes of a text that is longer than a row: cut at its end, or refused with an error.
        pooling: What of the tokens' states stands for a text: their ``mean``, or the first one, ``cls``.
        loss: ``contrastive`` tells each ``text_a`` its own ``text_b`` among those of the whole batch, and among its
            ``negative`` ones where the rows have them (van den Oord et al. 2018; Henderson et al. 2017), and where rows
            are a ``text`` with a ``label`` draws texts of one label together, those of others apart (Khosla et al.
            2020); ``triplet``
            keeps ``negative`` a margin farther away than ``text_b`` (Schroff et al. 2015); ``cosine`` brings the cosine
            of two texts to their ``score``; ``cosent`` brings the cosines of all pairs into the order of their scores
            (Su 2022).
        temperature: What cosines are divided by in ``contrastive`` and ``cosent``.
        margin: Of ``triplet``, in cosines.
        lowest: Score that stands for the cosine 0 in ``cosine``; None: the lowest training score.
        highest: Score that stands for the cosine 1 there; None: the highest training score.
        negatives: ``mined`` finds a hard negative for every training pair with the model as it is before training: of
            the other pairs' ``text_b`` the nearest one that is not too near; ``given`` takes what the rows have.
        mined_margin: How much less alike than ``text_b`` a mined negative must be, in cosines: what is nearer may be
            right as well.
        matryoshka: Sizes at which the first numbers of an embedding are to be an embedding too: the loss is the mean
            over these and the whole (Kusupati et al. 2022).
        dimensions: How many numbers an answer has; None: the base's width.
    """

    long_text: Literal["truncate", "refuse"] = "truncate"
    pooling: Literal["mean", "cls"] = "mean"
    loss: Literal["contrastive", "triplet", "cosine", "cosent"] = "contrastive"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2
    lowest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    highest: Annotated[float, Field(allow_inf_nan=False)] | None = None
    negatives: Literal["given", "mined"] = "given"
    mined_margin: Annotated[float, Field(ge=0, lt=2)] = 0.05
    matryoshka: list[Annotated[int, Field(ge=1)]] = []
    dimensions: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _read_by_the_loss(self) -> Self:
        loss = self.loss
        readers = {
            "loss contrastive or cosent": ["temperature"] if loss not in ("contrastive", "cosent") else [],
            "loss contrastive or triplet": ["negatives"] if loss not in ("contrastive", "triplet") else [],
            "loss triplet": ["margin"] if loss != "triplet" else [],
            "loss cosine": ["lowest", "highest"] if loss != "cosine" else [],
            "negatives mined": ["mined_margin"] if self.negatives != "mined" else [],
        }
        if self.lowest is not None and self.lowest == self.highest:
            raise ValueError(f"lowest and highest apart: both are {self.lowest:g}, and stand for the cosines 0 and 1")
        return _read(self, readers)


class TokenClassificationSettings(TextSettings):
    """Settings of ``token-classification``.

    Attributes:
        head: ``linear`` scores each word alone; ``crf`` scores whole tag sequences.
        word_shape: Show the head each word's case, digits and ending, which an uncased base cannot see.
        context: Width of a bidirectional LSTM over the words under the linear layer; 0 for none.
        split: How a raw text is split into what is tagged: ``words``, of which a Chinese character is one;
            ``characters``, every one alone, Latin letters and digits too, as in most Chinese data sets; ``auto``: as
            the training tokens are, ``characters`` where none is longer than one. Must agree with training.
    """

    incidental = TextSettings.incidental | {"context"}

    long_text: LongText = "window"
    head: Literal["linear", "crf"] = "linear"
    word_shape: bool = False
    context: Annotated[int, Field(ge=0, multiple_of=2)] = 0
    split: Literal["auto", "words", "characters"] = "auto"

    @property
    def plain_head(self) -> bool:
        """Whether the head is transformers' own, over words: it has no more than a linear layer."""
        return self.head == "linear" and not self.word_shape and not self.context


class IntentAndSlotsSettings(TokenClassificationSettings, UnknownSettings):
    """Settings of ``intent-and-slots``; of those of ``token-classification``, ``head`` scores the slots.

    Attributes:
        slots: Types of slots, in the order of the scores; None: those that the training tags have.
        slot_weight: What the loss of a text's tags counts beside that of its intent; with 1 the two make the
            probability of the whole answer.
    """

    incidental = TokenClassificationSettings.incidental | {"slot_weight", "max_in_scope_drop"}

    head: Literal["linear", "crf"] = "crf"
    slots: list[str] | None = None
    slot_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    @property
    def plain_head(self) -> bool:
        """Never: it scores the intent, too."""
        return False


class SpanClassificationSettings(TextSettings):
    """Settings of ``span-classification``.

    Attributes:
        long_text: As of ``text-classification``; an entity is found where a window holds it whole.
        head_size: Numbers by which the first and the last token of a stretch are compared.
        efficient: One comparison for all labels, which then differ by a sum over both ends: fewer weights where labels
            are many.
    """

    incidental = TextSettings.incidental | {"head_size", "efficient"}

    long_text: LongText = "window"
    head_size: Annotated[int, Field(ge=2, multiple_of=2)] = 64
    efficient: bool = True


class MultipleChoiceSettings(TextSettings):
    """Settings of ``multiple-choice``.

    Attributes:
        max_length: Most tokens of a question and one choice together; None: the most the base reads.
        long_text: What becomes of a question and a choice that are longer than that: the longer one cut at its end,
            then both; or refused with an error.
    """

    long_text: Literal["truncate", "refuse"] = "truncate"


class FillMaskSettings(TextSettings):
    """Settings of ``fill-mask``.

    Attributes:
        mlm_probability: Share of the tokens, or words, that a training step has to tell; each epoch draws others.
        whole_word: Mask all pieces of a word together, or none. Words are what the base's tokenizer splits a text into
            before it looks for pieces: for BERT's a Chinese character is a word.
        positions: Most tokens of a text that are masked, each in turn, where a text without mask tokens is measured;
            they are spread evenly.
        top_k: How many fillings an answer has.
    """

    incidental = TextSettings.incidental | {"mlm_probability", "whole_word"}

    long_text: LongText = "window"
    mlm_probability: Annotated[float, Field(gt=0, lt=1)] = 0.15
    whole_word: bool = False
    positions: Annotated[int, Field(ge=1)] = 16
    top_k: Annotated[int, Field(ge=1)] = 5
