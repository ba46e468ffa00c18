"""A bundle that writes is timed beside transformers' ways to write, which write the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from hone.bench.bench import bench
from hone.bench.examples import examples_of
from hone.bench.systems import Hone, systems_for
from hone.bench.writing import Generate, TextPipeline
from hone.bundle.manifest import Lineage
from hone.core.progress import Silent
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import Predictor, load
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

TEXTS = ["my card is lost", "please reset the password", "it is good", "where is my order , it is late again"]
SHORT = {"max_new_tokens": 6, "min_new_tokens": 2}


class Said(Silent):
    """What was said to the user."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random writers."""
    found = {}
    kinds: dict[str, Literal["gpt2", "bart"]] = {"text-generation": "gpt2", "dialogue": "gpt2", "translation": "bart"}
    for task, kind in kinds.items():
        folder = tmp_path_factory.mktemp(task)
        base = write_tiny_writer(folder / "base", kind=kind)
        settings = SETTINGS[task].model_validate({"decoding": SHORT})
        made = make_task(task, settings, labels=(), folder=base)
        lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
        found[task] = write_model(folder / "bundle", build_model(base, made.head), made, lineage=lineage).path
    return found


def opened(path: Path, **decoding: Any) -> Predictor:
    return load(path, device="cpu").decoding(**{**SHORT, **decoding})


@pytest.mark.parametrize("decoding", [{}, {"num_beams": 3}, {"repetition_penalty": 1.5}])
@pytest.mark.parametrize("task", ["text-generation", "translation"])
def test_generate_writes_what_hone_writes(task: str, decoding: dict[str, Any], bundles: dict[str, Path]) -> None:
    predictor = opened(bundles[task], **decoding)
    hone, generate, *pipeline = systems_for(predictor, progress=Silent(), texts=TEXTS)
    assert isinstance(generate, Generate)
    assert [type(one) for one in pipeline] == ([TextPipeline] if task == "text-generation" else [])
    ours, theirs = hone.answer(TEXTS, batch=4), generate.answer(TEXTS, batch=4)
    assert predictor.task.tokenizer.decode(theirs) == [one["text"] for one in ours]
    assert hone.written(ours) == generate.written(theirs) > 0


def test_the_pipeline_writes_for_texts_and_for_conversations(bundles: dict[str, Path]) -> None:
    talks = examples_of({"turns": [[{"role": "user", "text": text}] for text in TEXTS]})
    for task, given in (("text-generation", TEXTS), ("dialogue", talks)):
        *_, pipeline = systems_for(opened(bundles[task]), progress=Silent(), texts=given)
        assert isinstance(pipeline, TextPipeline)
        found = pipeline.answer(given, batch=2)
        assert len(found) == len(TEXTS)
        assert 2 * 4 <= pipeline.written(found) <= 6 * 4


def test_the_report_counts_the_tokens_that_are_written(bundles: dict[str, Path]) -> None:
    predictor = opened(bundles["text-generation"], min_new_tokens=6)  # none ends before
    report = bench(predictor, systems_for(predictor, progress=Silent(), texts=TEXTS), TEXTS, repeats=2)
    speed = [dict(zip(report.tables["speed"].columns, row, strict=True)) for row in report.tables["speed"].rows]
    assert [row["system"] for row in speed] == ["hone", "transformers generate", "transformers"]
    for row in speed[:2]:
        assert row["tokens_per_s"] == pytest.approx(6 * row["texts_per_s"])  # type: ignore[operator]
    assert [measure.slice for measure in report.measures] == ["", "transformers generate", "transformers"]


@pytest.mark.parametrize(
    ("decoding", "said"),
    [
        ({"bad_words": ["card"]}, "does not write by bad_words"),
        ({"max_new_tokens": 500}, "with decoding.max_new_tokens of 500 texts may have"),
    ],
)
def test_what_transformers_does_otherwise_is_said(
    decoding: dict[str, Any], said: str, bundles: dict[str, Path]
) -> None:
    told = Said()
    systems = systems_for(opened(bundles["text-generation"], **decoding), progress=told, texts=TEXTS)
    assert [type(system) for system in systems] == [Hone]
    assert said in told.words[0]


def test_the_command_times_a_bundle_that_writes(bundles: dict[str, Path], tmp_path: Path, command: Any) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"source": text}) + "\n" for text in TEXTS), encoding="utf-8")
    code, out, err = command("bench", bundles["translation"], file, "--repeats", "2", "--json")
    assert code == 0, err
    assert [row[0] for row in json.loads(out)["tables"]["speed"]["rows"]] == ["hone", "transformers generate"]
