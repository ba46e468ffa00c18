"""`SearchIndex`: an index, opened and ready to be searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hone.bundle.bundle import ATTACHMENTS, Bundle
from hone.core.errors import BundleError, RecipeError, did_you_mean
from hone.predict.predictor import Predictor, open_bundle
from hone.predict.vectors import require_embeddings, vectors_of
from hone.retrieval.arrays import Texts, mapped
from hone.retrieval.build import NOTE, VECTORS_FILE
from hone.retrieval.exact import IntArray, Vectors, nearest
from hone.retrieval.graph import GRAPH_FILE, Graph
from hone.retrieval.settings import WAYS, Way
from hone.retrieval.words import Words, fused
from hone.tasks.embedding import unit
from hone.text.terms import terms

Hit = dict[str, Any]
FUSED_DEPTH = 100  # answers of each ranking that are fused, at least
Found = list[tuple[IntArray, Vectors]]  # rows and scores of each query


class SearchIndex:
    """Answers queries; safe to call from several threads.

    Args:
        opened: The index, verified.
        bundle: Folder of the bundle it was made with; None: where that lay. Opened at the first search that needs it.
        device: Where queries are embedded.
    """

    def __init__(self, opened: Bundle, *, bundle: Path | None, device: str) -> None:
        self.opened, self._given, self._device = opened, bundle, device
        parts = {part.name: part for part in opened.manifest.parts if part.role == "index"}
        vectors = parts["vectors"]
        self._width = int(vectors.settings["dimensions"])
        self._vectors = mapped(opened.path / VECTORS_FILE, vectors.format, width=self._width)
        self._texts = Texts(opened.path, "texts")
        self._ids = Texts(opened.path, "ids") if "ids" in parts else None
        self._words = Words(opened.path, count=len(self)) if "words" in parts else None
        self._graph = Graph(opened.path / GRAPH_FILE) if "graph" in parts else None
        self._predictor: Predictor | None = None

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def ways(self) -> tuple[Way, ...]:
        """How it can be searched."""
        has = {"exact": True, "hnsw": self._graph is not None, "bm25": self._words is not None}
        has["fused"] = has["bm25"]
        return tuple(way for way in WAYS if has[way])

    def search(self, queries: str | Sequence[str], *, k: int = 10, by: str = "exact") -> list[list[Hit]]:
        """The ``k`` best texts for each query, the best first: ``{"id", "score", "text", "row", "offsets"}``, where
        ``row`` counts from 0 in the indexed file, ``id`` is the row's own or, without one, ``row``, and ``offsets`` are
        where words of the query stand in the text, in characters, end exclusive.

        Args:
            queries: A text, or several.
            k: How many texts at most: an index of fewer gives all, and ``bm25`` those that share a word.
            by: ``exact``: the cosine to every text; ``hnsw``: the same of those that a graph finds; ``bm25``: shared
                words; ``fused``: both rankings as one, the score being the sum of ``1 / (60 + rank)``.

        Raises:
            RecipeError: The index cannot be searched so, or ``k`` is less than 1.
            BundleError: The bundle is not where it was, or it is another one.
        """
        texts = [queries] if isinstance(queries, str) else list(queries)
        self._require(k, by)
        if not texts:
            return []
        k = min(k, len(self))
        found = {"exact": self._near, "hnsw": self._by_graph, "bm25": self._by_words, "fused": self._by_both}[by](
            texts, k
        )
        return [self._hits(query, *each) for query, each in zip(texts, found, strict=True)]

    def _require(self, k: int, by: str) -> None:
        if by not in self.ways:
            there = ", ".join(self.ways)
            fix = "Index the texts again with it." if by in WAYS else did_you_mean(by, self.ways)
            raise RecipeError(
                f"a search by {by!r} in {self.opened.path}", expected=f"one of {there}", fix=fix, code="search.by"
            )
        if k < 1:
            raise RecipeError(f"k is {k}", expected="how many texts a query gets, 1 or more", code="search.k")

    def _near(self, queries: Sequence[str], k: int) -> Found:
        return list(zip(*nearest(self._embedded(queries), self._vectors, k=k), strict=True))

    def _by_graph(self, queries: Sequence[str], k: int) -> Found:
        assert self._graph is not None
        return list(zip(*self._graph.nearest(self._embedded(queries), self._vectors, k=k), strict=True))

    def _by_words(self, queries: Sequence[str], k: int) -> Found:
        assert self._words is not None
        return [self._words.nearest(query, k=k) for query in queries]

    def _by_both(self, queries: Sequence[str], k: int) -> Found:
        depth = min(len(self), max(k, FUSED_DEPTH))
        dense = (self._by_graph if self._graph is not None else self._near)(queries, depth)
        both = zip(dense, self._by_words(queries, depth), strict=True)
        return [fused([one, other], k=k) for (one, _), (other, _) in both]

    def _embedded(self, queries: Sequence[str]) -> Vectors:
        if self._predictor is None:
            self._predictor = self._opened()
        return unit(vectors_of(self._predictor.task, self._predictor.engine, queries)[:, : self._width])

    def _opened(self) -> Predictor:
        """The bundle that the index was made with, ready to embed.

        Raises:
            BundleError: It is another one, or is not there.
        """
        note = self.opened.path / ATTACHMENTS / NOTE
        where = self._given or (Path(note.read_text(encoding="utf-8")) if note.is_file() else None)
        wanted = next(need.digest for need in self.opened.manifest.requires if need.role == "encoder")
        if where is None or not where.is_dir():
            raise BundleError(
                f"the bundle that {self.opened.path} was made with is not at {where or 'any place that is known'}",
                expected=f"the bundle {wanted}",
                fix="Name its folder: hone search INDEX QUERY --bundle FOLDER",
                code="search.no-bundle",
            )
        bundle = Bundle.open(where)
        if bundle.digest != wanted:
            raise BundleError(
                f"the bundle {where} has digest {bundle.digest}",
                expected=f"{wanted}, which {self.opened.path} was made with",
                fix="Name that one, or index the texts again with this one.",
                code="search.other-bundle",
            )
        predictor = open_bundle(bundle, device=self._device)
        require_embeddings(predictor)
        return predictor

    def _hits(self, query: str, rows: IntArray, scores: Vectors) -> list[Hit]:
        asked = {term.name for term in terms(query)}
        return [self._hit(int(row), float(score), asked) for row, score in zip(rows, scores, strict=True)]

    def _hit(self, row: int, score: float, asked: set[str]) -> Hit:
        text = self._texts[row]
        places = joined((term.start, term.end) for term in terms(text) if term.name in asked)
        name = row if self._ids is None else self._ids[row]
        return {
            "id": name,
            "score": round(score, 6),
            "text": text,
            "row": row,
            "offsets": places,
        }


def joined(places: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Stretches of a text in its order, those that overlap as one: of Chinese words the characters and pairs are."""
    out: list[list[int]] = []
    for start, end in sorted(places):
        if out and start < out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


def load_index(path: Path | str, *, bundle: Path | str | None = None, device: str = "auto") -> SearchIndex:
    """Open the index in ``path``, after verifying every file of it.

    Args:
        path: A folder that ``hone index`` wrote.
        bundle: Folder of the bundle it was made with, where that has moved.
        device: Where queries are embedded: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        BundleError: It is damaged, or no index.
        MissingExtra: It has a graph, and usearch is not installed.
    """
    opened = Bundle.open(path)
    if not any(part.role == "index" and part.name == "vectors" for part in opened.manifest.parts):
        raise BundleError(
            f"the bundle {opened.path} is no index",
            expected="a folder that hone index wrote",
            fix="Make one: hone index BUNDLE FILE --out FOLDER",
            code="search.no-index",
        )
    return SearchIndex(opened, bundle=Path(bundle) if bundle is not None else None, device=device)
