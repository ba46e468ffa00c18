"""Ways from a base, text without labels and few labeled rows to a task, each once a seed, beside fine-tuning alone.

A recipe NAME.yaml has the stages ``pretrain`` and ``finetune``, the latter with ``joint``. Of these a way takes what
its name says, in that order; its base is the recipe's, or what ``pretrain`` made of it where that comes first, once for
all seeds, and one from nothing is the same for all, its tokenizer too. The test rows are those of every seed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from paired import compared, shown  # noqa: E402
from rows import rows_of  # noqa: E402

from hone.cli.console import Lines  # noqa: E402
from hone.core.lineage import digest_value  # noqa: E402
from hone.core.progress import Silent  # noqa: E402
from hone.pipeline.base import find_base  # noqa: E402
from hone.pipeline.corpora import read_corpora  # noqa: E402
from hone.pipeline.recipe import make_recipe  # noqa: E402
from hone.pipeline.run import read_data, run_stages  # noqa: E402
from hone.pipeline.yaml_file import parse_yaml  # noqa: E402

Way = Literal["finetune", "pretrain, finetune", "joint", "pretrain, joint", "finetune, pretrain, finetune"]
FIRST = "pretrain, "  # the stage of a way that is done once for all seeds
Values = dict[str, Any]  # of a recipe
Prepare = Callable[[Path, int], Values]  # a folder to write into and a seed to what stands under ``data``
HELD_OUT = 0.05  # of the text, to measure pretraining by
PLAIN: Way = "finetune"  # what the others are compared with


def measure(
    name: str, prepare: Prepare, *, doc: str, ways: Sequence[Way], seeds: Sequence[int], says: Callable[[Path], Values]
) -> None:
    """The command: every way with every seed. After each, ``NAME.json`` has what was measured; what stands there of
    this very recipe is not measured again, and a training that Ctrl-C or SIGTERM ended goes on; one that was killed
    begins anew where its stage writes no checkpoints (``save_steps: null``), as short ones do not.

    Args:
        says: More that the file says, of the folder that was written into.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(seeds))
    parser.add_argument("--ways", nargs="+", choices=ways, default=list(ways))
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain"))
    parser.add_argument("--recipe", type=Path, default=HERE / f"{name}.yaml", help="of this or smaller sizes, to try")
    given = parser.parse_args()
    values, _ = parse_yaml(given.recipe.read_text(), file=given.recipe.name)
    file = given.recipe.with_suffix(".json")
    out = (
        given.out / f"{given.recipe.stem}-{digest_value(values)[:8]}"
    )  # another recipe finds nothing of this one there
    for seed in given.seeds:
        for way in dict.fromkeys([PLAIN, *given.ways]):
            if any((cell["way"], cell["seed"]) == (way, seed) for cell in record_in(file, values)["cells"]):
                continue
            data = prepare(out, seed)
            base, cost = started(values, data, out), {}
            if way.startswith(FIRST):
                base, cost["pretrained"] = pretrained(values, base, data, out)
            cell = answered(values, base, data, way=way, seed=seed, out=out)
            record = record_in(file, values) | cost  # another process may have added other seeds meanwhile
            record["cells"].append(cell)
            record |= {"table": table(record["cells"]), **says(out), "machine": machine()}
            file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(*(shown(row, name=row["way"]) for row in record_in(file, values)["table"]), sep="\n")


def record_in(file: Path, recipe: Values) -> Values:
    """What a file says of this very recipe."""
    before = json.loads(file.read_text()) if file.is_file() else {}
    return before if before.get("recipe") == recipe else {"recipe": recipe, "cells": []}


def started(values: Values, data: Values, out: Path) -> str:
    """The base of all ways: as the recipe names it, or the folder of the one that is made from nothing."""
    if isinstance(values["base"], str):
        return str(values["base"])
    recipe = recipe_of({**values, "data": data})
    recipe, splits = read_data(recipe, Silent())
    _, texts = read_corpora(recipe, recipe.stages, Silent())
    return str(find_base(recipe, {**splits, **texts}, Silent()).folder)


def pretrained(values: Values, base: str, data: Values, out: Path) -> tuple[str, Values]:
    """The base that ``pretrain`` made, once, and what its report says."""
    place, found = out / "pretrained", out / "pretrained" / "cost.json"
    if not found.is_file():
        stages = [stage for stage in values["stages"] if stage["kind"] == "pretrain"]
        recipe = {key: values[key] for key in ("version", "name")} | {"base": base, "stages": stages}
        recipe["data"] = {"corpus": data["corpus"], "validation_share": HELD_OUT}
        clear(place)
        with timed() as cost:
            result = run_stages(recipe_of(recipe), out=place, progress=Lines())
        report = result.reports["pretrain"]
        measured = {f"{m.slice} {m.name}": m.value for m in report.measures}
        found.write_text(json.dumps({**cost, "facts": report.facts, "measures": measured}))
    return str((place / "bundle").absolute()), json.loads(found.read_text())


def answered(values: Values, base: str, data: Values, *, way: Way, seed: int, out: Path) -> Values:
    """A training and its answers on test. Minutes are those of this process: of one that went on with an interrupted
    training they are what was left of it, and ``resumed_at_step``, of each training, says so; ``train_seconds`` are
    those of all, whole."""
    stages = stages_of(values, way)
    if any(stage["kind"] == "pretrain" or "joint" in stage for stage in stages):
        data = {**data, "held_out": "none"}  # it is learned from all of the text
    else:
        data = {key: value for key, value in data.items() if key != "corpus"}
    place = out / f"{way.replace(', ', '-')}-{seed}"
    recipe = {**values, "base": base, "seed": seed, "data": data, "stages": [*stages, {"kind": "evaluate"}]}
    clear(place)
    with timed() as cost:
        result = run_stages(recipe_of(recipe), out=place, progress=Lines())
    (file,) = (place / "stages").glob("*-evaluate/predictions.jsonl")
    answers = rows_of(file)
    trained = [report.facts for name, report in result.reports.items() if name.startswith(("finetune", "pretrain"))]
    cell = {
        "way": way,
        "seed": seed,
        **cost,
        "train_seconds": round(sum(facts["seconds"] for facts in trained), 1),
        "resumed_at_step": [facts["resumed_at_step"] for facts in trained],
        "measures": {m.name: m.value for m in result.reports["evaluate"].measures if not m.slice},
        "right": [int(answer["label"] == answer["prediction"]["label"]) for answer in answers],
    }
    print({key: value for key, value in cell.items() if key != "right"}, flush=True)
    return cell


def stages_of(values: Values, way: Way) -> list[Values]:
    """Those of a way that each seed goes through."""
    own = {stage["kind"]: stage for stage in values["stages"]}
    alone = {key: value for key, value in own["finetune"].items() if key != "joint"}
    named = {"pretrain": own["pretrain"], "finetune": alone, "joint": own["finetune"]}
    return [dict(named[name]) for name in way.removeprefix(FIRST).split(", ")]


def clear(place: Path) -> None:
    """Take away a bundle that was made before what was measured of it was written down."""
    shutil.rmtree(place / "bundle", ignore_errors=True)


def recipe_of(values: Values) -> Any:
    return make_recipe(values, folder=Path(os.environ["HONE_DATA"]))


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Fills in minutes of wall and of processor time at the end."""
    cost: dict[str, float] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    yield cost
    cost["minutes"] = round((time.perf_counter() - wall) / 60, 2)
    cost["cpu_minutes"] = round((time.process_time() - cpu) / 60, 2)


def table(cells: Sequence[Mapping[str, Any]]) -> list[Values]:
    """Of each way accuracy, and its gain over `PLAIN` with the paired interval over the rows of test."""
    of: dict[str, dict[int, list[int]]] = {}
    for cell in cells:
        of.setdefault(cell["way"], {})[cell["seed"]] = cell["right"]
    return [{"way": way, **compared(rights, of[PLAIN])} for way, rights in of.items()]


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows into ``file`` and give its place, as a recipe names it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(file.absolute())


def read_rows(path: str) -> list[Values]:
    """The rows of a file under ``HONE_DATA``."""
    return rows_of(Path(os.environ["HONE_DATA"]) / path)
