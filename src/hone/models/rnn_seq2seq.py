"""``rnn-seq2seq``: a bidirectional LSTM reads, an LSTM that attends to what was read writes.

Attention is Luong et al.'s (2015, the score "general"). It looks by the states of the decoder's lowest layer, and what
it finds goes into the layers above, as in Wu et al. (2016), and into the output: so a whole text is learned in one
pass, and nothing but the LSTMs themselves goes step by step. The embeddings of both sides are those of the output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import Seq2SeqLMOutput

from hone.models.architectures import RnnSeq2SeqSettings
from hone.models.heads import WordLstm
from hone.models.nets import NetConfig, Saved


def config(settings: RnnSeq2SeqSettings, vocab_size: int) -> NetConfig:
    """The configuration of a net of these sizes."""
    return NetConfig(
        architecture="rnn-seq2seq",
        is_encoder_decoder=True,
        tie_word_embeddings=True,
        vocab_size=vocab_size,
        embedding_size=settings.embedding,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_decoder_layers=settings.decoder_layers or settings.layers,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        initializer_range=0.4,  # narrower, states are all alike at first, and attention finds nothing to look at
    )


class Source(NamedTuple):
    """What was read: ``states`` and the ``keys`` that they are found by, float32 [batch, tokens, hidden_size], and
    which of the tokens are ``real``, bool [batch, tokens]."""

    states: Tensor
    keys: Tensor
    real: Tensor


class Carried(NamedTuple):
    """What the decoder's LSTMs hand on: ``hidden`` and ``cell``, float32 [layers, batch, hidden_size]."""

    hidden: Tensor
    cell: Tensor


class RnnSeq2Seq(Saved):
    """The model with its head over the vocabulary.

    A text is written step by step, with one row a text in all of these::

        source = model.read(input_ids, attention_mask)
        carried = model.begin(source)
        outputs, carried = model.write(tokens, source, carried)  # tokens int64 [batch, steps], first the start token
        logits = model.lm_head(outputs)                          # [batch, steps, vocab_size]: of each next token

    No position enters: rows at different places may stand in one batch.
    """

    _tied_weights_keys = {"lm_head.weight": "word_embeddings.weight"}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        embedded, width, above = config.embedding_size, config.hidden_size, config.num_decoder_layers - 1
        self.word_embeddings = nn.Embedding(config.vocab_size, embedded, padding_idx=config.pad_token_id)
        inputs = [embedded, *[width] * (config.num_hidden_layers - 1)]
        self.encoder = nn.ModuleList(WordLstm(size, width // 2) for size in inputs)
        self.bridge = nn.Linear(width, 2 * config.num_decoder_layers * width)
        self.keys = nn.Linear(width, width, bias=False)
        self.lowest = nn.LSTM(embedded, width, batch_first=True)
        between = config.hidden_dropout_prob if above > 1 else 0.0
        self.above = nn.LSTM(2 * width, width, above, batch_first=True, dropout=between) if above else None
        self.combined = nn.Linear(2 * width, embedded)
        self.lm_head = nn.Linear(embedded, config.vocab_size, bias=False)
        self.source_words = nn.Identity()  # sources pass through: hooks on the table would see what is written, too
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.word_embeddings = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> Source:
        """Read sources, ``input_ids`` and ``attention_mask`` int64 [batch, tokens], padded on the right."""
        lengths = attention_mask.sum(1).clamp(min=1)
        states = self.source_words(self.word_embeddings(input_ids))
        for layer in self.encoder:
            states = layer(self.dropout(states), lengths)
        return Source(states, self.keys(states), attention_mask == 1)

    def begin(self, source: Source) -> Carried:
        """What the decoder starts from: a layer over where each direction of the encoder ended."""
        half = source.states.shape[2] // 2
        last = (source.real.sum(1) - 1).clamp(min=0)  # [batch]
        forward = source.states[torch.arange(len(last), device=last.device), last, :half]
        ends = torch.cat([forward, source.states[:, 0, half:]], dim=1)  # [batch, width]
        both = self.bridge(ends).view(len(last), 2, -1, 2 * half).permute(1, 2, 0, 3)  # [2, layers, batch, width]
        return Carried(torch.tanh(both[0]).contiguous(), both[1].contiguous())

    def write(self, tokens: Tensor, source: Source, carried: Carried) -> tuple[Tensor, Carried]:
        """Read tokens that were written, int64 [batch, steps]: after each of them what the head makes the next token's
        scores of, float32 [batch, steps, embedding_size], and what is to be handed to the next call."""
        below, (hidden, cell) = self.lowest(
            self.dropout(self.word_embeddings(tokens)), (carried.hidden[:1], carried.cell[:1])
        )
        scores = torch.bmm(below, source.keys.transpose(1, 2))  # [batch, steps, source tokens]
        scores = scores.masked_fill(~source.real.unsqueeze(1), torch.finfo(scores.dtype).min)
        found = torch.bmm(scores.softmax(dim=2), source.states)  # [batch, steps, width]
        top = below
        if self.above is not None:
            seen = self.dropout(torch.cat([below, found], dim=2))
            top, (high, high_cell) = self.above(seen, (carried.hidden[1:], carried.cell[1:]))
            hidden, cell = torch.cat([hidden, high]), torch.cat([cell, high_cell])
        outputs = torch.tanh(self.combined(self.dropout(torch.cat([top, found], dim=2))))
        return self.dropout(outputs), Carried(hidden, cell)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor, *, use_cache: bool = False
    ) -> Seq2SeqLMOutput:
        """Scores of the tokens after each of ``decoder_input_ids``, int64 [batch, steps]: logits [batch, steps,
        vocab_size]. ``use_cache`` is as transformers' models have it; all steps are at once here, so none is kept."""
        source = self.read(input_ids, attention_mask)
        outputs, _ = self.write(decoder_input_ids, source, self.begin(source))
        return Seq2SeqLMOutput(logits=self.lm_head(outputs), encoder_last_hidden_state=source.states)
