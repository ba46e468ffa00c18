"""`select`: the documents of a source that are most like those of a target domain, drawn by their importance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from hone.core.errors import DataError
from hone.core.lineage import digest_value
from hone.data.cache import stored
from hone.data.corpus.card import Selected, keep_card, kept_card
from hone.data.corpus.importance import Features, divergence, effective_size, gumbel_top, shares
from hone.data.corpus.settings import Selection
from hone.data.dataset import Dataset, IntArray

VERSION = 1  # raised whenever other documents are drawn of the same ones
CHOSEN = pa.schema([("row", pa.int64())])


def select(
    rows: Dataset, like: Dataset, settings: Selection, *, name: str, seed: int, folder: Path
) -> tuple[IntArray, Selected]:
    """The rows of a source to keep, ascending, and how they were found; kept in ``folder``, for it takes long.

    Args:
        rows: The documents of the source.
        like: Documents of the target domain.
        name: Of the source.
        seed: Of the draw.

    Raises:
        DataError: More documents are asked for than there are.
    """
    count = settings.documents or max(1, round((settings.share or 0) * len(rows)))
    if count > len(rows):
        raise DataError(
            f"{count:,} documents are to be selected of {rows.origin}, which has {len(rows):,} left",
            expected=f"at most {len(rows):,}", fix="Ask for fewer: select.documents.", code="data.select",
        )  # fmt: skip
    features = Features(settings.buckets, settings.ngrams)
    key = digest_value({"version": VERSION, "of": rows.digest, "like": like.digest, "count": count, "seed": seed,
                        "features": [settings.buckets, settings.ngrams]})  # fmt: skip
    at = folder / f"{key}.selected.json"
    found = kept_card(at, Selected)
    if found is None:
        (folder / f"{key}.arrow").unlink(missing_ok=True)

    def draw() -> Iterator[pa.RecordBatch]:
        chosen, how = _drawn(rows, like, features, count=count, name=name, seed=seed)
        keep_card(at, how)
        yield pa.RecordBatch.from_arrays([pa.array(chosen, pa.int64())], schema=CHOSEN)

    table = stored(folder, key, CHOSEN, draw)
    found = found or kept_card(at, Selected)
    assert found is not None, at
    return np.array(table.column("row").to_numpy()), found


def _drawn(
    rows: Dataset, like: Dataset, features: Features, *, count: int, name: str, seed: int
) -> tuple[IntArray, Selected]:
    corpus = shares(features.counts(_texts(rows)))
    target = shares(features.counts(_texts(like)), prior=corpus)
    ratio = np.log(target / corpus)
    weights = np.fromiter((ratio[features.of(text)].sum() for text in _texts(rows)), np.float64, len(rows))
    rng = np.random.default_rng([seed, 0xD51E])
    chosen = gumbel_top(weights, count, rng=rng)
    evenly = np.sort(rng.choice(len(rows), count, replace=False))
    drawn, even = (shares(features.counts(_texts(rows.take(some))), prior=corpus) for some in (chosen, evenly))
    return chosen, Selected(
        name=name, like=len(like), seen=len(rows), documents=count, effective=effective_size(weights),
        before=divergence(target, even), after=divergence(target, drawn),
    )  # fmt: skip


def _texts(rows: Dataset) -> Iterator[str]:
    for begin, end in rows.portions():
        yield from rows.slice(begin, end)["text"]
