"""How much of a teacher's accuracy do its students keep, and how many times as fast do they answer?

python benchmarks/engine/distill.py --seeds 1 2 3 --out runs/distill
HONE_DATA names the folder of the datasets. One teacher a seed (benchmarks/engine/distill.yaml), two students of it: 3
of its 6 layers, and token embeddings alone. Each reads test once. Speeds are ratios of runs alternated in one process:
whole answers from text (`hone bench`, at each system's best batch size), and the model alone on rows encoded before.
The result goes to benchmarks/engine/distill.json after each seed; a seed that stands there already, of this very
recipe, is not run again. `--rows 200` tries the script on so many rows and writes no result.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402
from rows import lines_of, rows_of  # noqa: E402

from hone.bench.bench import bench  # noqa: E402
from hone.bench.systems import Hone  # noqa: E402
from hone.bundle.bundle import Bundle  # noqa: E402
from hone.cli.console import Lines  # noqa: E402
from hone.pipeline.recipe import make_recipe  # noqa: E402
from hone.pipeline.run import Result, run_stages  # noqa: E402
from hone.pipeline.yaml_file import parse_yaml  # noqa: E402
from hone.predict.batching import score_rows  # noqa: E402
from hone.predict.predictor import Predictor, load  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402

STUDENTS: dict[str, dict[str, Any]] = {"three_layers": {}, "static": {"layers": 0, "learning_rate": 1e-3}}
TIMED, REPEATS = 1000, 7
Values = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/distill"))
    parser.add_argument("--rows", type=int, help="try the script on so many rows; nothing is written")
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    values, _ = parse_yaml((HERE / "distill.yaml").read_text(), file="distill.yaml")
    data = Path(os.environ["HONE_DATA"])
    if given.rows:
        with tempfile.TemporaryDirectory() as folder:
            few = _few(values, given.rows, data=data, folder=Path(folder))
            print(json.dumps(measured(few, 1, data=Path(folder), out=Path(folder) / "run"), indent=1))
        return
    file = HERE / "distill.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    asked = {"recipe": values, "students": STUDENTS}
    runs = before["runs"] if {key: before.get(key) for key in asked} == asked else []
    for seed in given.seeds:
        if any(run["seed"] == seed for run in runs):
            continue
        runs.append(measured(values, seed, data=data, out=given.out / str(seed)))
        print(json.dumps(runs[-1]), flush=True)
        record = {**asked, "runs": runs, "mean": _means(runs), "machine": machine()}
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def measured(values: Values, seed: int, *, data: Path, out: Path) -> dict[str, Any]:
    """A teacher and its students: accuracy as value, low, high and n; how many times the teacher's speed."""
    teacher = _run(_with(values, [values["stages"][0], "evaluate"]), seed, data=data, out=out / "teacher")
    assert teacher.bundle is not None
    record: dict[str, Any] = {"seed": seed, "teacher": _quality(teacher)}
    for name, changes in STUDENTS.items():
        stage = copy.deepcopy(values["stages"][1])
        stage["method"].update(changes)
        result = _run(_with(values, [stage, "evaluate"]), seed, data=data, out=out / name, bundle=teacher.bundle)
        quality, speed = _quality(result), _speed(result, teacher.bundle, data / values["data"]["train"])
        kept = quality["accuracy"][0] / record["teacher"]["accuracy"][0]
        taught = result.reports["compress"].facts["seconds"]
        record[name] = {**quality, "share_of_accuracy": kept, "train_seconds": taught, **speed}
    return record


def _run(values: Values, seed: int, *, data: Path, out: Path, bundle: Bundle | None = None) -> Result:
    recipe = make_recipe({**values, "seed": seed}, folder=data)
    return run_stages(recipe, out=out, progress=Lines(), bundle=bundle)


def _with(values: Values, stages: list[Any]) -> Values:
    return {**values, "stages": stages}


def _quality(result: Result) -> dict[str, Any]:
    assert result.bundle is not None
    found = next(m for m in result.reports["evaluate"].measures if m.name == "accuracy")
    return {"bundle": result.bundle.digest, "accuracy": [found.value, found.low, found.high, found.n]}


def _speed(student: Result, teacher: Bundle, file: Path) -> dict[str, Any]:
    """Times the teacher's: whole answers and single texts by `hone bench`, and the model alone."""
    assert student.bundle is not None
    texts = [row["text"] for row in rows_of(file)[:TIMED]]
    ours, theirs = (load(bundle.path, device="cpu") for bundle in (student.bundle, teacher))
    report = bench(ours, (Hone(ours, name="student"), Hone(theirs, name="teacher")), texts, repeats=REPEATS)
    whole = next(measure for measure in report.measures if measure.name == "times_as_fast")
    by_batch = {str(row[0]): row[1] / row[2] for row in report.tables["throughput_by_batch"].rows}
    singles = [row[report.tables["speed"].columns.index("p50_ms")] for row in report.tables["speed"].rows]
    return {
        "times_as_fast": [whole.value, whole.low, whole.high],
        "times_as_fast_by_batch": by_batch,
        "times_as_fast_alone": singles[1] / singles[0],
        "times_as_fast_model": _model_alone(ours, theirs, texts),
    }


def _model_alone(ours: Predictor, theirs: Predictor, texts: list[str]) -> list[float]:
    """Ratios of the seconds that two models take for rows encoded before: median, least, greatest."""
    rows = Rows(theirs.task.encode({"text": texts}, purpose="predict"))
    ratios = []
    for repeat in range(REPEATS + 1):
        seconds = {}
        for name, system in (("student", ours), ("teacher", theirs)):
            began = time.perf_counter()
            score_rows(system.task, system.engine, rows)
            seconds[name] = time.perf_counter() - began
        if repeat:  # the first is the warm-up
            ratios.append(seconds["teacher"] / seconds["student"])
    return [statistics.median(ratios), min(ratios), max(ratios)]


def _means(runs: list[dict[str, Any]]) -> dict[str, Any]:
    means: dict[str, Any] = {"teacher": {"accuracy": statistics.mean(run["teacher"]["accuracy"][0] for run in runs)}}
    for name in STUDENTS:
        means[name] = {
            "accuracy": statistics.mean(run[name]["accuracy"][0] for run in runs),
            "share_of_accuracy": statistics.mean(run[name]["share_of_accuracy"] for run in runs),
            "times_as_fast": statistics.mean(run[name]["times_as_fast"][0] for run in runs),
            "times_as_fast_model": statistics.mean(run[name]["times_as_fast_model"][0] for run in runs),
        }
    return means


def _few(values: Values, rows: int, *, data: Path, folder: Path) -> Values:
    """The recipe on ``rows`` rows of each file, evenly spread, one epoch of each training."""
    out, known = copy.deepcopy(values), set[str]()
    for name, path in values["data"].items():
        lines = lines_of(data / path)
        lines = lines[:: max(1, len(lines) // rows)][:rows]
        known |= {json.loads(line)["label"] for line in lines} if name == "train" else set()
        kept = [line for line in lines if json.loads(line)["label"] in known]
        (folder / f"{name}.jsonl").write_text("\n".join(kept) + "\n")
        out["data"][name] = f"{name}.jsonl"
    out["stages"][0]["num_train_epochs"] = 1
    out["stages"][1]["method"]["num_train_epochs"] = 1
    return out


if __name__ == "__main__":
    main()
