"""Settings of the tasks that write; no torch, so that a recipe is checked in a moment."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from hone.data.fields import Field as DataField
from hone.models.architectures import Stack
from hone.tasks.decoding import DecodingSettings
from hone.tasks.settings import TextSettings

ROW_WORDS = tuple(DataField(name, "words", required=False) for name in ("required_words", "bad_words"))
OWN = ("source", "target", "targets", "prompt", "text", "messages", "turns", "chosen", "rejected", "answer",
       *(field.name for field in ROW_WORDS))  # fmt: skip
Name = Annotated[str, Field(min_length=1)]
BleuTokenizer = Literal["13a", "intl", "zh", "char", "none"]


class WritingSettings(TextSettings):
    """What every task that writes may be told.

    Attributes:
        long_text: What becomes of a source that is longer than a row: cut at its end, or refused with an error.
        max_target_length: Most tokens of a text to learn to write, special ones included; None: the most the base
            writes.
        long_target: What becomes of a longer one: refused with an error, or cut at its end, so that the model learns no
            end of it.
        attributes: Fields of a row that say what its text is like, such as its sentiment: the model reads their values
            before what it writes from, and learns to go by them (control codes, Keskar et al. 2019). A list of their
            names, or of each name the values that it may have; where none are named, those of the training rows.
        keywords: The field of a row with words that its text is about, read in the same way.
        decoding: How texts are written. Rows may have ``required_words`` and ``bad_words`` of their own beside its.
    """

    stack: ClassVar[Stack] = "encoder-decoder"

    long_text: Literal["truncate", "refuse"] = "truncate"
    max_target_length: Annotated[int, Field(ge=4)] | None = None
    long_target: Literal["refuse", "truncate"] = "refuse"
    attributes: dict[Name, list[Name]] = {}
    keywords: Name | None = None
    decoding: DecodingSettings = DecodingSettings()

    @field_validator("attributes", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Names alone as names without values; values that are numbers as text, for so data have them."""
        if isinstance(value, list) and all(isinstance(name, str) for name in value) and len({*value}) == len(value):
            return {name: [] for name in value}
        if not isinstance(value, dict) or not all(isinstance(each, list) for each in value.values()):
            raise ValueError("a list of different fields, or of each field the list of its values")
        return {name: [str(one) if type(one) is int else one for one in each] for name, each in value.items()}

    @model_validator(mode="after")
    def _apart(self) -> WritingSettings:
        named = [*self.attributes, *([self.keywords] if self.keywords else [])]
        taken = sorted({name for name in named if name in OWN or named.count(name) > 1})
        if taken:
            raise ValueError(f"attributes and keywords in fields of their own, not in {', '.join(taken)}")
        return self

    @property
    def controls(self) -> tuple[DataField, ...]:
        """Its attributes and keywords, which every row has, and words of its own, which it may have."""
        attributes = [DataField(name, "label", values=tuple(values)) for name, values in self.attributes.items()]
        keywords = [DataField(self.keywords, "words")] if self.keywords else []
        return (*attributes, *keywords, *ROW_WORDS)

    @property
    def constraints(self) -> list[str]:
        """What every text that is written has to keep to, by the names of its settings."""
        return [
            name for name in ("regex", "json_schema", "required_words", "bad_words") if getattr(self.decoding, name)
        ]


class SourceSettings(WritingSettings):
    """What a task that writes from a source may be told.

    Attributes:
        instruction: What is put before every source, as T5 wants it: ``translate English to German: ``.
        source_language: Language of the sources, as the base's tokenizer calls it (``en_XX`` of mBART, ``eng_Latn`` of
            NLLB); bases that tell languages apart need both, others have neither.
        target_language: Language of what is written.
    """

    instruction: str = ""
    source_language: Name | None = None
    target_language: Name | None = None


class TranslationSettings(SourceSettings):
    """Settings of ``translation``.

    Attributes:
        bleu_tokenizer: How texts are made of words for BLEU, by sacrebleu's names; None: ``zh`` where the training
            targets are mostly Han characters, else ``13a``.
    """

    bleu_tokenizer: BleuTokenizer | None = None


class TextGenerationSettings(WritingSettings):
    """Settings of ``text-generation``.

    Attributes:
        max_length: Most tokens of a row, those written among them; None: the most the base reads.
        long_text: What becomes of a prompt that does not fit beside what comes after it: its beginning is left out, or
            it is refused with an error. A text without prompt is read in windows.
        stride: Tokens that neighboring windows of a text share.
        messages: Whether it learns from conversations; None: where the training rows have ``messages``.
        bleu_tokenizer: As of ``translation``.
    """

    stack: ClassVar[Stack] = "decoder"

    messages: bool | None = None
    bleu_tokenizer: BleuTokenizer | None = None


class DialogueSettings(WritingSettings):
    """Settings of ``dialogue``.

    Attributes:
        max_length: Most tokens of a row, those written among them; None: the most the base reads.
        long_text: What becomes of turns that do not fit before an answer: the oldest ones are left out, or the
            conversation is refused with an error. A turn is never cut.
        max_target_length: Most tokens of an answer to learn; None: as many as a row has room for.
        stride: Where the answers of a conversation do not fit in one row, most tokens of turns that the next one
            repeats, beyond those that its first answer is to.
        system: The system text of conversations that bring none; empty: they have none.
        bleu_tokenizer: As of ``translation``.
    """

    stack: ClassVar[Stack] = "decoder"

    system: str = ""
    bleu_tokenizer: BleuTokenizer | None = None


class SummarizationSettings(SourceSettings):
    """Settings of ``summarization``.

    Attributes:
        units: What ROUGE compares: ``words``, those of English alone, as published scores do (runs of a to z and
            digits; other letters are lost); or ``characters``, words of any script, and every character of one without
            spaces. None: words where the letters of the training targets are those of English, 99 of 100, else
            characters.
    """

    units: Literal["words", "characters"] | None = None
