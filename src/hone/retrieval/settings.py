"""Settings of an index and of a search; no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hone.core.settings import Settings

Way = Literal["exact", "hnsw", "bm25", "fused"]
WAYS: tuple[Way, ...] = ("exact", "hnsw", "bm25", "fused")


class IndexSettings(Settings):
    """What an index is made with.

    Attributes:
        precision: Of the vectors kept: ``float16`` takes half the space and costs at most the fourth digit.
        dimensions: How many numbers of an embedding are kept, the first ones; None: all that the bundle answers with.
        hnsw: Build a graph over the vectors too (Malkov and Yashunin 2020): much faster in large indexes, and now and
            then a near text is missed.
        bm25: Keep the texts' words too.
        connectivity: Neighbors of a node of the graph.
        expansion_add: How far neighbors are looked for when a node is added.
        k1: How soon more of the same word in a text counts for less.
        b: How much longer texts count for less, from 0 to 1.
    """

    precision: Literal["float32", "float16"] = "float32"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    hnsw: bool = False
    bm25: bool = True
    connectivity: Annotated[int, Field(ge=2, le=256)] = 16
    expansion_add: Annotated[int, Field(ge=1)] = 128
    k1: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.2
    b: Annotated[float, Field(ge=0, le=1)] = 0.75
