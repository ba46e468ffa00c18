"""The best of several texts by what another bundle says of them: in Python, on the command line, in evaluate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hone.bundle.manifest import Lineage
from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import Predictor, load
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

Command = Callable[..., tuple[object, str, str]]
DRAWN = {"max_new_tokens": 6, "do_sample": True, "seed": 3}
ASKED = [{"source": "my card"}, {"source": "the screen"}]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that writes anything."""
    folder = tmp_path_factory.mktemp("best-of")
    base = write_tiny_writer(folder / "base")
    settings, _ = check_settings(SETTINGS["translation"], {"decoding": DRAWN})
    assert settings is not None
    task = make_task("translation", settings, labels=(), folder=base)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    return write_model(folder / "bundle", build_model(base, task.head), task, lineage=lineage).path


@pytest.fixture
def best(writer: Path, text_bundle: Path) -> Predictor:
    return load(writer).best_of(4, load(text_bundle), label="refund")


def test_the_first_is_the_one_that_the_other_bundle_finds_best(best: Predictor, text_bundle: Path) -> None:
    classifier = load(text_bundle)
    for answer in best.predict(ASKED):
        rewards = [one["reward"] for one in answer["texts"]]
        assert len(rewards) == 4
        assert rewards == sorted(rewards, reverse=True)
        assert rewards[0] > rewards[-1]
        assert (answer["text"], answer["reward"]) == (answer["texts"][0]["text"], rewards[0])
        told = classifier.predict([one["text"] for one in answer["texts"]])
        assert [one["scores"]["refund"] for one in told] == pytest.approx(rewards, abs=1e-5)


def test_they_are_the_texts_that_are_drawn_anyway(best: Predictor, writer: Path) -> None:
    drawn = load(writer).decoding(num_return_sequences=4).predict(ASKED)
    for one, other in zip(best.predict(ASKED), drawn, strict=True):
        assert sorted(text["text"] for text in one["texts"]) == sorted(text["text"] for text in other["texts"])
        assert "reward" not in other["texts"][0]


def test_the_command_answers_the_same(best: Predictor, writer: Path, text_bundle: Path, tmp_path: Path,
                                      command: Command) -> None:  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ASKED))
    asked = ["--best-of", 4, "--reward", text_bundle, "--label", "refund"]
    code, out, err = command("predict", writer, file, *asked)
    assert code == 0, err
    assert [json.loads(line)["texts"] for line in out.splitlines()] == [one["texts"] for one in best.predict(ASKED)]


def test_evaluate_measures_the_best(best: Predictor, writer: Path, text_bundle: Path, tmp_path: Path,
                                    command: Command) -> None:  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({**row, "target": "the bank"}) + "\n" for row in ASKED))
    asked = ["best_of=4", f"reward={text_bundle}", "label=refund"]
    code, out, err = command("evaluate", writer, file, *asked, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["facts"]["best_of"] == 4
    lines = next((tmp_path / "out").rglob("predictions.jsonl")).read_text().splitlines()
    assert [json.loads(line)["prediction"]["text"] for line in lines] == [one["text"] for one in best.predict(ASKED)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--best-of", 4], "without --reward"),
        (["--best-of", 4, "--reward", "{text}"], "no label whose probability"),
        (["--best-of", 4, "--reward", "{text}", "--label", "refunds"], "Did you mean 'refund'?"),
        (["--best-of", 4, "--reward", "{tags}", "--label", "PER"], "a reward from token-classification"),
        (["--best-of", 4, "--reward", "{text}", "--label", "refund", "--decoding", "do_sample=false"], "do_sample"),
    ],
)
def test_what_gives_no_reward_is_told(
    asked: list[Any], said: str, writer: Path, text_bundle: Path, tag_bundle: Path, tmp_path: Path, command: Command
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ASKED[0]) + "\n")
    paths = {"{text}": text_bundle, "{tags}": tag_bundle}
    code, _, err = command("predict", writer, file, *(paths.get(one, one) for one in asked))
    assert code == 2
    assert said in err


def test_a_bundle_that_reads_has_no_best_text(text_bundle: Path) -> None:
    with pytest.raises(RecipeError, match="writes no text"):
        load(text_bundle).best_of(2, load(text_bundle), label="refund")


def test_all_that_keeps_evaluate_from_the_best_is_told_before_anything_runs(
    writer: Path, text_bundle: Path, tmp_path: Path, command: Command
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({**ASKED[0], "target": "the bank"}) + "\n")
    asked = ["best_of=4", f"reward={text_bundle}", "label=refunds", "--decoding", "do_sample=false"]
    code, _, err = command("evaluate", writer, file, *asked)
    assert code == 2
    assert "2 faults" in err
    assert "Did you mean 'refund'?" in err
    assert "num_return_sequences" in err


@pytest.mark.parametrize(
    ("asked", "said"), [(["best_of=4"], "best_of and reward together"), (["label=refund"], "reward beside label")]
)
def test_evaluate_wants_all_of_it(asked: list[str], said: str, writer: Path, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({**ASKED[0], "target": "the bank"}) + "\n")
    code, _, err = command("evaluate", writer, file, *asked)
    assert code == 2
    assert said in err
