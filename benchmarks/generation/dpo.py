"""Does a translator learn to tell good translations from corrupted ones, and does it still translate?

python benchmarks/generation/dpo.py runs/multi30k/bundle --out runs/dpo --pairs 8000 --minutes 60
HONE_DATA names the folder of the datasets. The bundle translates English to German and was trained on Multi30k's train
rows. A pair is a reference, chosen, against a copy of it with words dropped, swapped, repeated or replaced by words of
other references; seeded. Training pairs are of train, those that are held out of test2016, which no choice looks at.
The loss is chosen on val: of those that leave its BLEU within one point the one with the best accuracy; where none
does, the best of all, and ``keeps_bleu`` is false. Each part is kept in --out: the same command goes on where it was
stopped, and after --minutes it begins no other. The result goes to benchmarks/generation/dpo.json: on held-out pairs
likelihood accuracy before and after, and preference accuracy after alone, for it compares a model with the one that it
was; BLEU of test2016 before and after, with intervals and sacrebleu's signature.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.bundle.bundle import Bundle  # noqa: E402
from hone.cli.console import Lines  # noqa: E402
from hone.core.lineage import digest_value  # noqa: E402
from hone.pipeline.recipe import make_recipe  # noqa: E402
from hone.pipeline.run import run_stages  # noqa: E402
from hone.report.report import Report  # noqa: E402

WAYS: list[dict[str, Any]] = [
    {"loss": {"name": "dpo", "beta": 0.1}, "sft_weight": 0.0},
    {"loss": {"name": "dpo", "beta": 0.1}, "sft_weight": 1.0},
    {"loss": {"name": "dpo", "beta": 0.5}, "sft_weight": 1.0},
    {"loss": {"name": "ipo", "tau": 0.5}, "sft_weight": 1.0},
]
WORST_BLEU = 1.0  # that val may lose; of the ways that keep it the one with the best accuracy is taken
Row = dict[str, str]


def main() -> None:
    given = _arguments()
    until = time.monotonic() + 60 * given.minutes
    data = Path(os.environ["HONE_DATA"]) / "translation" / "multi30k_en_de"
    parent = Bundle.open(given.bundle)
    given.out.mkdir(parents=True, exist_ok=True)
    read = {name: rows_of(data / f"{name}.jsonl") for name in ("train", "val", "test2016")}
    lists = {
        "train": read["train"][: given.pairs],
        "val": read["val"][: given.held],
        "test2016": read["test2016"][: given.held],
    }
    words = [word for row in read["train"] for word in row["target"].split()]
    for number, (name, rows) in enumerate(lists.items()):
        pairs = list(_pairs(rows, words, random.Random(f"{given.seed} {number}")))
        _write(given.out / f"pairs-{name}.jsonl", pairs)
        _write(given.out / f"{name}.jsonl", rows)
    kept = _Kept(given.out / "parts.json", identity={
        "parent": parent.digest, "pairs": given.pairs, "held": given.held, "seed": given.seed,
        "learning_rate": given.learning_rate, "epochs": given.epochs,
    })  # fmt: skip
    measured = _Measured(given, parent, kept, until)
    for way in WAYS[: given.ways]:
        measured.tried(way)
    _result(given, parent, measured)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="translates English to German")
    parser.add_argument("--out", type=Path, default=Path("runs/dpo"))
    parser.add_argument("--pairs", type=int, default=29_000, help="to learn from, at most")
    parser.add_argument("--held", type=int, default=1_014, help="rows of val, and of test2016, at most")
    parser.add_argument("--ways", type=int, default=len(WAYS), help="how many of the losses are tried")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no part after these")
    parser.add_argument("--result", type=Path, default=HERE / "dpo.json")
    return parser.parse_args()


def _pairs(rows: list[Row], words: list[str], draws: random.Random) -> Iterator[Row]:
    """A corrupted copy beside each reference: one change for every six words of it, one at least."""
    for row in rows:
        before = row["target"].split()
        after = before
        while after == before:
            after = list(before)
            for _ in range(1 + len(before) // 6):
                after = draws.choice(CHANGES)(after, words, draws)
        yield {"source": row["source"], "chosen": row["target"], "rejected": " ".join(after)}


def _dropped(words: list[str], _: list[str], draws: random.Random) -> list[str]:
    at = draws.randrange(len(words))
    return words if len(words) == 1 else words[:at] + words[at + 1 :]


def _swapped(words: list[str], _: list[str], draws: random.Random) -> list[str]:
    one, other = draws.randrange(len(words)), draws.randrange(len(words))
    words = list(words)
    words[one], words[other] = words[other], words[one]
    return words


def _repeated(words: list[str], _: list[str], draws: random.Random) -> list[str]:
    at = draws.randrange(len(words))
    return words[: at + 1] + words[at:]


def _replaced(words: list[str], others: list[str], draws: random.Random) -> list[str]:
    at = draws.randrange(len(words))
    return [*words[:at], draws.choice(others), *words[at + 1 :]]


CHANGES: list[Callable[[list[str], list[str], random.Random], list[str]]] = [_dropped, _swapped, _repeated, _replaced]


def _write(file: Path, rows: list[Row]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


class _Kept:
    """What was measured already, by name, of this very experiment."""

    def __init__(self, file: Path, *, identity: dict[str, Any]) -> None:
        self._file = file
        before = json.loads(file.read_text()) if file.is_file() else {}
        self._all = before if before.get("identity") == identity else {"identity": identity}

    @property
    def digest(self) -> str:
        """Of the experiment: bundles of another one are none of this."""
        return digest_value(self._all["identity"])

    def of(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._all:
            self._all[name] = make()
            self._file.write_text(json.dumps(self._all, indent=1, ensure_ascii=False))
        return self._all[name]


class _Measured:
    """Bundles on pairs and on rows; whatever was measured before is read."""

    def __init__(self, given: argparse.Namespace, parent: Bundle, kept: _Kept, until: float) -> None:
        self._given, self._parent, self._kept, self._until = given, parent, kept, until
        assert parent.manifest.task is not None
        self._task = {"name": parent.manifest.task.name, **parent.manifest.task.settings}

    def tried(self, way: dict[str, Any]) -> Path:
        """The bundle that ``way`` makes of the parent."""
        folder: Path = self._given.out / f"{_name(way)}-{self._kept.digest[:8]}"
        if not (folder / "bundle" / "hone.json").is_file():
            stage = {
                "kind": "prefer", **way, "num_train_epochs": self._given.epochs, "save_steps": 50,
                "learning_rate": self._given.learning_rate, "per_device_train_batch_size": 32,
            }  # fmt: skip
            files = {"pairs": "train", "validation_pairs": "val"}
            self._run(stage, {name: f"pairs-{file}.jsonl" for name, file in files.items()}, folder, self._parent)
        return folder / "bundle"

    def pairs(self, bundle: Path, file: str) -> dict[str, Any]:
        """Measures of a bundle on the pairs of a file; of another than the parent beside it."""
        beside = {} if bundle == self._given.bundle else {"reference": str(self._given.bundle.absolute())}
        stage = {"kind": "evaluate", **beside}
        return self._measures(stage, bundle, f"pairs-{file}.jsonl")

    def texts(self, bundle: Path, file: str) -> dict[str, Any]:
        """BLEU and the other measures of a bundle's translations of a file."""
        return self._measures({"kind": "evaluate"}, bundle, f"{file}.jsonl")

    def _measures(self, stage: dict[str, Any], bundle: Path, file: str) -> dict[str, Any]:
        opened = Bundle.open(bundle)

        def measure() -> dict[str, Any]:
            report = self._run(stage, {"test": file}, self._given.out / "evaluate", opened)
            found: dict[str, Any] = {m.name: [m.value, m.low, m.high, m.n] for m in report.measures}
            if "signatures" in report.tables:
                found["signatures"] = report.tables["signatures"].rows
            return found

        found: dict[str, Any] = self._kept.of(f"{opened.digest} {file}", measure)
        return found

    def _run(self, stage: dict[str, Any], data: dict[str, str], out: Path, bundle: Bundle) -> Report:
        if time.monotonic() > self._until:
            sys.exit("the minutes are over; the same command goes on from here")
        values = {"version": 1, "task": self._task, "seed": self._given.seed, "device": "cpu", "data": data}
        recipe = make_recipe({**values, "stages": [stage]}, folder=self._given.out.absolute())
        result = run_stages(recipe, out=out, progress=Lines(), bundle=bundle)
        return result.reports[stage["kind"]]


def _name(way: dict[str, Any]) -> str:
    loss = way["loss"]
    return "-".join([loss["name"], *(f"{k}={v}" for k, v in loss.items() if k != "name"), f"sft={way['sft_weight']}"])


def _result(given: argparse.Namespace, parent: Bundle, measured: _Measured) -> None:
    before = measured.texts(given.bundle, "val")
    tried = []
    for way in WAYS[: given.ways]:
        bundle = measured.tried(way)
        tried.append({"way": way, "pairs": measured.pairs(bundle, "val"), "texts": measured.texts(bundle, "val")})
    kept = [one for one in tried if one["texts"]["bleu"][0] >= before["bleu"][0] - WORST_BLEU]
    best = max(kept or tried, key=lambda one: one["pairs"]["preference_accuracy"][0])
    bundle = measured.tried(best["way"])
    result = {
        "question": "Does a translator learn to prefer references to corrupted ones, and does it still translate?",
        "machine": machine(),
        "settings": {
            name: getattr(given, name) for name in ("pairs", "held", "epochs", "learning_rate", "seed")
        },
        "parent": {"digest": parent.digest, "val": before},
        "tried_on_val": tried,
        "chosen": best["way"],
        "keeps_bleu": bool(kept),
        "held_out_pairs": {
            "before": measured.pairs(given.bundle, "test2016"),
            "after": measured.pairs(bundle, "test2016"),
        },
        "test2016": {"before": measured.texts(given.bundle, "test2016"), "after": measured.texts(bundle, "test2016")},
    }  # fmt: skip
    given.result.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("chosen", "keeps_bleu", "held_out_pairs", "test2016")}, indent=1))


if __name__ == "__main__":
    main()
