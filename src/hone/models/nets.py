"""Small models of hone's own over token embeddings, which transformers does not have.

A net gives a state a token and, for whole texts, a vector of its own. It stands in shells, as transformers' models do:
with a classifier over the text's vector, of single texts or of groups, and with one over each token's state.
Configuration, reading and writing are transformers'. One of them writes texts, and has its own head (see
`hone.models.rnn_seq2seq`). What is padded never changes what a net says of the rest.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import (
    BaseModelOutput,
    MultipleChoiceModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from hone.models.architectures import ARCHITECTURES


class NetConfig(PreTrainedConfig):  # type: ignore[misc]
    """Configuration of a net: what its settings say, and ``vocab_size``. ``architecture`` is its name in the table."""

    model_type = "hone-net"
    architecture: str = ""
    vocab_size: int = 0
    hidden_size: int = 0
    embedding_size: int = 0
    num_hidden_layers: int = 1
    max_position_embeddings: int = 512
    hidden_dropout_prob: float = 0.0
    initializer_range: float = 0.1
    pad_token_id: int | None = 0


class Saved(PreTrainedModel):  # type: ignore[misc]
    """What nets and their shells have of transformers: files, and weights for what a file lacks."""

    config_class = NetConfig
    base_model_prefix = "net"

    @classmethod
    def from_config(cls, config: Any, **options: Any) -> Any:
        """As the classes that transformers chooses by a configuration have it."""
        return cls._from_config(config, **options)

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        """Embeddings are drawn as the configuration says, all else as torch draws it."""
        if isinstance(module, nn.Embedding):
            super()._init_weights(module)
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters()


class Net(Saved):
    """Base of all nets: token embeddings, and what a subclass makes of them.

    ``forward`` takes ``input_ids`` and ``attention_mask``, int64 [batch, tokens], and gives ``last_hidden_state``,
    float32 [batch, tokens, hidden_size], zeros where padded.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        table = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.word_embeddings: nn.Module = table

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.word_embeddings = value

    def states(self, embedded: Tensor, real: Tensor) -> Tensor:
        """Of embeddings [batch, tokens, embedding_size], zeros where padded, and ``real`` float32 [batch, tokens, 1],
        1 where a token is: states [batch, tokens, hidden_size], zeros where padded."""
        raise TypeError(f"{type(self).__name__} defines no states")

    def text(self, embedded: Tensor, real: Tensor) -> Tensor:
        """Of the same: a vector a text [batch, hidden_size]. The most that each unit says of any token, unless a net
        has another."""
        hidden = real == 0
        return self.states(embedded, real).masked_fill(hidden, -torch.inf).amax(1)

    def embedded(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `states` and `text` take."""
        found = self.word_embeddings(input_ids)
        real = attention_mask.unsqueeze(2).to(found.dtype)
        return found * real, real

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=self.states(*self.embedded(input_ids, attention_mask)))


class _Shell(Saved):
    """A net, dropout, and a linear layer to the labels."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.net = net_class(config)(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        found: nn.Module = self.net.get_input_embeddings()
        return found

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.net.set_input_embeddings(value)


class TextNet(_Shell):
    """Logits of whole texts [batch, labels]."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:
        vector = self.net.text(*self.net.embedded(input_ids, attention_mask))
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(vector)))


class ChoiceNet(_Shell):
    """A number for each of the texts of a group, of ids [groups, texts, tokens]: logits [groups, texts]. There is one
    label."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> MultipleChoiceModelOutput:
        vector = self.net.text(*self.net.embedded(input_ids.flatten(0, 1), attention_mask.flatten(0, 1)))
        return MultipleChoiceModelOutput(logits=self.classifier(self.dropout(vector)).view(input_ids.shape[:2]))


class TokenNet(_Shell):
    """Logits of tokens [batch, tokens, labels]."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> TokenClassifierOutput:
        states = self.net.states(*self.net.embedded(input_ids, attention_mask))
        return TokenClassifierOutput(logits=self.classifier(self.dropout(states)))


SHELLS = {
    "AutoModelForSequenceClassification": TextNet,
    "AutoModelForMultipleChoice": ChoiceNet,
    "AutoModelForTokenClassification": TokenNet,
}


def read_config(folder: Path) -> Any:
    """The configuration in ``folder``, a net's or one that transformers knows.

    Raises:
        OSError, ValueError, KeyError: It cannot be read.
    """
    values, _ = PreTrainedConfig.get_config_dict(folder)
    kind: Any = NetConfig if values.get("model_type") == NetConfig.model_type else AutoConfig
    return kind.from_pretrained(folder, trust_remote_code=False)


def class_for(config: Any, auto_class: str) -> Any:
    """What opens a model of this configuration: transformers' class of that name, or a net or shell in its place."""
    if isinstance(config, NetConfig):
        return SHELLS.get(auto_class) or net_class(config)
    return getattr(transformers, auto_class)


def net_class(config: NetConfig) -> Any:
    """The class of the net that ``config`` describes.

    Raises:
        RecipeError: No such architecture is known here; the package that added it may be missing.
    """
    module, _, name = ARCHITECTURES[config.architecture].net.partition(":")
    return getattr(importlib.import_module(module), name)
