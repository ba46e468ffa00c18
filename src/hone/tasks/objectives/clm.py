"""``clm``: each token is told from those before it (Radford et al. 2019)."""

from __future__ import annotations

import numpy as np
import torch

from hone.models.heads import HeadSpec
from hone.tasks.objectives.objective import TokensTold
from hone.tasks.rows import Batch, IntArray, Rows


class CausalLanguage(TokensTold):
    """See the module's docstring. What begins a document stands before its first piece, what ends it after its last;
    nothing is told of the first token of any other piece."""

    name = "clm"
    head = HeadSpec("causal-language-model", ())
    perplexity = "perplexity"
    accuracy = "next_token_accuracy"

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [rows, tokens]; ``target_places`` int64 [n, 2], each before a
        token to tell; ``gold`` int64 [n]; ``counts`` int64 [rows]."""
        tokenizer = self.tokenizer
        begin = tokenizer.prefix or ([] if tokenizer.bos_id is None else [tokenizer.bos_id])
        end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
        edges = zip(rows.scalar("first")[index], rows.scalar("last")[index], strict=True)
        pieces = zip(self.documents.pieces(rows, index), edges, strict=True)
        texts = [[*(begin if first else []), *ids.tolist(), *(end if last else [])] for ids, (first, last) in pieces]
        ids, real = self.documents.padded(texts)
        told = real.clone()
        told[:, 0] = False
        gold = ids[told]
        at = told.nonzero()
        at[:, 1] -= 1
        return {
            "input_ids": ids,
            "attention_mask": real.long(),
            "target_places": at,
            "gold": gold,
            "counts": torch.as_tensor(told.sum(1)),
        }
