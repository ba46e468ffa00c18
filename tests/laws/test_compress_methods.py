"""Every entry of the table of compression methods: it runs, and what it wrote answers as what it made, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Run
from hone.compress.settings import METHODS, Method
from hone.compress.start import Made, Start
from hone.data.dataset import Dataset
from hone.predict.engine import engine_of
from hone.predict.predictor import Predictor, load, open_model
from hone.predict.write import write_model
from hone.report.catalog import CATALOGS

SMALL: dict[str, dict[str, Any]] = {
    "distill": {"layers": 1, "num_train_epochs": 1.0},
    "search": {"steps": [["vocabulary"], ["int8"]], "max_size_mb": 1e6, "timed_texts": 2},
}  # where the defaults ask for more
TEXTS = ["i want my money back", "reset the password please", "the screen is broken", "printer broken again now"]
CLASSES = {"text": TEXTS * 4, "label": ["refund", "password", "broken", "broken"] * 4}
TAGGED = {
    "tokens": [["Ada", "is", "in", "rome"], ["Bob", "not"]] * 6,
    "tags": [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"]] * 6,
}


def made(bundle: Path, method: Method, folder: Path, data: dict[str, list[Any]]) -> tuple[Bundle, Made, Run]:
    opened = Bundle.open(bundle)
    model, task = open_model(opened)
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    settings = method.settings.model_validate(SMALL.get(method.name, {}))
    start = Start(opened, model, task, {"train": Dataset.from_columns("train", data)}, run, on="train")
    return opened, method.run(settings, start), run


@pytest.mark.parametrize("kind", ["text", "tag"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_what_a_method_wrote_answers_as_what_it_made(
    name: str, kind: str, text_bundle: Path, tag_bundle: Path, tmp_path: Path
) -> None:
    bundle, data = (text_bundle, CLASSES) if kind == "text" else (tag_bundle, TAGGED)
    method = METHODS[name]
    assert method.name == name
    opened, found, run = made(bundle, method, tmp_path, data)
    inputs = data["text" if kind == "text" else "tokens"]
    before = Predictor(opened, found.task, engine_of(found.model, device="cpu")).predict(inputs)
    lineage = Lineage(parents=(opened.digest,), stage="compress", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    written = write_model(run.target, found.model, found.task, lineage=lineage)
    assert load(written.path, device="cpu").predict(inputs) == before
    assert written.manifest.lineage.parents == (opened.digest,)
    words = {*found.facts, *found.tables} | {column for grid in found.tables.values() for column in grid.columns}
    for language, catalog in CATALOGS.items():
        assert words <= set(catalog), language
    for table in found.tables:
        assert f"note.{table}" in CATALOGS["en"]
