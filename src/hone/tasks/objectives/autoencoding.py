"""What ``vae`` and ``aae`` share: a text is read, packed into a code of a few numbers, and written again from it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hone.models.heads import HeadSpec
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.objective import TokensTold
from hone.tasks.protocol import FloatArray
from hone.tasks.rows import Batch, IntArray, Rows

ACTIVE = 0.01  # variance over texts from which a number of the code says something of them (Burda et al. 2016)
Tokens = list[int]


class Autoencoding(TokensTold):
    """Base of both. An entry says what is read of a text to learn from, how the decoder is hindered, and what its loss
    adds to that of the tokens told.

    Attributes:
        drawn: Name of the draws from a standard normal distribution, float32 [rows, latent], that a batch has.
    """

    drawn: ClassVar[str]

    def __init__(self, settings: Any, documents: Documents) -> None:
        super().__init__(settings, documents)
        sizes = {"latent": settings.latent_size, "size": settings.decoder_size, "layers": settings.decoder_layers}
        self.head = HeadSpec(self.head.kind, (), {**sizes, **self.more_sizes()})

    def more_sizes(self) -> dict[str, Any]:
        """What the head is told beside the sizes of code and decoder."""
        return {}

    def read(self, ids: Tokens, rng: np.random.Generator) -> Tokens:
        """What is read of a text to learn from."""
        return ids

    def hindered(self, written: Tensor, rng: np.random.Generator) -> Tensor:
        """What the decoder reads of what it writes, int64 [rows, tokens], when it learns."""
        return written

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [rows, tokens]; ``written`` int64 [rows, written], which the
        decoder reads; ``target_places`` int64 [n, 2], each before a token to tell; ``gold`` int64 [n]; ``counts`` int64
        [rows]; and the draws of a normal distribution."""
        texts = [piece.tolist() for piece in self.documents.pieces(rows, index)]
        batch = self._batch(texts, [self.read(text, rng) for text in texts], rng)
        return {**batch, "written": self.hindered(batch["written"], rng)}

    def held_out(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """The same of whole texts, by a decoder that nothing hinders."""
        texts = [piece.tolist() for piece in self.documents.pieces(rows, index)]
        return self._batch(texts, texts, rng)

    def _batch(self, texts: list[Tokens], read: list[Tokens], rng: np.random.Generator) -> Batch:
        tokenizer, documents = self.tokenizer, self.documents
        begin = tokenizer.prefix or [tokenizer.pad_id]
        ids, real = documents.padded([documents.framed_text(text) for text in read])
        whole, there = documents.padded([[*begin, *text, *tokenizer.suffix] for text in texts])
        told = there.clone()
        told[:, : len(begin)] = False
        at = told.nonzero()
        at[:, 1] -= 1
        drawn = rng.standard_normal((len(texts), self.settings.latent_size), dtype=np.float32)
        return {
            "input_ids": ids,
            "attention_mask": real.long(),
            "written": whole[:, :-1],
            "target_places": at,
            "gold": whole[told],
            "counts": told.sum(1),
            self.drawn: torch.from_numpy(drawn),
        }


def active(variances: FloatArray) -> float:
    """How many numbers of the code differ from text to text, of their variances over texts, float64 [latent]."""
    return float((variances > ACTIVE).sum())
