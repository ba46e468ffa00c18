"""``sentence-embedding``: a text as a direction in space, near what means the same.

A prediction for a ``text`` is ``{"embedding", "truncated"}``: numbers whose squares sum to 1, and whether text was cut
off. One for a pair, or a pair and a negative, is ``{"similarity", "embeddings", "truncated"}``: the cosine of the
first two, and the embedding of each. Every text is read by itself; one row has all texts of an example.

It learns from pairs, triplets and scores, or from texts with labels: then a batch is drawn to hold another text of the
same label for each of its texts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from hone.core.errors import RecipeError
from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field, Shape
from hone.metrics import retrieval
from hone.metrics.regression import pearson, spearman
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.embedding_losses import embedding_loss
from hone.tasks.embedding_tables import shown_found, shown_labels, shown_near
from hone.tasks.form import Form
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.reading import Reading
from hone.tasks.rows import ROWS_SCHEMA, Batch, IntArray, Rows, rows_of, several_texts
from hone.tasks.same_label import SameLabel
from hone.tasks.settings import SentenceEmbeddingSettings

TEXTS = ("text_a", "text_b", "negative")
DECIMALS = 8  # of a number of an embedding: as many as float32 has
SAME = 0.05  # cosines that differ by less say the same
OF_SCORES, OF_NEGATIVES = ("spearman", "pearson"), "triplet_accuracy"  # measures
Vectors = NDArray[np.float32]
Ranked = tuple[FloatArray, IntArray]  # of each example a rank, and which text was found first


class SentenceEmbedding(Form):
    """An embedding a text.

    Args:
        settings: The task's settings.
        labels: Always none.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "sentence-embedding"
    inputs = (Field("text_a", "text"), Field("text_b", "text"), Field("negative", "text", required=False))
    input_choices = ((Field("text", "text"),), inputs[:2])
    targets = (Field("score", "score", required=False),)
    labeled = Shape((Field("text", "text"),), (Field("label", "label"),))
    says: Says = "direction"
    additive = False
    main_measure = "ndcg_at_10"
    measure_specs: Mapping[str, MeasureSpec] = {
        "spearman": MeasureSpec(),
        "pearson": MeasureSpec(),
        "ndcg_at_10": MeasureSpec(),
        "mrr": MeasureSpec(),
        "recall_at_1": MeasureSpec(),
        "recall_at_10": MeasureSpec(),
        "triplet_accuracy": MeasureSpec(),
    }

    def __init__(
        self, settings: SentenceEmbeddingSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self._readings = {
            name: Reading(settings, tokenizer=tokenizer, model_limit=model_limit, fields=[name])
            for name in ("text", *TEXTS)
        }
        self.max_tokens = self._readings["text"].max_tokens
        self._same_label: tuple[Rows, SameLabel] | None = None  # of the rows that batches were last drawn of
        self.head = HeadSpec(f"embedding-{settings.pooling}", labels)
        self.main_measure = {"cosine": "spearman", "cosent": "spearman", "triplet": "triplet_accuracy"}.get(
            settings.loss, self.main_measure
        )

    @classmethod
    def shapes(cls) -> tuple[Shape, ...]:
        """Pairs, or labeled texts."""
        return (*super().shapes(), cls.labeled)

    @classmethod
    def settled(cls, settings: SentenceEmbeddingSettings, train: Dataset) -> SentenceEmbeddingSettings:
        """``lowest`` and ``highest`` decided where they are not, if the loss reads scores.

        Raises:
            RecipeError: Both are the same.
        """
        if settings.loss != "cosine":
            return settings
        scores = train.numbers("score")
        found = {"lowest": float(scores.min()), "highest": float(scores.max())}
        unset = {name: value for name, value in found.items() if getattr(settings, name) is None}
        made = settings.model_copy(update=unset)
        if made.lowest == made.highest:
            raise RecipeError(
                f"lowest {made.lowest:g} and highest {made.highest:g}, which stand for the cosines 0 and 1",
                expected="two different scores",
                code="recipe.scale",
            )
        return made

    @staticmethod
    def needs(settings: SentenceEmbeddingSettings) -> tuple[str, ...]:
        """The scores, or the negatives, or the pairs that some are mined for."""
        if settings.loss in ("cosine", "cosent"):
            return ("score",)
        if settings.negatives == "mined":
            return ("text_b",)
        return ("negative",) if settings.loss == "triplet" else ()

    @staticmethod
    def unread(settings: SentenceEmbeddingSettings) -> tuple[str, ...]:
        """Scores, by a loss to which the texts of every pair belong together."""
        return () if settings.loss in ("cosine", "cosent") else ("score",)

    @classmethod
    def untold(cls, settings: SentenceEmbeddingSettings, data: Dataset) -> frozenset[str]:
        """See `tally`: of scores without any, of ranks beside scores, of negatives without any."""
        ranked = cls.measure_specs.keys() - {*OF_SCORES, OF_NEGATIVES}
        none = ranked if "score" in data.columns else {*OF_SCORES}
        return frozenset(none if "negative" in data.columns else none | {OF_NEGATIVES})

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def _input_schema(self) -> dict[str, pa.DataType]:
        return {**ROWS_SCHEMA, "lengths": pa.list_(pa.int32())}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._input_schema, "names": pa.list_(pa.int64()), "score": pa.float64()}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``lengths`` are the tokens of each text of a row, ``names`` equal where texts are, or of
        labeled texts where labels are."""
        fields = ["text"] if "text" in columns else [name for name in TEXTS if name in columns]
        read = [self._readings[name].encode(columns, purpose=purpose, start=start) for name in fields]
        texts = list(zip(*(part["input_ids"] for part in read), strict=True))
        out: dict[str, list[Any]] = {
            "example": read[0]["example"],
            "truncated": [any(cut) for cut in zip(*(part["truncated"] for part in read), strict=True)],
            "text_tokens": [max(counts) for counts in zip(*(part["text_tokens"] for part in read), strict=True)],
            "input_ids": [[token for text in row for token in text] for row in texts],
            "lengths": [[len(text) for text in row] for row in texts],
        }
        if purpose == "predict":
            return rows_of(out, self._input_schema)
        if "text" in columns:
            out["names"] = [[_name(label.encode())] for label in columns["label"]]
        else:
            out["names"] = [[_name(np.asarray(text, dtype=np.int32).tobytes()) for text in row] for row in texts]
        out["score"] = list(columns.get("score", [None] * len(texts)))
        return rows_of(out, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """`several_texts`, and of rows to learn from ``names`` int64 [texts] and ``score`` float32 [rows]."""
        batch = several_texts(rows, index, pad_id=self.tokenizer.pad_id)
        if "names" in rows.table.column_names:
            batch["names"] = torch.from_numpy(rows.lists("names").of(index).astype(np.int64))
            batch["score"] = torch.from_numpy(rows.numbers("score")[index].astype(np.float32))
        return batch

    def drawing(self, rows: Rows) -> int:
        """Two of labeled texts, which are read by themselves in a row; of others nothing is drawn."""
        return 2 if len(rows) and len(rows.row("names", 0)) == 1 else 0

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """The rows and for each another one of its label, every row once; see `collate`."""
        if self._same_label is None or self._same_label[0] is not rows:
            self._same_label = rows, SameLabel(rows.lists("names").of(np.arange(len(rows))))
        others = self._same_label[1].others(index, rng=rng)
        return self.collate(rows, np.unique(np.concatenate([index, others])))

    def once(self, rows: Rows, index: int) -> Sequence[int]:
        """The two texts of a pair; a negative may serve several rows, and a label has to."""
        names: list[int] = rows.row("names", index)[:2].tolist()
        return names if len(names) > 1 else ()

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        rows = len(batch["texts"])
        texts = outputs["logits"].float()
        total: Tensor = embedding_loss(texts.view(rows, -1, texts.shape[1]), batch, settings=self.settings)
        return Loss(total, float(rows))

    def decode(self, outputs: Outputs, batch: Batch) -> list[Vectors]:
        """Embeddings of any length, float32 [texts of the row, width], one array a row."""
        texts = outputs["logits"].float().cpu().numpy()
        return np.split(texts, np.cumsum(batch["texts"].cpu().numpy())[:-1])

    def vectors(self, partials: Sequence[Vectors]) -> Vectors:
        """The first ``dimensions`` numbers of all texts of some rows, at length 1: float32 [texts, dimensions].

        Raises:
            RecipeError: They have fewer.
        """
        out = np.concatenate(partials)
        size = self.settings.dimensions or out.shape[1]
        if size > out.shape[1]:
            raise RecipeError(
                f"dimensions: {size}, of embeddings of {out.shape[1]} numbers",
                expected=f"at most {out.shape[1]}",
                code="recipe.dimensions",
            )
        return unit(out[:, :size])

    def join(
        self, columns: Columns, rows: Rows, partials: Sequence[Vectors], *, constants: Mapping[str, Tensor]
    ) -> list[Prediction]:
        if not len(rows):
            return []
        vectors = self.vectors(partials)
        shown = np.round(vectors.astype(np.float64), DECIMALS).tolist()
        cut = rows.scalar("truncated").astype(bool).tolist()
        if "text" in columns:
            return [{"embedding": one, "truncated": c} for one, c in zip(shown, cut, strict=True)]
        each = len(partials[0])
        near = (vectors[::each].astype(np.float64) * vectors[1::each]).sum(1).tolist()
        return [
            {"similarity": near[i], "embeddings": shown[i * each : (i + 1) * each], "truncated": c}
            for i, c in enumerate(cut)
        ]

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Score, similarity, rank of the pair's second text among all, and how much nearer it is than the negative,
        float64 [examples, 4]; nan for what the data does not tell. Pairs with scores have no ranks: which of them
        belong together is not said. Of labeled texts the rank is that of the nearest other text of the same label among
        those of other labels, nan where there is no such text."""
        return _tally(predictions, columns, _ranked(predictions, columns))

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        scored = tally[~np.isnan(tally[:, 0])]
        ranked = tally[~np.isnan(tally[:, 2]), 2]
        margins = tally[~np.isnan(tally[:, 3]), 3]
        return {
            "spearman": spearman(scored[:, 0], scored[:, 1]),
            "pearson": pearson(scored[:, 0], scored[:, 1]),
            "ndcg_at_10": retrieval.ndcg_at(ranked, 10),
            "mrr": retrieval.mean_reciprocal_rank(ranked),
            "recall_at_1": retrieval.recall_at(ranked, 1),
            "recall_at_10": retrieval.recall_at(ranked, 10),
            "triplet_accuracy": float(np.mean(margins > 0)) if len(margins) else None,
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        return self.judged(predictions, columns)[1]

    def judged(self, predictions: Sequence[Prediction], columns: Columns) -> tuple[FloatArray, Scored]:
        """See `hone.tasks.protocol.Judging`: each text is looked for among all others once."""
        ranked = _ranked(predictions, columns)
        tally = _tally(predictions, columns, ranked)
        if ranked is None:
            scored = shown_near(tally, columns)
        else:
            scored = (shown_labels if "text" in columns else shown_found)(*ranked, columns)
        return tally, replace(scored, tables=scored.tables | self._by_size(predictions, columns, tally))

    def _by_size(self, predictions: Sequence[Prediction], columns: Columns, tally: FloatArray) -> dict[str, Grid]:
        """Every measure that has a value, of embeddings of each size that was trained for, and of the whole ones."""
        whole = self.measures(tally) if len(predictions) else {}
        names = [name for name, value in whole.items() if value is not None]
        if not self.settings.matryoshka or not names:
            return {}
        one = predictions[0]
        width = len(one["embedding"] if "embedding" in one else one["embeddings"][0])
        rows: list[list[Cell]] = []
        for size in sorted({size for size in self.settings.matryoshka if size < width}):
            cut = [_cut(prediction, size) for prediction in predictions]
            found = self.measures(_tally(cut, columns, _ranked(cut, columns)))
            rows.append([size, *(found[name] for name in names)])
        rows.append([width, *(whole[name] for name in names)])
        return {"by_size": Grid(columns=["dimensions", *names], rows=rows)}

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        """Whether the cosines of a pair, or the embeddings of a text, are about the same."""
        if "embedding" in one:
            return bool(1 - np.dot(one["embedding"], other["embedding"]) < SAME)
        return bool(abs(one["similarity"] - other["similarity"]) < SAME)


def unit(vectors: Vectors) -> Vectors:
    """Rows of vectors [n, width] at length 1; one of zeros stays."""
    length = np.sqrt((vectors.astype(np.float64) ** 2).sum(1, keepdims=True))
    out: Vectors = (vectors / np.maximum(length, 1e-12)).astype(np.float32)
    return out


def _cut(prediction: Prediction, size: int) -> Prediction:
    """The answer that embeddings of their first ``size`` numbers give."""
    if "embedding" in prediction:
        return {"embedding": unit(np.array([prediction["embedding"]])[:, :size])[0].tolist()}
    vectors = unit(np.array(prediction["embeddings"])[:, :size]).astype(np.float64)
    return {"similarity": float(vectors[0] @ vectors[1]), "embeddings": vectors.tolist()}


def _name(content: bytes) -> int:
    """A number that is the same for the same content, and, but for a chance of 2^-64, for no other."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little", signed=True)


def _tally(predictions: Sequence[Prediction], columns: Columns, ranked: Ranked | None) -> FloatArray:
    """See `SentenceEmbedding.tally`."""
    out = np.full((len(predictions), 4), np.nan)
    if ranked is not None:
        out[:, 2], _ = ranked
    if "text" in columns:
        return out
    out[:, 1] = [prediction["similarity"] for prediction in predictions]
    if "score" in columns:
        out[:, 0] = columns["score"]
    if "negative" in columns:
        beside = [[prediction["embeddings"][i] for prediction in predictions] for i in (0, 2)]
        out[:, 3] = out[:, 1] - np.prod(np.array(beside), axis=0).sum(-1)
    return out


def _ranked(predictions: Sequence[Prediction], columns: Columns) -> Ranked | None:
    """`_ranks` of pairs and `_label_ranks` of labeled texts; None of pairs with scores, and of none at all."""
    if "score" in columns or not len(predictions):
        return None
    return (_label_ranks if "text" in columns else _ranks)(predictions, columns)


def _ranks(predictions: Sequence[Prediction], columns: Columns) -> Ranked:
    """Of pairs, each text looked for once: rank of the second, and of the texts in their order, the first found."""
    texts = np.array([prediction["embeddings"] for prediction in predictions])  # [examples, 2 or 3, width]
    _, first, asks = np.unique(np.array(columns["text_a"], dtype=object), return_index=True, return_inverse=True)
    _, second, own = np.unique(np.array(columns["text_b"], dtype=object), return_index=True, return_inverse=True)
    rank, found = retrieval.ranks(texts[first, 0], texts[second, 1], asks=asks.reshape(-1), own=own.reshape(-1))
    return rank.astype(np.float64), found


def _label_ranks(predictions: Sequence[Prediction], columns: Columns) -> Ranked:
    """Of labeled texts, each looked for with: rank of the nearest other one of its label, and the nearest of others."""
    _, labels = np.unique(np.array(columns["label"], dtype=object), return_inverse=True)
    vectors = np.array([prediction["embedding"] for prediction in predictions])
    return retrieval.label_ranks(vectors, labels.reshape(-1))
