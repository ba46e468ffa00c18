"""What does `hone index` hold in memory for each text more, and how long does it take?

python benchmarks/tasks/index_growth.py
python benchmarks/tasks/index_growth.py --sizes 20000 1000000 --hnsw
Indexes made-up short texts (four to twelve words of a vocabulary that grows as that of a language does) with a small
`dan` base, each number of texts in a process of its own. Memory is the most that the process ever held, and of that
what is its own: pages of files that are mapped are the machine's to take back. Seconds are those of the indexing, on
as many threads as torch takes. Writes benchmarks/tasks/index_growth.json; --hnsw adds the graph's figures to it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402

FILE = HERE / "index_growth.json"
WIDTH = 384
LETTERS = np.array(list("etaoinshrdlu"))
A_TEXT = {"peak_mb": "peak_bytes", "own_mb": "own_bytes", "index_mb": "index_bytes", "seconds": "microseconds"}


def write_texts(file: Path, count: int) -> None:
    """So many texts; the n-th most frequent word stands once in n, about (Zipf), so that ever more words are new."""
    rng = np.random.default_rng(0)
    with file.open("w", encoding="utf-8") as out:
        for at in range(0, count, 10_000):
            some = min(10_000, count - at)
            lengths = rng.integers(4, 13, size=some)
            ranks = rng.zipf(1.3, size=int(lengths.sum())) % 10_000_000
            words = iter([_word(int(rank)) for rank in ranks])
            out.writelines(" ".join(next(words) for _ in range(length)) + "\n" for length in lengths)


def _word(rank: int) -> str:
    return "".join(LETTERS[int(digit, 12)] for digit in np.base_repr(rank + 12, 12))


def encoder(folder: Path) -> Path:
    """A bundle that embeds, its base made from nothing and hardly trained."""
    import hone

    write_texts(folder / "few.txt", 2_000)
    texts = (folder / "few.txt").read_text(encoding="utf-8").splitlines()
    rows = [{"text_a": text, "text_b": f"{text} again"} for text in texts]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values: dict[str, Any] = {
        "version": 1,
        "task": "sentence-embedding",
        "base": {"architecture": "dan", "hidden": WIDTH},
        "data": {"train": str(folder / "train.jsonl"), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "keep": "last", "save_steps": None}],
    }
    made = hone.run(values, out=folder / "run").bundle
    assert made is not None
    return made.path


def memory(name: str) -> int:
    """Bytes, of this process alone: what the system says of its children counts the parent they were forked from."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024


class Own(threading.Thread):
    """Looks ever again at how much memory is the process's own."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        while True:
            self.most = max(self.most, memory("RssAnon"))
            time.sleep(0.05)


def one(bundle: Path, count: int, hnsw: bool, folder: Path) -> dict[str, float]:
    """Memory, seconds and size of one index."""
    import hone
    from hone.retrieval.settings import IndexSettings

    write_texts(folder / "texts.txt", count)
    own = Own()
    own.start()
    began = time.perf_counter()
    made = hone.index(bundle, folder / "texts.txt", out=folder / "index", settings=IndexSettings(hnsw=hnsw))
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 1),
        "peak_mb": round(memory("VmHWM") / 1e6, 1),
        "own_mb": round(own.most / 1e6, 1),
        "index_mb": round(sum(file.bytes for file in made.manifest.files.values()) / 1e6, 1),
    }


def a_text(found: dict[str, dict[str, float]], sizes: list[int]) -> dict[str, float]:
    """What each text more takes, between the smallest index and the largest; nothing where they are one."""
    least, most = min(sizes), max(sizes)
    before, after = found[str(least)], found[str(most)]
    if least == most:
        return {}
    return {
        f"{of}_a_text": round(1e6 * (after[name] - before[name]) / (most - least), 1) for name, of in A_TEXT.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--hnsw", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("BUNDLE", "COUNT"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HONE_CACHE"] = str(folder / "cache")
        if given.one:
            print(json.dumps(one(Path(given.one[0]), int(given.one[1]), given.hnsw, folder)))
            return
        bundle = encoder(folder)
        found: dict[str, Any] = {}
        for count in given.sizes:
            command = [sys.executable, __file__, "--one", str(bundle), str(count), *["--hnsw"] * given.hnsw]
            ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[str(count)] = json.loads(ran.stdout.splitlines()[-1])
            print(count, found[str(count)], flush=True)
    found |= a_text(found, given.sizes)
    record = json.loads(FILE.read_text()) if FILE.is_file() else {}
    record |= {"width": WIDTH, "hnsw" if given.hnsw else "exact": found, "machine": machine()}
    FILE.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
