"""Settings of the tasks that write; no torch, so that a recipe is checked in a moment."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from hone.models.architectures import Stack
from hone.tasks.decoding import DecodingSettings
from hone.tasks.settings import TextSettings


class WritingSettings(TextSettings):
    """What every task that writes may be told.

    Attributes:
        long_text: What becomes of a source that is longer than a row: cut at its end, or refused with an error.
        max_target_length: Most tokens of a text to learn to write, special ones included; None: the most the base
            writes.
        long_target: What becomes of a longer one: refused with an error, or cut at its end, so that the model learns no
            end of it.
        decoding: How texts are written.
    """

    stack: ClassVar[Stack] = "encoder-decoder"

    long_text: Literal["truncate", "refuse"] = "truncate"
    max_target_length: Annotated[int, Field(ge=4)] | None = None
    long_target: Literal["refuse", "truncate"] = "refuse"
    decoding: DecodingSettings = DecodingSettings()

    @property
    def constraints(self) -> list[str]:
        """What every text that is written has to keep to, by the names of its settings."""
        return [
            name for name in ("regex", "json_schema", "required_words", "bad_words") if getattr(self.decoding, name)
        ]


Code = Annotated[str, Field(min_length=1)]


class SourceSettings(WritingSettings):
    """What a task that writes from a source may be told.

    Attributes:
        instruction: What is put before every source, as T5 wants it: ``translate English to German: ``.
        source_language: Language of the sources, as the base's tokenizer calls it (``en_XX`` of mBART, ``eng_Latn`` of
            NLLB); bases that tell languages apart need both, others have neither.
        target_language: Language of what is written.
    """

    instruction: str = ""
    source_language: Code | None = None
    target_language: Code | None = None


class TranslationSettings(SourceSettings):
    """Settings of ``translation``.

    Attributes:
        bleu_tokenizer: How texts are made of words for BLEU, by sacrebleu's names; None: ``zh`` where the training
            targets are mostly Han characters, else ``13a``.
    """

    bleu_tokenizer: Literal["13a", "intl", "zh", "char", "none"] | None = None


class TextGenerationSettings(WritingSettings):
    """Settings of ``text-generation``.

    Attributes:
        max_length: Most tokens of a row, those written among them; None: the most the base reads.
        long_text: What becomes of a prompt that does not fit beside what comes after it: its beginning is left out, or
            it is refused with an error. A text without prompt is read in windows.
        stride: Tokens that neighboring windows of a text share.
        messages: Whether it learns from conversations; None: where the training rows have ``messages``.
    """

    stack: ClassVar[Stack] = "decoder"

    messages: bool | None = None


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
    """

    stack: ClassVar[Stack] = "decoder"

    system: str = ""


class SummarizationSettings(SourceSettings):
    """Settings of ``summarization``.

    Attributes:
        units: What ROUGE compares: ``words``, or ``characters``, of which every Han character is one; None: characters
            where the training targets are mostly Han characters.
    """

    units: Literal["words", "characters"] | None = None
