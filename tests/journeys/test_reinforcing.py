"""Learning from what another bundle finds texts worth: the reward rises, the bundle is one of the same task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.core.settings import check_settings
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.predictor import load
from hone.predict.write import write_model
from hone.report.catalog import CATALOGS
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that goes on with anything."""
    folder = tmp_path_factory.mktemp("reinforced")
    base = write_tiny_writer(folder / "base", kind="gpt2")
    settings, _ = check_settings(SETTINGS["text-generation"], {"decoding": {"max_new_tokens": 4}})
    assert settings is not None
    task = make_task("text-generation", settings, labels=(), folder=base)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    return write_model(folder / "bundle", build_model(base, task.head), task, lineage=lineage).path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    words = ["card", "phone", "screen", "money", "bank", "email", "order", "day"]
    file.write_text("".join(json.dumps({"prompt": f"my {word} is"}) + "\n" for word in words))
    return file


def test_the_reward_rises(writer: Path, text_bundle: Path, prompts: Path, tmp_path: Path, command: Command) -> None:
    given = ["reinforce", writer, prompts, "--reward", text_bundle, "--label", "refund", "--out", tmp_path / "b"]
    settings = ["learning_rate=1e-2", "max_steps=20", "num_train_epochs=20", "samples=8", "beta=0.01"]
    code, out, err = command(*given, "--json", *settings)
    assert code == 0, err
    told = {one["name"]: one["value"] for one in json.loads(out)["measures"]}
    assert told["reward"] > told["reward_before"] + 0.03  # of random words, which the other bundle finds alike
    assert told["log_ratio"] > 0
    words = [*told, "reinforce", *json.loads(out)["facts"]]
    assert [word for word in words if word not in CATALOGS["zh"]] == []
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.lineage.parents == (Bundle.open(writer).digest,)
    assert str(text_bundle) not in (bundle.path / "hone.json").read_text()
    assert "text" in load(bundle.path).predict("my card is")[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--label", "refunds"], "Did you mean 'refund'?"),
        (["--label", "refund", "samples=1"], "samples"),
        (["--label", "refund", "dropout=0.1"], "this stage does not read"),
        (["--label", "refund", "method=lora", "method.lora_dropout=0.1"], "method.lora_dropout"),
        (["--label", "refund", "metric_for_best_model=reward"], "this stage does not read"),
    ],
)
def test_what_cannot_be_had_is_told(
    given: list[Any], said: str, writer: Path, text_bundle: Path, prompts: Path, tmp_path: Path, command: Command
) -> None:
    code, _, err = command("reinforce", writer, prompts, "--reward", text_bundle, "--out", tmp_path / "b", *given)
    assert code == 2
    assert said in err


def test_rows_without_prompts_are_told(writer: Path, text_bundle: Path, tmp_path: Path, command: Command) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "a whole text"}\n')
    code, _, err = command("reinforce", writer, file, "--reward", text_bundle, "--label", "refund", "--out",
                           tmp_path / "b")  # fmt: skip
    assert code == 2
    assert "prompt" in err
