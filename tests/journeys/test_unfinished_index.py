"""An index whose making was stopped goes on where it was, and ends as one that nothing stopped."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hone
from hone.core.progress import Silent
from hone.retrieval import build
from hone.retrieval.settings import IndexSettings

AT_ONCE, TEXTS = 8, 40
SETTINGS = IndexSettings(hnsw=True)
KILLED = """
import os, signal, sys
import hone
from hone.core.progress import Silent
from hone.retrieval import build
from hone.retrieval.settings import IndexSettings

class Deadly(Silent):
    done = 0
    def advance(self, units, **figures):
        self.done += units
        if self.done > 20:
            os.kill(os.getpid(), signal.SIGKILL)

build.TEXTS_AT_ONCE = 8
hone.index(sys.argv[1], sys.argv[2], out=sys.argv[3], settings=IndexSettings(hnsw=True), progress=Deadly())
"""


class Stopping(Silent):
    """Ctrl-C in the work called ``during`` after so many texts; keeps what is said."""

    def __init__(self, after: int | None = None, *, during: str = "embedding") -> None:
        self.after, self.during, self.doing, self.done = after, during, "", 0
        self.told: list[str] = []

    def say(self, words: str) -> None:
        self.told.append(words)

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self.doing, self.done = what, 0

    def advance(self, units: int, **figures: float) -> None:
        self.done += units
        if self.after is not None and self.doing == self.during and self.done > self.after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    pairs = folder / "train.jsonl"
    rows = [{"text_a": f"order {i}", "text_b": f"my order {i}"} for i in "abcd"]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stage = {"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "keep": "last", "save_steps": None}
    recipe = {"version": 1, "task": "sentence-embedding", "base": str(tiny_base), "device": "cpu", "stages": [stage],
              "data": {"train": str(pairs), "validation": "none"}}  # fmt: skip
    made = hone.run(recipe, out=folder / "run").bundle
    assert made is not None
    return made.path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    file.write_text("".join(f"order {'abc ' * (i % 7)}{i}\n" for i in range(TEXTS)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def digest(bundle: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the index that nothing stopped: of all its bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "TEXTS_AT_ONCE", AT_ONCE)
        return hone.index(bundle, corpus, out=tmp_path_factory.mktemp("whole") / "i", settings=SETTINGS).digest


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "TEXTS_AT_ONCE", AT_ONCE)


def stopped(bundle: Path, corpus: Path, out: Path, *, during: str = "embedding") -> Stopping:
    progress = Stopping(20, during=during)
    with pytest.raises(KeyboardInterrupt):
        hone.index(bundle, corpus, out=out, settings=SETTINGS, progress=progress)
    assert not out.exists()
    return progress


def unfinished(out: Path) -> Path:
    return out.with_name(f".{out.name}.unfinished")


def test_an_interrupted_index_goes_on_to_the_same_bytes(
    bundle: Path, corpus: Path, digest: str, tmp_path: Path
) -> None:
    [told] = stopped(bundle, corpus, tmp_path / "i").told
    assert told.startswith("16 embeddings are kept")
    progress = Stopping()
    made = hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS, progress=progress)
    assert progress.told == ["going on after 16 of 40 texts, embedded by a run that was not finished"]
    assert made.digest == digest
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


def test_a_killed_index_goes_on_to_the_same_bytes(bundle: Path, corpus: Path, digest: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(bundle), str(corpus), str(tmp_path / "i")]
    assert subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == -signal.SIGKILL
    with (unfinished(tmp_path / "i") / "vectors.bin").open("ab") as file:
        file.write(b"half of a vector")  # of a part that was being written
    progress = Stopping()
    made = hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS, progress=progress)
    assert progress.told == ["going on after 16 of 40 texts, embedded by a run that was not finished"]
    assert made.digest == digest


def test_embeddings_stay_when_it_is_the_graph_that_was_stopped(
    bundle: Path, corpus: Path, digest: str, tmp_path: Path
) -> None:
    stopped(bundle, corpus, tmp_path / "i", during="building the graph")
    at_the_first_text = Stopping(0)
    made = hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS, progress=at_the_first_text)
    assert made.digest == digest


@pytest.mark.parametrize("what", ["texts", "settings", "bundles"])
def test_embeddings_of_something_else_are_told_and_not_used(
    what: str, bundle: Path, corpus: Path, digest: str, tmp_path: Path
) -> None:
    out, settings, texts = tmp_path / "i", SETTINGS, corpus
    if what == "texts":
        texts = tmp_path / "other.txt"
        texts.write_text(corpus.read_text(encoding="utf-8").upper(), encoding="utf-8")
    if what == "settings":
        settings = IndexSettings(hnsw=True, precision="float16")
    with pytest.raises(KeyboardInterrupt):
        hone.index(bundle, texts, out=out, settings=settings, progress=Stopping(20))
    if what == "bundles":
        note = unfinished(out) / "kept.json"
        note.write_text(note.read_text().replace('"bundles": "', '"bundles": "0'), encoding="utf-8")
    progress = Stopping()
    made = hone.index(bundle, corpus, out=out, settings=SETTINGS, progress=progress)
    assert [f"belong to other {what}: begun anew" in told for told in progress.told] == [True]
    assert made.digest == digest


@pytest.mark.parametrize("file", ["vectors.bin", "kept.json"])
def test_damaged_embeddings_are_told_and_not_used(
    file: str, bundle: Path, corpus: Path, digest: str, tmp_path: Path
) -> None:
    stopped(bundle, corpus, tmp_path / "i")
    (unfinished(tmp_path / "i") / file).write_bytes(b"{")
    progress = Stopping()
    made = hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS, progress=progress)
    assert ["are damaged: begun anew" in told for told in progress.told] == [True]
    assert made.digest == digest


def test_an_index_is_made_by_one_process_at_a_time(bundle: Path, corpus: Path, tmp_path: Path) -> None:
    stopped(bundle, corpus, tmp_path / "i")
    with (unfinished(tmp_path / "i") / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(hone.BundleError) as caught:
            hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS)
    assert caught.value.code == "search.in-use"


def test_what_cannot_be_indexed_leaves_nothing(bundle: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(hone.RecipeError):
        hone.index(bundle, corpus, out=tmp_path / "i", settings=IndexSettings(dimensions=10_000))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_what_is_embedded(bundle: Path, corpus: Path, digest: str, tmp_path: Path) -> None:
    stopped(bundle, corpus, tmp_path / "i")
    kept = unfinished(tmp_path / "i") / "vectors.bin"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept.stat().st_size + 8, hard))
    try:
        with pytest.raises(hone.HoneError) as caught:
            hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "search.not-saved"
    assert hone.index(bundle, corpus, out=tmp_path / "i", settings=SETTINGS).digest == digest
