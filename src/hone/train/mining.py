"""A hard negative for every pair: what the model, as it is before training, takes for nearly as good as the second text
(Xiong et al. 2021), and what is too near to be told from a right one left out (Moreira et al. 2024)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hone.core.errors import DataError
from hone.core.progress import Progress
from hone.data.dataset import Dataset
from hone.models.model import Model
from hone.predict.engine import TorchEngine
from hone.predict.vectors import vectors_of
from hone.tasks.embedding import SentenceEmbedding
from hone.tasks.protocol import Task

QUERIES_AT_ONCE = 256
COSINES_AT_ONCE = 1 << 26  # of pairs and passages


def mines(task: Task) -> bool:
    """Whether the task's settings ask for mined negatives."""
    return isinstance(task, SentenceEmbedding) and task.settings.negatives == "mined"


def with_negatives(train: Dataset, task: Task, model: Model, *, progress: Progress, device: torch.device) -> Dataset:
    """``train`` with a ``negative`` in every row: of the other rows' ``text_b`` the nearest to ``text_a`` whose cosine
    is at least the settings' ``mined_margin`` below that of the row's own; where none is so far, the farthest.

    Texts that any row pairs with the same ``text_a``, and texts equal to it, are never taken.

    Raises:
        DataError: Of a row there is no other text.
    """
    assert isinstance(task, SentenceEmbedding)
    margin = task.settings.mined_margin
    engine = TorchEngine(model, device)
    queries, asks = np.unique(_objects(train, "text_a"), return_inverse=True)
    passages, own = np.unique(_objects(train, "text_b"), return_inverse=True)
    progress.begin("mining negatives", total=len(queries) + len(passages), unit="text")
    sides = [vectors_of(task, engine, texts.tolist(), done=progress.advance) for texts in (queries, passages)]
    progress.finish()
    chosen = _hardest(*sides, asks=asks.reshape(-1), own=own.reshape(-1), margin=margin, same=_same(queries, passages))
    columns = {name: train.column(name) for name in train.columns}
    columns["negative"] = passages[chosen].tolist()
    return Dataset.from_columns(train.name, columns)


def _objects(train: Dataset, name: str) -> NDArray[Any]:
    return np.array(train.column(name), dtype=object)


def _same(queries: NDArray[Any], passages: NDArray[Any]) -> NDArray[np.int64]:
    """Where each query stands among the passages, -1 where it does not: int64 [queries]."""
    place = {text: i for i, text in enumerate(passages.tolist())}
    return np.array([place.get(text, -1) for text in queries.tolist()], dtype=np.int64)


def _hardest(
    queries: NDArray[np.float32],
    passages: NDArray[np.float32],
    *,
    asks: NDArray[np.int64],
    own: NDArray[np.int64],
    margin: float,
    same: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The passage taken for each pair, int64 [pairs]."""
    out = np.zeros(len(asks), dtype=np.int64)
    order = np.argsort(asks, kind="stable")
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        near = queries[at : at + QUERIES_AT_ONCE] @ passages.T
        first, last = np.searchsorted(asks[order], (at, at + len(near)))
        pairs = order[first:last]
        row = asks[pairs] - at
        barred = np.zeros(near.shape, dtype=bool)
        barred[row, own[pairs]] = True
        there = np.flatnonzero(same[at : at + len(near)] >= 0)
        barred[there, same[at + there]] = True
        if np.flatnonzero(barred.all(axis=1)).size:
            raise _nothing_else()
        few = max(1, COSINES_AT_ONCE // len(passages))
        for begin in range(0, len(pairs), few):
            some, asked = pairs[begin : begin + few], row[begin : begin + few]
            out[some] = _of_pairs(near[asked], barred[asked], reached=near[asked, own[some]] - margin)
    return out


def _of_pairs(
    near: NDArray[np.float32], barred: NDArray[np.bool_], *, reached: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Of each pair the passage with the highest of ``near`` that is at most ``reached``; where there is none the
    lowest."""
    scores = np.where(barred, np.inf, near)  # [pairs, passages]
    far = np.where(scores <= reached[:, None], scores, -np.inf)
    found: NDArray[np.int64] = np.where(np.isfinite(far.max(1)), far.argmax(1), scores.argmin(1))
    return found


def _nothing_else() -> DataError:
    return DataError(
        "rows whose text_a goes with every text_b that there is",
        expected="for every row a text_b of others, to be its negative",
        fix="Add rows with other texts, or set negatives to given.",
        code="data.no-negative",
    )
