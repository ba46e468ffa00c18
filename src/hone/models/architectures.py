"""Models that start from nothing: which there are, their sizes, and how their tokenizer is learned; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hone.core.settings import Settings
from hone.core.tables import Table

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

ARCHITECTURES = Table(
    "architecture",
    {
        "bert": "hone.models.architectures:BERT",
        "bilstm": "hone.models.architectures:BILSTM",
        "dan": "hone.models.architectures:DAN",
        "textcnn": "hone.models.architectures:TEXTCNN",
    },
    group="hone.architectures",
)


class TokenizerSettings(Settings):
    """How a tokenizer is learned. A Chinese character is a word whatever the kind, and full-width letters, digits and
    punctuation are read as their usual forms (NFKC).

    Attributes:
        train: It is learned from the training texts.
        kind: ``wordpiece`` takes frequent parts of words; ``words`` whole words; ``characters`` single ones.
        vocab_size: Most tokens, the five special ones among them.
        min_frequency: What occurs less often in the training texts is unknown.
        lowercase: Read letters as small ones without accents.
    """

    train: Literal[True] = True
    kind: Literal["wordpiece", "words", "characters"] = "wordpiece"
    vocab_size: Annotated[int, Field(ge=16)] = 8000
    min_frequency: Annotated[int, Field(ge=1)] = 2
    lowercase: bool = True


class WordTokenizerSettings(TokenizerSettings):
    """The same, of whole words unless told otherwise.

    Attributes:
        kind, vocab_size: As of `TokenizerSettings`.
    """

    kind: Literal["wordpiece", "words", "characters"] = "words"
    vocab_size: Annotated[int, Field(ge=16)] = 30_000


class BaseSettings(Settings):
    """What every architecture may be told.

    Attributes:
        hidden: Width of the tokens' states.
        max_length: Most tokens of a row, special ones included.
        dropout: Share of what a layer reads that training leaves out.
        tokenizer: How its tokenizer is learned.
    """

    hidden: Width = 256
    max_length: Annotated[int, Field(ge=8)] = 512
    dropout: Share = 0.1
    tokenizer: TokenizerSettings = TokenizerSettings()


class BertSettings(BaseSettings):
    """Sizes of ``bert`` (Devlin et al. 2019).

    Attributes:
        layers: Transformer layers.
        heads: Attention heads of each; their number divides ``hidden``.
        inner: Units inside each feed-forward block; None: four times ``hidden``.
    """

    layers: Annotated[int, Field(ge=1)] = 4
    heads: Width = 4
    inner: Width | None = None

    @model_validator(mode="after")
    def _divided(self) -> BertSettings:
        if self.hidden % self.heads:
            raise ValueError(f"a hidden that heads divides, not {self.hidden} and {self.heads}")
        return self


class BiLstmSettings(BaseSettings):
    """Sizes of ``bilstm``: LSTMs that read a text in both directions.

    Attributes:
        hidden: Width of the tokens' states, both directions together: an even number.
        embedding: Width of the token embeddings.
        layers: LSTMs over one another.
    """

    hidden: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    embedding: Width = 128
    layers: Annotated[int, Field(ge=1)] = 1
    dropout: Share = 0.5
    tokenizer: WordTokenizerSettings = WordTokenizerSettings()


class DanSettings(BaseSettings):
    """Sizes of ``dan``, the deep averaging network (Iyyer et al. 2015): layers over the mean of a text's token
    embeddings, which knows no order.

    Attributes:
        embedding: Width of the token embeddings.
        layers: Feed-forward layers after them.
        word_dropout: Share of a text's tokens that training leaves out of the mean.
    """

    hidden: Width = 300
    embedding: Width = 300
    layers: Annotated[int, Field(ge=1)] = 2
    dropout: Share = 0.3
    word_dropout: Share = 0.3
    tokenizer: WordTokenizerSettings = WordTokenizerSettings()


class TextCnnSettings(BaseSettings):
    """Sizes of ``textcnn`` (Kim 2014): convolutions of several widths, side by side.

    Attributes:
        hidden: Filters of all widths together: as many of each.
        embedding: Width of the token embeddings.
        widths: How many tokens a filter sees, of each kind of filter.
    """

    hidden: Width = 300
    embedding: Width = 128
    widths: Annotated[list[Width], Field(min_length=1)] = [3, 4, 5]
    dropout: Share = 0.5
    tokenizer: WordTokenizerSettings = WordTokenizerSettings()

    @model_validator(mode="after")
    def _divided(self) -> TextCnnSettings:
        if self.hidden % len(self.widths):
            raise ValueError(f"a hidden that the number of widths divides, not {self.hidden} and {len(self.widths)}")
        return self


@dataclass(frozen=True)
class Architecture:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        config: ``module:function`` that makes a configuration of transformers' kind: ``(settings, vocab_size)``.
        net: ``module:class`` of the model (see `hone.models.nets.Net`); empty where the configuration is of a model
            that transformers has.
    """

    name: str
    settings: type[BaseSettings]
    config: str
    net: str = ""


@dataclass(frozen=True)
class NewBase:
    """A base that a recipe asks to have made: an architecture with its settings."""

    architecture: str
    settings: BaseSettings

    def decided(self) -> dict[str, Any]:
        """Every key with its value, as the decided recipe has it."""
        return {"architecture": self.architecture, **self.settings.model_dump(mode="json")}


BERT = Architecture("bert", BertSettings, "hone.models.new_base:bert_config")
BILSTM = Architecture("bilstm", BiLstmSettings, "hone.models.bilstm:config", "hone.models.bilstm:BiLstm")
DAN = Architecture("dan", DanSettings, "hone.models.dan:config", "hone.models.dan:Dan")
TEXTCNN = Architecture("textcnn", TextCnnSettings, "hone.models.textcnn:config", "hone.models.textcnn:TextCnn")
