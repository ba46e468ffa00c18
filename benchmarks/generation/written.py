"""How well do recipes write that begin from nothing? One recipe, trained once a seed; how it writes is chosen on
validation, and the test split is read once.

python benchmarks/generation/written.py multi30k --seeds 1 --out runs/written
HONE_DATA names the folder of the datasets. The result goes to benchmarks/generation/NAME.json: the curve of validation
over minutes of training, what each way of decoding has on validation, the chosen one's measures on test with intervals,
and for summaries what needs no model: the first sentences, or words, of the source, as many as are best on validation,
and all of it. A seed that stands there already, of this very recipe, is not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from rows import rows_of  # noqa: E402
from seeds import Run, arguments, each_seed, recipe_of, reports_of  # noqa: E402

import hone  # noqa: E402
from hone.bundle.bundle import Bundle  # noqa: E402
from hone.core.progress import Silent  # noqa: E402
from hone.data.dataset import Dataset  # noqa: E402
from hone.metrics.intervals import with_intervals  # noqa: E402
from hone.pipeline.run import read_data  # noqa: E402
from hone.predict.predictor import Predictor  # noqa: E402
from hone.text.units import split_sentences  # noqa: E402

WAYS: list[dict[str, Any]] = [
    {"num_beams": 1},
    *({"num_beams": 5, "length_penalty": power} for power in (0.6, 1.0, 1.4)),
]
SENTENCES, WORDS = range(1, 6), range(5, 61, 5)  # how many are tried
Measured = dict[str, list[Any]]  # name -> value, low, high, n


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    arguments(parser, seeds=[1], out="runs/written")
    each_seed(parser.parse_args(), measured, here=HERE)


def measured(values: Mapping[str, Any], seed: int, out: Path) -> Run:
    """One run of the recipe; one that was stopped goes on."""
    recipe = recipe_of(values, seed=seed)
    facts = reports_of(values, seed, out)["finetune"]["facts"]
    bundle = Bundle.open(out / "bundle")
    _, splits = read_data(recipe, Silent())
    predictor = hone.load(out / "bundle", device=recipe.device)
    main_measure = predictor.task.main_measure
    tried = [(way, written(predictor, splits["validation"], way)) for way in WAYS]
    best, _ = max(tried, key=lambda one: one[1]["measures"][main_measure][0])
    return {
        "seed": seed,
        "bundle": bundle.digest,
        "train_seconds": facts["seconds"],
        "curve": curve(out),
        "validation": [{**way, **found} for way, found in tried],
        "chosen": best,
        "test": written(predictor, splits["test"], best),
        **({} if predictor.task.name != "summarization" else {"without_model": without_model(predictor, splits)}),
    }


def written(predictor: Predictor, data: Dataset, way: Mapping[str, Any]) -> dict[str, Any]:
    """What a way of decoding has on ``data``, and how many texts it writes a second."""
    other = predictor.decoding(**way)
    columns = data.slice(0, len(data))
    began = time.perf_counter()
    said = other.predict_columns({field.name: columns[field.name] for field in other.task.inputs})
    seconds = time.perf_counter() - began
    tables = other.task.scored(said, columns).tables
    return {
        "measures": scores(other, data, said),
        **{name: tables[name].rows for name in ("endings", "variety", "signatures") if name in tables},
        "texts_per_second": round(len(said) / seconds, 1),
    }


def scores(predictor: Predictor, data: Dataset, said: list[dict[str, Any]]) -> Measured:
    """Every measure of written texts, with its interval; those that tell how likely the given ones are stand in the
    curve."""
    task = predictor.task
    tally = task.tally(said, data.slice(0, len(data)))
    found = with_intervals(tally, task.measures, specs=task.measure_specs, additive=task.additive)
    return {m.name: [m.value, m.low, m.high, m.n] for m in found if m.value is not None}


def curve(out: Path) -> list[dict[str, float]]:
    """Validation over training: minutes, and what was measured."""
    lines = rows_of(next((out / "stages").glob("*finetune/log.jsonl")))
    return [
        {
            "minutes": round(line["seconds"] / 60, 2),
            **{key: round(value, 3) for key, value in line.items() if key.startswith("validation_")},
        }
        for line in lines
        if any(key.startswith("validation_") for key in line)
    ]


def without_model(predictor: Predictor, splits: Mapping[str, Dataset]) -> dict[str, Any]:
    """What the first sentences, or words (of Chinese characters), of each source have on test, and the whole source."""

    def said(data: Dataset, shorten: Callable[[str], str]) -> Measured:
        sources = data.slice(0, len(data))["source"]
        return scores(predictor, data, [{"text": shorten(source), "truncated": False} for source in sources])

    def sentences(source: str, count: int) -> str:
        return " ".join(split_sentences(source)[:count])

    def words(source: str, count: int) -> str:
        han = predictor.task.settings.units == "characters"
        return source[:count] if han else " ".join(source.split()[:count])

    found: dict[str, Any] = {"whole_source": said(splits["test"], lambda source: source)}
    main_measure = predictor.task.main_measure
    for name, cut, counts in (("sentences", sentences, SENTENCES), ("words", words, WORDS)):
        on_validation = {n: said(splits["validation"], partial(cut, count=n))[main_measure][0] for n in counts}
        best = max(counts, key=on_validation.__getitem__)
        found[f"first_{name}"] = {"count": best, "measures": said(splits["test"], partial(cut, count=best))}
    return found


if __name__ == "__main__":
    main()
