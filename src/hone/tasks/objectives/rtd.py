"""``rtd``: replaced token detection (ELECTRA, Clark et al. 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from hone.models.heads import HeadSpec, Outputs
from hone.tasks.masking import drawn
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.objective import DocumentObjective, by_row
from hone.tasks.protocol import FloatArray, Loss
from hone.tasks.rows import Batch, IntArray, Rows


class ReplacedTokenDetection(DocumentObjective):
    """The generator tells hidden tokens; what it draws stands in their places, and of every token it is to be told
    whether it stood there. Its draws follow from the batch's ``chance``, so that a resumed run draws the same."""

    name = "rtd"
    accuracy = "replaced_accuracy"
    hides = True
    head = HeadSpec("replaced-tokens", ())

    def __init__(self, settings: Any, documents: Documents) -> None:
        super().__init__(settings, documents)
        sizes = {"size": settings.generator_size, "layers": settings.generator_layers, "tokens": documents.max_tokens}
        self.head = HeadSpec("replaced-tokens", (), sizes)

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """``input_ids`` (with masks), ``original`` and ``attention_mask`` int64 [rows, tokens]; ``mask_places`` int64
        [n, 2]; ``gold`` int64 [n]; ``chance`` float32 [n], from 0 to 1."""
        original, real = self.documents.framed(rows, index)
        words = self.documents.inside(rows, index, "words", fill=-1)
        at = torch.from_numpy(np.argwhere(drawn(words, share=self.settings.mlm_probability, whole=False, rng=rng)))
        ids = original.clone()
        assert self.tokenizer.mask_id is not None  # `ObjectiveEntry.masks`
        ids[at[:, 0], at[:, 1]] = self.tokenizer.mask_id
        return {
            "input_ids": ids,
            "original": original,
            "attention_mask": real.long(),
            "mask_places": at,
            "gold": original[at[:, 0], at[:, 1]],
            "chance": torch.from_numpy(rng.random(len(at), dtype=np.float32)),
        }

    def loss(self, outputs: Outputs, batch: Batch) -> Loss:
        """The generator's mean loss and the discriminator's, weighed, once for each row."""
        told = functional.cross_entropy(outputs["generated"].float(), batch["gold"], reduction="sum")
        told = told / max(1, len(batch["gold"]))  # of texts of unknown tokens alone nothing is told
        found = functional.binary_cross_entropy_with_logits(outputs["logits"].float(), outputs["replaced"].float())
        rows = len(batch["input_ids"])
        return Loss(rows * (told + self.settings.discriminator_weight * found), float(rows))

    def tally(self, outputs: Outputs, batch: Batch) -> FloatArray:
        scores, replaced = outputs["logits"].float().cpu(), outputs["replaced"].float().cpu()
        lost = functional.binary_cross_entropy_with_logits(scores, replaced, reduction="none")
        return by_row(lost, (scores > 0) == (replaced > 0), batch["attention_mask"].sum(1).cpu())
