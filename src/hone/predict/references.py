"""What a bundle says of pairs of texts: asked once, kept in the cache, and what others are measured against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from hone.bundle.bundle import Bundle
from hone.core.lineage import digest_value
from hone.core.progress import Progress
from hone.data.cache import stored
from hone.data.dataset import Dataset
from hone.predict.batching import score_rows
from hone.predict.engine import Engine
from hone.tasks.encoded import encoded, encoding_key
from hone.tasks.fields import CHOSEN, REJECTED
from hone.tasks.pairs import Pairs
from hone.tasks.protocol import FloatArray, Task

SCHEMA = pa.schema([(field.name, pa.float64()) for field in (CHOSEN, REJECTED)])


def reference_of(
    pairs: Pairs, data: Dataset, engine: Engine, *, bundle: Bundle, device: str, cache: Path, progress: Progress
) -> FloatArray:
    """The log-probabilities of both texts of each row of ``data`` by ``bundle``, float64 [rows, 2].

    Args:
        pairs: The bundle's task over pairs.
        engine: Runs the bundle's model; not asked where the cache has what it said.
        device: The kind of device that it runs on, and the precision where that is not float32: another rounds
            otherwise.
    """
    task = cast(Task, pairs)

    def batches() -> Iterator[pa.RecordBatch]:
        rows = encoded(task, data, cache=cache)
        progress.begin("asking the reference", total=len(rows), unit="pair")
        found = np.stack(score_rows(task, engine, rows, done=progress.advance))[:, :, 0]
        progress.finish()
        yield pa.RecordBatch.from_arrays([pa.array(side) for side in found.T], schema=SCHEMA)

    key = digest_value({"bundle": bundle.digest, "rows": encoding_key(task, data), "device": device})
    table = stored(cache / "references", key, SCHEMA, batches)
    return np.stack([np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in SCHEMA.names], axis=1)
