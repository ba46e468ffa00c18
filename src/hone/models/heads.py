"""Heads: what stands on a backbone and turns its states into scores.

A head either sits in transformers' own model class (``gives = "logits"``: that class loads the bundle alone and gives
the same logits) or is ours (``gives = "hidden"``: transformers alone gives the hidden states under it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hone.core.tables import Table
from hone.models.crf import ChainParameters
from hone.text.shapes import SHAPE_SIZES

Gives = Literal["logits", "hidden"]
Outputs = dict[str, Tensor]

HEADS = Table(
    "head",
    {
        "adversarial-autoencoder": "hone.models.autoencoders:AdversarialAutoencoder",
        "sequence-cls": "hone.models.heads:SequenceLogits",
        "sequence-mean": "hone.models.heads:MeanPooled",
        "sequence-pair": "hone.models.heads:PairStates",
        "sequence-markers": "hone.models.places:MarkerStates",
        "span": "hone.models.places:SpanScores",
        "embedding-cls": "hone.models.heads:FirstState",
        "embedding-mean": "hone.models.heads:MeanState",
        "causal-language-model": "hone.models.language:CausalLanguageModel",
        "global-pointer": "hone.models.pointer:GlobalPointer",
        "masked-tokens": "hone.models.masked:MaskedTokens",
        "replaced-tokens": "hone.models.replaced:ReplacedTokens",
        "multiple-choice": "hone.models.heads:ChoiceLogits",
        "token-linear": "hone.models.heads:TokenLogits",
        "token-tagging": "hone.models.heads:Tagging",
        "sentence-and-words": "hone.models.heads:SentenceAndWords",
        "sequence-to-sequence": "hone.models.language:SequenceToSequence",
        "variational-autoencoder": "hone.models.autoencoders:VariationalAutoencoder",
    },
)


@dataclass(frozen=True)
class HeadSpec:
    """Which head, over which labels.

    Attributes:
        kind: A name of `HEADS`.
        labels: Label names; their order is the order of the logits.
        settings: Keyword arguments of the head's class.
    """

    kind: str
    labels: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


class Head(nn.Module):
    """Base of all heads.

    Attributes:
        auto_class: The transformers class that carries the backbone.
        gives: What that class alone gives.
        reads: Which of the tokens' last states are used.
        axes: What its scores have one of each for; labels come last.
        stacked: Whether the class takes texts in groups; it is given all of a batch as one.
        sparse: Whether the class is asked at some places alone, by `scores`.
        writes: Whether its scores are of the next token of a text.
        tied: Whether it has the base's token embeddings in it, whose width it is told as ``embedded``.
    """

    auto_class: ClassVar[str] = "AutoModel"
    gives: ClassVar[Gives] = "hidden"
    reads: ClassVar[Literal["tokens", "first"]] = "tokens"
    axes: ClassVar[tuple[str, ...]] = ("batch",)
    stacked: ClassVar[bool] = False
    sparse: ClassVar[bool] = False
    writes: ClassVar[bool] = False
    tied: ClassVar[bool] = False

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Any:
        """What the class says at the places that ``batch`` asks for, [n, k], where the head is ``sparse``; ``given`` is
        what the class reads of any batch."""
        raise TypeError(f"{type(self).__name__} is asked at every place")

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        """``states``: the backbone's hidden states [batch, tokens, width], or its logits. Returns named scores."""
        raise TypeError(f"{type(self).__name__} defines no forward")

    def adjust(self, backbone: Any) -> None:
        """Tell the class what it has to know of the task."""

    def constants(self) -> dict[str, Tensor]:
        """What decoding needs besides the outputs, such as transition scores."""
        return {}

    def entries(self) -> tuple[str, ...]:
        """Names of what it reads of a batch besides what the backbone reads."""
        return ()

    def rates(self) -> dict[str, float]:
        """Names of its weights, and shares of the peak rate that they learn at, where that is not the whole."""
        return {}

    def first(self) -> dict[str, int]:
        """Names of its weights [outputs, inputs] that read states, and how many states, side by side, come first among
        the inputs of each."""
        return {"linear.weight": 1}


class SequenceLogits(Head):
    """transformers' own sequence-classification head (for BERT: pooler over ``[CLS]``, dropout, linear)."""

    auto_class = "AutoModelForSequenceClassification"
    gives: ClassVar[Gives] = "logits"
    reads: ClassVar[Literal["tokens", "first"]] = "first"

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": states}  # [batch, labels]


class MeanPooled(Head):
    """Mean of the token states under the attention mask, dropout, linear."""

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(width, len(labels))

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": self.linear(self.dropout(mean_state(states, batch["attention_mask"])))}


class PairStates(Head):
    """Of two texts that are read together the mean state of each, of length one, put beside each other: their mean, how
    far apart they are in each direction, and their product, whose sum is their cosine (after Conneau et al. 2017).
    ``second_text``, int64 [batch, tokens], is 1 where the second one stands."""

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = linear_layer(3 * width, len(labels))

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        real, second = batch["attention_mask"], batch["second_text"]
        scale = states.shape[2] ** 0.5  # so that each number is about as large as a state's
        one, other = (
            scale * functional.normalize(mean_state(states, mask), dim=1) for mask in (real * (1 - second), second)
        )
        compared = torch.cat([(one + other) / 2, (one - other).abs(), one * other], dim=1)  # [batch, 3 * width]
        return {"logits": self.linear(self.dropout(compared))}

    def entries(self) -> tuple[str, ...]:
        return ("second_text",)

    def first(self) -> dict[str, int]:
        return {"linear.weight": 3}


class MeanState(Head):
    """Mean of the token states under the attention mask: the text's embedding, whose length says nothing yet."""

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": mean_state(states, batch["attention_mask"])}  # [texts, width]

    def first(self) -> dict[str, int]:
        return {}


class FirstState(Head):
    """State of the first token: the text's embedding, whose length says nothing yet."""

    reads: ClassVar[Literal["tokens", "first"]] = "first"

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": states[:, 0]}  # [texts, width]

    def first(self) -> dict[str, int]:
        return {}


class ChoiceLogits(Head):
    """transformers' own multiple-choice head: a number for each text, a question with one choice."""

    auto_class = "AutoModelForMultipleChoice"
    gives: ClassVar[Gives] = "logits"
    reads: ClassVar[Literal["tokens", "first"]] = "first"
    stacked = True

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": states.squeeze(0).unsqueeze(1)}  # [texts, 1]


class TokenLogits(Head):
    """transformers' own token-classification head, read at the first piece of each word."""

    auto_class = "AutoModelForTokenClassification"
    gives: ClassVar[Gives] = "logits"
    axes: ClassVar[tuple[str, ...]] = ("batch", "words")

    def __init__(self, labels: tuple[str, ...], *, width: int, dropout: float) -> None:
        super().__init__()

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        return {"logits": at_words(states, batch["word_positions"])}  # [batch, words, labels]

    def entries(self) -> tuple[str, ...]:
        return ("word_positions",)


class Tagging(Head):
    """Word states, word shapes beside them where asked for, and a linear layer or a CRF over them.

    Args:
        labels: BIO tag set.
        width: Width of the backbone's states.
        dropout: Dropout on what the linear layer reads.
        crf: Score whole label sequences by a linear-chain CRF.
        word_shape: Add embeddings of each word's shape (case, digits, affixes): an uncased backbone cannot see them.
        context: Width of a bidirectional LSTM over the words, which lets a word see its neighbors' shapes; 0 for none.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "words")

    def __init__(
        self, labels: tuple[str, ...], *, width: int, dropout: float, crf: bool, word_shape: bool, context: int
    ) -> None:
        super().__init__()
        self.shapes = nn.ModuleList(nn.Embedding(size, SHAPE_WIDTH) for size in SHAPE_SIZES) if word_shape else None
        inside = width + (len(SHAPE_SIZES) * SHAPE_WIDTH if word_shape else 0)
        self.dropout = nn.Dropout(dropout)
        self.context: nn.Module | None = WordLstm(inside, context // 2) if context else None
        self.linear = linear_layer(context or inside, len(labels))
        self.chain = ChainParameters(labels) if crf else None

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        words = at_words(states, batch["word_positions"])  # [batch, words, width]
        if self.shapes is not None:
            seen = batch["shapes"]  # [batch, words, features]
            words = torch.cat([words, *(table(seen[..., i]) for i, table in enumerate(self.shapes))], dim=2)
        words = self.dropout(words)
        if self.context is not None:
            lengths = batch["word_mask"].sum(1).clamp(min=1)  # a text without words is read as its padding
            words = self.dropout(self.context(words, lengths))
        outputs = {"logits": self.linear(words)}
        if self.chain is not None:
            outputs.update(self.constants())
        return outputs

    def constants(self) -> dict[str, Tensor]:
        return {} if self.chain is None else self.chain.chain()._asdict()

    def entries(self) -> tuple[str, ...]:
        shapes = ("shapes",) if self.shapes is not None else ()
        return ("word_positions", *shapes, *(("word_mask",) if self.context is not None else ()))

    def first(self) -> dict[str, int]:
        names = ("linear.weight",) if self.context is None else ("context.weight_ih_l0", "context.weight_ih_l0_reverse")
        return dict.fromkeys(names, 1)


class SentenceAndWords(Head):
    """One label for the whole text (`MeanPooled`) and a tag for each word (`Tagging`), from the same states.

    Its scores are [batch, 1 + words, choices]: first those of the labels, then those of each word's tags; where there
    are fewer labels than tags, or the other way about, the rest is `NEVER`.

    Args:
        labels: Of the whole text.
        tags: BIO tag set.
        crf, word_shape, context: As of `Tagging`.
    """

    axes: ClassVar[tuple[str, ...]] = ("batch", "places")

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        width: int,
        dropout: float,
        tags: Sequence[str],
        crf: bool,
        word_shape: bool,
        context: int,
    ) -> None:
        super().__init__()
        self.choices = max(len(labels), len(tags))
        self.sentence = MeanPooled(labels, width=width, dropout=dropout)
        self.words = Tagging(tuple(tags), width=width, dropout=dropout, crf=crf, word_shape=word_shape, context=context)

    def forward(self, states: Tensor, batch: Mapping[str, Tensor]) -> Outputs:
        words = self.words(states, batch)
        both = (self.sentence(states, batch)["logits"].unsqueeze(1), words["logits"])
        wide = [functional.pad(scores, (0, self.choices - scores.shape[2]), value=NEVER) for scores in both]
        return {**words, "logits": torch.cat(wide, dim=1)}

    def constants(self) -> dict[str, Tensor]:
        return self.words.constants()

    def entries(self) -> tuple[str, ...]:
        return self.words.entries()

    def first(self) -> dict[str, int]:
        parts = {"sentence": self.sentence, "words": self.words}
        return {f"{name}.{weight}": times for name, part in parts.items() for weight, times in part.first().items()}


class WordLstm(nn.LSTM):
    """A bidirectional LSTM (Hochreiter and Schmidhuber 1997) over padded rows of words."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width, batch_first=True, bidirectional=True)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Of words [batch, words, inputs], each row as long as lengths int64 [batch] say, at least 1: states
        [batch, words, 2 * width], zeros where padded."""
        packed = nn.utils.rnn.pack_padded_sequence(words, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = super().forward(packed)
        out, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=words.shape[1])
        return out


SHAPE_WIDTH = 16
NEVER = -1e4  # far below any learned score, and finite in half precision too


def mean_state(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of states [batch, tokens, width] where mask int64 [batch, tokens] is 1: [batch, width]."""
    real = mask.unsqueeze(2).to(states.dtype)  # [batch, tokens, 1]
    return (states * real).sum(1) / real.sum(1).clamp(min=1.0)


def at_words(states: Tensor, word_positions: Tensor) -> Tensor:
    """States [batch, tokens, k] read at word_positions int64 [batch, words] (0 where padded): [batch, words, k]."""
    return states.gather(1, word_positions.unsqueeze(2).expand(-1, -1, states.shape[2]))


def linear_layer(inputs: int, outputs: int) -> nn.Linear:
    """A new linear layer, initialized as BERT's."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
