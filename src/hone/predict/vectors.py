"""Embeddings of many texts as one array: what searching and mining work with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hone.core.ahead import ahead
from hone.core.errors import BundleError
from hone.predict.batching import score_rows
from hone.predict.engine import Engine
from hone.predict.predictor import Predictor
from hone.tasks.embedding import SentenceEmbedding
from hone.tasks.protocol import Task
from hone.tasks.rows import Rows

TEXTS_AT_ONCE = 4096


def vector_parts(
    task: Task, engine: Engine, parts: Iterable[Sequence[str]], *, done: Callable[[int], None] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Embeddings at length 1 of each part of the texts, float32 [texts, dimensions]; the next one is encoded meanwhile.

    Args:
        done: Told how many texts are finished.
    """
    assert isinstance(task, SentenceEmbedding)
    for rows in ahead(lambda texts: Rows(task.encode({"text": texts}, purpose="predict")), parts):
        yield task.vectors(score_rows(task, engine, rows, done=done))


def vectors_of(
    task: Task, engine: Engine, texts: Sequence[str], *, done: Callable[[int], None] | None = None
) -> NDArray[np.float32]:
    """The same of all texts, at least one, together."""
    parts = (texts[at : at + TEXTS_AT_ONCE] for at in range(0, len(texts), TEXTS_AT_ONCE))
    return np.concatenate(list(vector_parts(task, engine, parts, done=done)))


def require_embeddings(predictor: Predictor) -> None:
    """Raise unless the bundle's task is ``sentence-embedding``.

    Raises:
        BundleError: It is another one.
    """
    if not isinstance(predictor.task, SentenceEmbedding):
        raise BundleError(
            f"the bundle {predictor.bundle.path} does {predictor.task.name}",
            expected="one of sentence-embedding",
            fix="Fine-tune one: hone init sentence-embedding",
            code="bundle.no-embeddings",
        )
