"""Models that start from nothing: which there are, their sizes, and how their tokenizer is learned; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hone.core.errors import Fault
from hone.core.settings import Settings
from hone.core.tables import Table

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Stack = Literal["encoder", "decoder", "encoder-decoder"]

BYTES_AND_SPECIAL = 256 + 6

ARCHITECTURES = Table(
    "architecture",
    {
        "bart": "hone.models.architectures:BART",
        "bert": "hone.models.architectures:BERT",
        "bilstm": "hone.models.architectures:BILSTM",
        "dan": "hone.models.architectures:DAN",
        "gpt2": "hone.models.architectures:GPT2",
        "llama": "hone.models.architectures:LLAMA",
        "rnn-seq2seq": "hone.models.architectures:RNN_SEQ2SEQ",
        "t5": "hone.models.architectures:T5",
        "textcnn": "hone.models.architectures:TEXTCNN",
    },
    group="hone.architectures",
)


class TokenizerSettings(Settings):
    """How a tokenizer is learned.

    Attributes:
        train: It is learned from the training texts.
        kind: ``wordpiece`` takes frequent parts of words; ``unigram`` the parts under which words are likeliest (Kudo
            2018); ``words`` whole words; ``characters`` single ones; ``bpe`` frequent parts of what texts are as bytes,
            of which none is unknown.
        vocab_size: Most tokens, the special ones among them.
        min_frequency: What occurs less often in the training texts is unknown, or stays apart.
        lowercase: Read letters as small ones.
    """

    train: Literal[True] = True
    kind: Literal["wordpiece", "unigram", "words", "characters", "bpe"]
    vocab_size: Annotated[int, Field(ge=16)] = 8000
    min_frequency: Annotated[int, Field(ge=1)] = 2
    lowercase: bool = True


class PieceTokenizerSettings(TokenizerSettings):
    """Of models that read. But for ``bpe``, a Chinese character is a word whatever the kind, and full-width letters,
    digits and punctuation are read as their usual forms (NFKC); small letters have no accents.

    Attributes:
        kind: As of `TokenizerSettings`.
    """

    kind: Literal["wordpiece", "unigram", "words", "characters", "bpe"] = "wordpiece"

    @model_validator(mode="after")
    def _room_for_bytes(self) -> Self:
        if self.kind == "bpe" and self.vocab_size < BYTES_AND_SPECIAL:
            raise ValueError(f"a vocab_size of {BYTES_AND_SPECIAL} or more for the 256 bytes, not {self.vocab_size}")
        return self


class ByteTokenizerSettings(TokenizerSettings):
    """Of models that write: what is written must be a text again, to the letter. Every text can be, for all 256 bytes
    are tokens; the only change is to composed letters (NFC), and to small ones where asked for.

    Attributes:
        kind, vocab_size, lowercase: As of `TokenizerSettings`.
    """

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=BYTES_AND_SPECIAL)] = 8000
    lowercase: bool = False


class WordTokenizerSettings(PieceTokenizerSettings):
    """The same, of whole words unless told otherwise.

    Attributes:
        kind, vocab_size: As of `TokenizerSettings`.
    """

    kind: Literal["wordpiece", "unigram", "words", "characters", "bpe"] = "words"
    vocab_size: Annotated[int, Field(ge=16)] = 30_000


class ExtensionSettings(Settings):
    """A base whose vocabulary is to be extended by words of the texts that are learned from.

    Attributes:
        extends: The base.
        new_tokens: Most entries that are added.
        min_frequency: How often one occurs in the texts at least.
    """

    extends: str
    new_tokens: Annotated[int, Field(ge=1)] = 1000
    min_frequency: Annotated[int, Field(ge=1)] = 10

    def decided(self) -> dict[str, Any]:
        """Every key with its value, as the decided recipe has it."""
        return self.model_dump(mode="json")


class GrowthSettings(Settings):
    """A base that is to have more layers than the one it begins as.

    Attributes:
        grow: The base.
        layers: How many each of its stacks then has.
        how: ``stack`` puts its upper layers over it again; ``interleave`` puts copies behind the layers they are of;
            ``identity`` does too, and the copies change nothing before they have learned.
    """

    grow: str
    layers: Annotated[int, Field(ge=2)]
    how: Literal["stack", "interleave", "identity"] = "stack"

    def decided(self) -> dict[str, Any]:
        """Every key with its value, as the decided recipe has it."""
        return self.model_dump(mode="json")


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
    tokenizer: TokenizerSettings = PieceTokenizerSettings()


class TransformerSettings(BaseSettings):
    """Sizes of a transformer (Vaswani et al. 2017).

    Attributes:
        layers: Transformer layers.
        heads: Attention heads of each; their number divides ``hidden``.
        inner: Units inside each feed-forward block; None: four times ``hidden``.
    """

    layers: Annotated[int, Field(ge=1)] = 4
    heads: Width = 4
    inner: Width | None = None

    @model_validator(mode="after")
    def _divided(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"a hidden that heads divides, not {self.hidden} and {self.heads}")
        return self


class BertSettings(TransformerSettings):
    """Sizes of ``bert`` (Devlin et al. 2019), and how it begins.

    Attributes:
        heads_begin: Half of the heads of each layer look at what stands ``beside`` a token (`hone.models.beside`), or
            all begin at ``random``.
    """

    heads_begin: Literal["beside", "random"] = "beside"
    tokenizer: PieceTokenizerSettings = PieceTokenizerSettings()


class Gpt2Settings(TransformerSettings):
    """Sizes of ``gpt2`` (Radford et al. 2019), which goes on with a text; its embeddings are those of its output."""

    tokenizer: ByteTokenizerSettings = ByteTokenizerSettings()


class LlamaSettings(TransformerSettings):
    """Sizes of ``llama`` (Touvron et al. 2023), which goes on with a text: gated feed-forward blocks (Shazeer 2020),
    and of positions it knows how far they are apart, for queries and keys are turned (Su et al. 2024). Its embeddings
    are those of its output.

    Attributes:
        heads: Attention heads of each layer; ``hidden`` is an even number for each of them.
        inner: Units inside each feed-forward block; None: eight thirds of ``hidden``, rounded up to a multiple of 16.
        dropout: Share of attention's probabilities that training leaves out; it has no other.
    """

    dropout: Share = 0.0
    tokenizer: ByteTokenizerSettings = ByteTokenizerSettings()

    @model_validator(mode="after")
    def _turned(self) -> Self:
        if self.hidden // self.heads % 2:
            raise ValueError(f"an even hidden for each head, not {self.hidden // self.heads}")
        return self


class BartSettings(TransformerSettings):
    """Sizes of ``bart`` (Lewis et al. 2020), which reads a text and writes another; encoder, decoder and output share
    their embeddings.

    Attributes:
        layers: Transformer layers of the encoder.
        decoder_layers: Those of the decoder; None: as many.
    """

    decoder_layers: Annotated[int, Field(ge=1)] | None = None
    tokenizer: ByteTokenizerSettings = ByteTokenizerSettings()


class T5Settings(BartSettings):
    """Sizes of ``t5`` (Raffel et al. 2020), which reads a text and writes another, and knows of positions how far they
    are apart; encoder, decoder and output share their embeddings.

    Attributes:
        d_kv: Width of each attention head; None: all heads together are ``hidden`` wide.
        feed_forward_proj: What the feed-forward blocks do: ``relu``, or as in T5 1.1 ``gated-gelu`` (Shazeer 2020).
        relative_attention_num_buckets: How many distances are told apart.
        relative_attention_max_distance: From which distance on all are one, in tokens.
    """

    d_kv: Width | None = None
    feed_forward_proj: Literal["relu", "gated-gelu"] = "gated-gelu"
    relative_attention_num_buckets: Annotated[int, Field(ge=4, multiple_of=2)] = 32
    relative_attention_max_distance: Annotated[int, Field(ge=1)] = 128


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


class RnnSeq2SeqSettings(BaseSettings):
    """Sizes of ``rnn-seq2seq``: an LSTM in both directions reads, one that attends to it writes (Luong et al. 2015).

    Attributes:
        hidden: Width of the states of both sides, an even number.
        embedding: Width of the token embeddings, which are those of the output.
        layers: LSTMs over one another that read.
        decoder_layers: Those that write; None: as many.
    """

    hidden: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    embedding: Width = 256
    layers: Annotated[int, Field(ge=1)] = 2
    decoder_layers: Annotated[int, Field(ge=1)] | None = None
    dropout: Share = 0.3
    tokenizer: ByteTokenizerSettings = ByteTokenizerSettings()


@dataclass(frozen=True)
class Architecture:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        config: ``module:function`` that makes a configuration of transformers' kind: ``(settings, vocab_size)``.
        net: ``module:class`` of the model (see `hone.models.nets`); empty where the configuration is of a model
            that transformers has.
        stack: An ``encoder`` reads; a ``decoder`` goes on with a text; an ``encoder-decoder`` reads one and writes
            another.
        begin: ``module:function`` that changes the weights a new model was given: ``(model, settings)``; empty where
            they stay as its class draws them.
    """

    name: str
    settings: type[BaseSettings]
    config: str
    net: str = ""
    begin: str = ""
    stack: Stack = "encoder"


def named_stack(stack: Stack) -> str:
    """``an encoder``, ``a decoder`` or ``an encoder-decoder``, for messages."""
    return f"{'a' if stack == 'decoder' else 'an'} {stack}"


@dataclass(frozen=True)
class NewBase:
    """A base that a recipe asks to have made: an architecture with its settings."""

    architecture: str
    settings: BaseSettings

    def decided(self) -> dict[str, Any]:
        """Every key with its value, as the decided recipe has it."""
        return {"architecture": self.architecture, **self.settings.model_dump(mode="json")}

    def faults(self, task: str, *, wanted: Stack) -> list[Fault]:
        """What keeps it from doing ``task``, which a model of the kind ``wanted`` does."""
        architecture: Architecture = ARCHITECTURES[self.architecture]
        if architecture.stack == wanted:
            return []
        found = f"{self.architecture}, {named_stack(architecture.stack)}, and {task}, which takes {named_stack(wanted)}"
        others = ", ".join(name for name in ARCHITECTURES if ARCHITECTURES[name].stack == wanted)
        return [Fault("recipe.architecture-task", found, f"one of {others}", field="base.architecture")]


BART = Architecture("bart", BartSettings, "hone.models.configurations:bart", stack="encoder-decoder")
BERT = Architecture("bert", BertSettings, "hone.models.configurations:bert", begin="hone.models.beside:begin")
BILSTM = Architecture("bilstm", BiLstmSettings, "hone.models.bilstm:config", "hone.models.bilstm:BiLstm")
DAN = Architecture("dan", DanSettings, "hone.models.dan:config", "hone.models.dan:Dan")
GPT2 = Architecture("gpt2", Gpt2Settings, "hone.models.configurations:gpt2", stack="decoder")
LLAMA = Architecture("llama", LlamaSettings, "hone.models.configurations:llama", stack="decoder")
RNN_SEQ2SEQ = Architecture(
    "rnn-seq2seq",
    RnnSeq2SeqSettings,
    "hone.models.rnn_seq2seq:config",
    "hone.models.rnn_seq2seq:RnnSeq2Seq",
    stack="encoder-decoder",
)
T5 = Architecture("t5", T5Settings, "hone.models.configurations:t5", stack="encoder-decoder")
TEXTCNN = Architecture("textcnn", TextCnnSettings, "hone.models.textcnn:config", "hone.models.textcnn:TextCnn")
