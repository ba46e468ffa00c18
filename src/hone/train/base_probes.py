"""A base judged by what it is for: how well a linear classifier tells labels from its vectors of texts, and how well
their likeness says which pairs of texts people call alike (Conneau and Kiela 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.metrics.regression import spearman
from hone.models.heads import mean_state
from hone.models.model import Model
from hone.predict.batching import budgeted
from hone.tasks.objectives.documents import Documents
from hone.tasks.protocol import FloatArray
from hone.tasks.rows import IntArray
from hone.train.pretrain_settings import ProbeSettings, measure_of
from hone.train.probe import logistic_regression

DRAWN = 0x9B0E  # sets the seeds of which rows are asked apart from others'
SPECS = {"accuracy": MeasureSpec(interval="wilson"), "spearman": MeasureSpec()}
FLAT = 1e-6  # a feature that varies by less says nothing


class Probe:
    """What one labeled set asks of a base.

    A text's vector is the mean of its tokens' last states, of a model that reads one text and writes another its
    encoder's. Rows with a ``label`` are divided in two by the seed, half of each label's: on the one half a logistic
    regression of the vectors is fitted, in standard units, on the other it is asked. Of two texts it is given what
    their vectors differ by and what they have in common. Rows with a ``score`` need no fit: the cosine of their two
    vectors is compared with it.

    Args:
        dataset: Rows of one of `hone.train.pretrain_settings.PROBED`.
        settings: Its settings.
        documents: How texts are read; longer ones are cut to what one row holds.
        seed: Of the rows that are drawn, and of how they are divided.

    Attributes:
        measure: ``accuracy`` or ``spearman``.
        name: What it is called among the measures of a training.
        cut: How many texts were longer.
    """

    def __init__(self, dataset: Dataset, settings: ProbeSettings, documents: Documents, *, seed: int) -> None:
        rng = np.random.default_rng([seed, DRAWN])
        rows = np.arange(len(dataset))
        if len(rows) > settings.max_rows:
            rows = np.sort(rng.choice(rows, settings.max_rows, replace=False))
        self.part, self.measure = settings.on, measure_of(dataset.columns)
        self.name = f"{settings.on}.{self.measure}"
        self._documents = documents
        texts = [dataset.values(name, rows) for name in ("text", "text_a", "text_b") if name in dataset.columns]
        read = [[pieces.ids for pieces in documents.tokenizer.encode_pieces(side)] for side in texts]
        self.cut = sum(len(ids) > documents.room for side in read for ids in side)
        self._texts = [[documents.framed_text(ids[: documents.room]) for ids in side] for side in read]
        if self.measure == "spearman":
            self._scores = np.asarray(dataset.values("score", rows), dtype=np.float64)
            return
        names, labels = np.unique(np.asarray(dataset.values("label", rows)), return_inverse=True)
        order = np.lexsort((rng.random(len(labels)), labels))  # by label, and at random among those of one
        self._classes, self._labels = len(names), torch.from_numpy(labels.reshape(-1))
        self._fitted, self._asked = (torch.from_numpy(np.sort(order[half::2])) for half in (0, 1))

    def tally(self, model: Model, *, device: torch.device) -> FloatArray:
        """Of each row that is asked, float64: [rows, 1] whether its label was told, or [rows, 2] its score and its
        cosine."""
        vectors = [self._vectors(model, side, device=device) for side in self._texts]
        if self.measure == "spearman":
            cosine = functional.cosine_similarity(vectors[0], vectors[1]).double().numpy()
            return np.stack([self._scores, cosine], axis=1)
        told = self._told(_features(vectors))
        out: FloatArray = (told == self._labels[self._asked]).double()[:, None].numpy()
        return out

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        """Its measure, of any rows of a tally."""
        if self.measure == "spearman":
            return {"spearman": spearman(tally[:, 0], tally[:, 1])}
        return {"accuracy": float(tally.mean()) if len(tally) else None}

    def _told(self, features: Tensor) -> Tensor:
        fitted = features[self._fitted]
        centered, scale = features - fitted.mean(0), fitted.std(0, correction=0).clamp_min(FLAT)
        features = centered / scale
        weight, bias = logistic_regression(features[self._fitted], self._labels[self._fitted], classes=self._classes)
        return functional.linear(features[self._asked], weight, bias).argmax(1)

    def _vectors(self, model: Model, texts: Sequence[Sequence[int]], *, device: torch.device) -> Tensor:
        """Vectors of texts, float32 [texts, width], on the CPU."""
        model.to(device).eval()
        found: list[Tensor] = []
        every: list[IntArray] = []
        with torch.no_grad():
            for index in budgeted(np.array([len(text) for text in texts])):
                ids, real = self._documents.padded([texts[i] for i in index])
                found.append(_mean_states(model, ids.to(device), real.to(device)).float().cpu())
                every.append(index)
        back = np.argsort(np.concatenate(every))
        return torch.cat(found)[torch.from_numpy(back)]


def _mean_states(model: Model, ids: Tensor, real: Tensor) -> Tensor:
    body: Any = model.body
    if body.config.is_encoder_decoder:
        body = body.get_encoder()
    states: Tensor = body(input_ids=ids, attention_mask=real.long()).last_hidden_state
    return mean_state(states, real)


def _features(vectors: Sequence[Tensor]) -> Tensor:
    if len(vectors) == 1:
        return vectors[0]
    first, second = vectors
    return torch.cat([(first - second).abs(), first * second], dim=1)
