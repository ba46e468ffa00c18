"""``mlm``: which tokens stand where some are hidden (Devlin et al. 2019). Scores are made at those places alone."""

from __future__ import annotations

import numpy as np
import torch

from hone.models.heads import HeadSpec
from hone.tasks.masking import drawn, drawn_spans, stand_ins
from hone.tasks.objectives.objective import TokensTold
from hone.tasks.rows import Batch, IntArray, Rows


class MaskedLanguage(TokensTold):
    """See the module's docstring."""

    name = "mlm"
    head = HeadSpec("masked-tokens", ())
    perplexity = "masked_perplexity"
    accuracy = "masked_accuracy"
    hides = True

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` and ``attention_mask`` int64 [rows, tokens]; ``mask_places`` int64 [n, 2]; ``gold`` int64 [n];
        ``counts`` int64 [rows]."""
        ids, real = self.documents.framed(rows, index)
        words = self.documents.inside(rows, index, "words", fill=-1)
        share, together = self.settings.mlm_probability, None
        if self.settings.masking == "spans":
            spans = drawn_spans(words, share=share, rng=rng)
            hidden = spans >= 0
            together = spans[hidden]
        else:
            hidden = drawn(words, share=share, whole=self.settings.masking == "words", rng=rng)
        at = torch.from_numpy(np.argwhere(hidden))
        gold = ids[at[:, 0], at[:, 1]]
        assert self.tokenizer.mask_id is not None  # `ObjectiveEntry.masks`
        ids[at[:, 0], at[:, 1]] = stand_ins(
            gold,
            mask_id=self.tokenizer.mask_id,
            vocab_size=self.tokenizer.vocab_size,
            rng=rng,
            masked=self.settings.mask_replace_prob,
            other=self.settings.random_replace_prob,
            together=together,
        )
        counts = torch.from_numpy(hidden.sum(1))
        return {"input_ids": ids, "attention_mask": real.long(), "mask_places": at, "gold": gold, "counts": counts}
