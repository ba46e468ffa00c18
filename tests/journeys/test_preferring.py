"""Learning from pairs of texts of which one is better: the command, the bundle that comes of it, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hone
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
from hone.train.checkpoint import save_checkpoint

Command = Callable[..., tuple[object, str, str]]
WORDS = ["card", "phone", "screen", "money", "bank", "email", "order", "day"]
QUICK = ["learning_rate=3e-3", "num_train_epochs=4", "per_device_train_batch_size=4", "save_steps=null"]


def pairs(name: str = "source") -> list[dict[str, Any]]:
    """24 rows whose better text ends in "good", the worse in "bad"."""
    return [
        {name: f"{a} {b}", "chosen": f"{a} good", "rejected": f"{b} bad"} for a in WORDS for b in WORDS[:4] if a != b
    ][:24]


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles that write anything."""
    found = {}
    for task, kind in (("translation", "bart"), ("text-generation", "gpt2")):
        folder = tmp_path_factory.mktemp(kind)
        base = write_tiny_writer(folder / "base", kind=kind)  # type: ignore[arg-type]
        settings, _ = check_settings(SETTINGS[task], {"decoding": {"max_new_tokens": 8}})
        assert settings is not None
        made = make_task(task, settings, labels=(), folder=base)
        lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
        found[task] = write_model(folder / "bundle", build_model(base, made.head), made, lineage=lineage).path
    return found


def told(out: str) -> dict[str, Any]:
    return {measure["name"]: measure["value"] for measure in json.loads(out)["measures"]}


@pytest.mark.parametrize("task", ["translation", "text-generation"])
def test_a_bundle_learns_which_text_is_better(
    task: str, writers: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    parent = Bundle.open(writers[task])
    name = "source" if task == "translation" else "prompt"
    data = write(tmp_path / "pairs.jsonl", pairs(name))
    code, out, err = command(
        "prefer", parent.path, data, "--validation", data, "--out", tmp_path / "b", "--json", *QUICK
    )
    assert code == 0, err
    found = told(out)
    assert found["preference_accuracy"] > 0.9
    assert found["preference_margin"] > 1
    words = {*found, *json.loads(out)["facts"], *json.loads(out)["tables"]}
    assert [word for word in words if word not in CATALOGS["zh"]] == []
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest.task == parent.manifest.task
    assert bundle.manifest.lineage.parents == (parent.digest,)
    assert [one.role for one in bundle.manifest.lineage.data] == ["pairs", "validation_pairs"]
    assert "text" in load(bundle.path).predict([{name: "card phone"}])[0]
    code, out, err = command("evaluate", bundle.path, data, f"reference={parent.path}", "--json")
    assert code == 0, err
    assert told(out) == pytest.approx(found)
    code, out, err = command("compare", parent.path, bundle.path, data, f"reference={parent.path}", "--json")
    assert code == 0, err
    compared = {row[0]: row[2] for row in json.loads(out)["tables"]["compared"]["rows"]}
    assert compared == pytest.approx(found)


def test_pairs_are_measured_without_a_reference_too(writers: dict[str, Path], tmp_path: Path, command: Command) -> None:
    data = write(tmp_path / "pairs.jsonl", pairs("prompt"))  # what every task calls what is read
    code, out, err = command("evaluate", writers["translation"], data, "--out", tmp_path / "e", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert [one["name"] for one in found["measures"]] == ["likelihood_accuracy", "perplexity"]
    rows = [json.loads(line) for line in next(tmp_path.rglob("predictions.jsonl")).read_text().splitlines()]
    likelier = [
        row["prediction"]["chosen_log_probability"] > row["prediction"]["rejected_log_probability"] for row in rows
    ]
    assert found["measures"][0]["value"] == pytest.approx(sum(likelier) / len(rows))
    assert [row["prediction"]["preferred"] == "chosen" for row in rows] == likelier


def test_pairs_follow_finetuning_in_one_recipe_and_some_are_kept_back(tmp_path: Path) -> None:
    rows = [{"source": row["source"], "target": row["chosen"]} for row in pairs()]
    data = {"train": rows, "validation": rows, "pairs": pairs(), "test": rows}
    training = {"max_steps": 2, "per_device_train_batch_size": 8, "save_steps": None}
    small = {"layers": 1, "hidden": 32, "heads": 2, "inner": 32, "max_length": 48, "dropout": 0.0}
    result = hone.run(
        {
            "version": 1,
            "task": {"name": "translation", "decoding": {"max_new_tokens": 4}},
            "base": {"architecture": "bart", **small},
            "data": {name: str(write(tmp_path / f"{name}.jsonl", made)) for name, made in data.items()},
            "stages": [
                {"kind": "finetune", **training},
                {"kind": "prefer", "loss": "unlikelihood", **training},
                {"kind": "evaluate"},
                {"kind": "evaluate", "on": "validation_pairs"},
            ],
        },
        out=tmp_path / "run",
    )
    assert list(result.reports) == ["inspect", "finetune", "prefer", "evaluate", "evaluate-2"]
    assert result.reports["prefer"].facts["rows"] == 22
    assert {one.n for one in result.reports["prefer"].measures} == {2}
    assert [one.name for one in result.reports["evaluate-2"].measures][0] == "preference_accuracy"
    assert [one.value for one in result.reports["evaluate-2"].measures] == pytest.approx(
        [one.value for one in result.reports["prefer"].measures]
    )
    assert result.bundle is not None
    assert result.reports["finetune"].bundle == result.bundle.manifest.lineage.parents[0]


def test_an_adapter_learns_it_and_merges(writers: dict[str, Path], tmp_path: Path, command: Command) -> None:
    data = write(tmp_path / "pairs.jsonl", pairs())
    given = [writers["translation"], data, "--validation", "none", "--out", tmp_path / "lora", "method=lora"]
    code, _, err = command("prefer", *given, "method.r=4", "loss=ipo", "loss.tau=0.5", "sft_weight=0.1", "max_steps=3")
    assert code == 0, err
    code, _, err = command("merge", tmp_path / "lora", "--out", tmp_path / "merged")
    assert code == 0, err
    asked = [{"source": "card phone"}]
    assert load(tmp_path / "lora").predict(asked)[0]["text"] == load(tmp_path / "merged").predict(asked)[0]["text"]


def test_a_run_that_was_stopped_goes_on_to_the_same_bundle(
    writers: dict[str, Path], tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(tmp_path / "pairs.jsonl", pairs())
    given = ["prefer", writers["translation"], data, "--validation", "none", *QUICK[:3], "max_steps=8", "save_steps=5"]
    assert command(*given, "--out", tmp_path / "whole")[0] == 0

    def save_and_stop(*arguments: Any, **more: Any) -> None:
        save_checkpoint(*arguments, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hone.train.holding.save_checkpoint", save_and_stop)
        assert command(*given, "--out", tmp_path / "half")[0] == 130
    code, _, err = command(*given, "--out", tmp_path / "half")
    assert code == 0
    assert "resuming at step 5" in err
    assert Bundle.open(tmp_path / "half").digest == Bundle.open(tmp_path / "whole").digest


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"source": "card", "chosen": "good"}, "rejected"),
    ({"source": "card", "rejected": "bad"}, "chosen"),
    ({"source": "card", "chosen": "the same", "rejected": "the same"}, "rejected"),
    ({"source": "card", "chosen": " ", "rejected": "bad"}, "chosen"),
    ({"source": "card", "chosen": "good", "rejected": "bad " * 90}, "rejected"),
    ({"source": "card", "chosen": "good " * 90, "rejected": "bad"}, "chosen"),
]


@pytest.mark.parametrize(("row", "field"), BROKEN)
def test_a_pair_that_cannot_be_used_names_file_line_and_field(
    row: dict[str, Any], field: str, writers: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    data = write(tmp_path / "pairs.jsonl", [*pairs()[:3], row])
    code, _, err = command("prefer", writers["translation"], data, "--validation", "none", "--out", tmp_path / "b")
    assert code == 2
    assert f"pairs.jsonl:4: {field}" in err


def test_a_bundle_that_does_not_write_is_refused(text_bundle: Path, tmp_path: Path, command: Command) -> None:
    code, _, err = command("prefer", text_bundle, write(tmp_path / "p.jsonl", pairs()), "--out", tmp_path / "b")
    assert code == 2
    assert "text-classification writes no text" in err


def test_a_folder_without_weights_is_refused(tiny_base: Path, tmp_path: Path, command: Command) -> None:
    data = write(tmp_path / "p.jsonl", pairs())
    for folder in (tiny_base, tmp_path / "nothing"):
        code, _, err = command("prefer", folder, data, "--out", tmp_path / "b")
        assert code == 2
        assert str(folder) in err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loss=dop", "Did you mean 'dpo'?"),
        ("loss.tau=1", "unknown key 'tau'"),
        ("loss.label_smoothing=0.6", "less than 0.5"),
        ("class_weights=balanced", "this stage does not read"),
        ("metric_for_best_model=bleu", "which pairs do not have"),
        ("method=head", "nothing would learn"),
    ],
)
def test_settings_that_cannot_be_had_are_named(
    setting: str, said: str, writers: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    data = write(tmp_path / "p.jsonl", pairs())
    code, _, err = command("prefer", writers["translation"], data, "--out", tmp_path / "b", setting)
    assert code == 2
    assert said in err


def test_a_reference_is_of_pairs_and_of_the_same_task(
    writers: dict[str, Path], text_bundle: Path, tmp_path: Path, command: Command
) -> None:
    writer = writers["translation"]
    rows = write(tmp_path / "rows.jsonl", [{"source": "card", "target": "good"}])
    both = write(tmp_path / "pairs.jsonl", pairs())
    for data, reference, said in ((rows, writer, "has no pairs of texts"), (both, text_bundle, "does text-classif")):
        code, _, err = command("evaluate", writer, data, f"reference={reference}")
        assert code == 2
        assert said in err


def test_a_recipe_without_pairs_is_told_so(tmp_path: Path) -> None:
    rows = [{"source": row["source"], "target": row["chosen"]} for row in pairs()]
    values = {
        "version": 1,
        "task": "translation",
        "base": {"architecture": "bart", "layers": 1, "hidden": 32},
        "data": {"train": str(write(tmp_path / "t.jsonl", rows))},
        "stages": ["finetune", "prefer"],
    }
    with pytest.raises(hone.RecipeError, match="data.pairs: found no data named 'pairs'"):
        hone.run(values, out=tmp_path / "run")
