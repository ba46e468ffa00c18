"""``hone index``: texts become a directory that is searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import hone
from hone.bundle.bundle import Bundle, require_free, same_place, write_bundle
from hone.bundle.manifest import DataRecord, Lineage, Manifest, Part, Plain, Requirement
from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.core.progress import Progress, Silent
from hone.data.cache import default_cache
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source
from hone.predict.device import pick_device
from hone.predict.predictor import Predictor, load
from hone.predict.vectors import TEXTS_AT_ONCE, require_embeddings, vector_parts
from hone.retrieval import words
from hone.retrieval.arrays import TextWriter
from hone.retrieval.graph import GRAPH_FILE, build_graph, require_graph
from hone.retrieval.kept import KeptVectors, kept_vectors
from hone.retrieval.settings import IndexSettings
from hone.tasks.embedding import unit

VECTORS_FILE = "vectors.bin"
NOTE = "bundle.txt"  # attachment: where the bundle lay
FIELDS = (Field("text", "text"), Field("id", "label", required=False))


def index(
    bundle: Path | str,
    file: Path | str,
    *,
    out: Path | str,
    settings: IndexSettings | None = None,
    columns: Mapping[str, str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Bundle:
    """Write an index of the texts in ``file`` to ``out``, whole or not at all; memory does not grow with the texts,
    but for the graph's, where one is asked for.

    Args:
        bundle: Folder of a bundle of ``sentence-embedding``; the index names its digest and is searched with it alone.
        file: Rows with ``text``, and ``id`` where there are such; a file or a glob.
        settings: What to make.
        columns: ``text`` or ``id`` -> the column's name in the file.
        progress: Told how far it is.

    Raises:
        RecipeError: The index would replace the bundle.
        BundleError: It is damaged or does another task, or something else than an index lies at ``out``.
        DataError: The file cannot be used.
        MissingExtra: A graph is asked for and usearch is not installed.
    """
    settings, progress, target = settings or IndexSettings(), progress or Silent(), Path(out).resolve()
    require_free(target)
    if same_place(target, Path(bundle)):
        raise RecipeError(
            f"the index would be written in the place of the bundle it is searched with, {bundle}",
            expected="a folder of its own",
            fix="Name another folder: --out.",
            code="bundle.required",
        )
    if settings.hnsw:
        require_graph()
    predictor = load(bundle, device=device)
    require_embeddings(predictor)
    source = Source(path=str(file), columns=dict(columns or {}))
    data = read(source, FIELDS, name="corpus", base=Path(), cache=default_cache())
    belongs = {
        "bundles": predictor.bundle.digest,
        "texts": data.digest,
        "devices": pick_device(device).type,
        "versions": hone.__version__,
        "settings": {**settings.model_dump(include={"precision", "dimensions"}), "texts_at_once": TEXTS_AT_ONCE},
    }
    with kept_vectors(target, belongs, precision=settings.precision, progress=progress) as kept:
        _embed(kept, predictor, data, settings, progress)
        made = write_bundle(target, build=lambda folder: _fill(folder, kept, data, settings, progress))
    made.attach(NOTE, str(Path(bundle).resolve()))
    return made


def _fill(folder: Path, kept: KeptVectors, data: Dataset, settings: IndexSettings, progress: Progress) -> Manifest:
    _keep_texts(folder, data)
    kept.give(folder / VECTORS_FILE)
    parts = [
        Part(role="index", name="vectors", format=settings.precision, files=(VECTORS_FILE,),
             settings={"rows": len(data), "dimensions": kept.width}),
        *(Part(role="index", name=name, format="utf-8", files=(f"{name}.utf8", f"{name}.ends"))
          for name in _kept(data)),
    ]  # fmt: skip
    if settings.bm25:
        _count_words(folder, data, settings, progress)
        parts.append(Part(role="index", name="words", format="bm25", files=words.FILES))
    if settings.hnsw:
        progress.begin("building the graph", total=len(data), unit="text")
        build_graph(kept.parts(), folder / GRAPH_FILE, settings=settings, done=progress.advance)
        progress.finish()
        parts.append(Part(role="index", name="graph", format="usearch", files=(GRAPH_FILE,)))
    bundle = str(kept.belongs["bundles"])
    recipe = {"stage": "index", "settings": settings.model_dump(mode="json")}
    return Manifest(
        task=None,
        parts=tuple(parts),
        default=("vectors",),
        requires=(Requirement(role="encoder", digest=bundle),),
        plain=Plain(auto_class="", gives="nothing"),
        lineage=Lineage(
            parents=(bundle,),
            stage="index",
            recipe=recipe,
            recipe_digest=digest_value(recipe),
            data=(DataRecord(role=data.name, digest=data.digest, rows=len(data)),),
            seed=0,
            hone=hone.__version__,
        ),
    )


def _kept(data: Dataset) -> list[str]:
    """Names of what is kept of each row to be shown."""
    return [{"text": "texts", "id": "ids"}[name] for name in data.having(FIELDS)]


def _parts(data: Dataset, field: str, *, start: int = 0) -> Iterator[Sequence[str]]:
    for at in range(start, len(data), TEXTS_AT_ONCE):
        yield data.slice(at, at + TEXTS_AT_ONCE)[field]


def _keep_texts(folder: Path, data: Dataset) -> None:
    for field, name in zip(data.having(FIELDS), _kept(data), strict=True):
        writer = TextWriter(folder, name)
        for texts in _parts(data, field):
            writer.write(texts)
        writer.close()


def _embed(kept: KeptVectors, predictor: Predictor, data: Dataset, settings: IndexSettings, progress: Progress) -> None:
    """Write the vectors that are not there yet."""
    if kept.rows:
        progress.say(f"going on after {kept.rows:,} of {len(data):,} texts, embedded by a run that was not finished")
    progress.begin("embedding", total=len(data) - kept.rows, unit="text")
    texts = _parts(data, "text", start=kept.rows)
    for part in vector_parts(predictor.task, predictor.engine, texts, done=progress.advance):
        width = settings.dimensions or part.shape[1]
        if width > part.shape[1]:
            raise RecipeError(
                f"dimensions: {width}, of a bundle that answers with {part.shape[1]} numbers",
                expected=f"at most {part.shape[1]}",
                code="recipe.dimensions",
            )
        kept.add(unit(part[:, :width]))
    progress.finish()


def _count_words(folder: Path, data: Dataset, settings: IndexSettings, progress: Progress) -> None:
    progress.begin("counting words", total=len(data), unit="text")
    writer = words.WordsWriter(folder)
    for texts in _parts(data, "text"):
        writer.add(texts)
        progress.advance(len(texts))
    writer.finish(k1=settings.k1, b=settings.b)
    progress.finish()
