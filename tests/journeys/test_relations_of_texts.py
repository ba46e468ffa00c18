"""From texts alone to how their entities relate, by two bundles and one command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import hone

NAMES = ("Ada", "Bob", "Eve", "Max", "Zoe", "Tim", "Kim", "Lea")
Command = Callable[..., tuple[object, str, str]]


@pytest.fixture(scope="module")
def relating(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learned that a person is in the place of the sentence, and that a place is in nobody."""
    folder = tmp_path_factory.mktemp("relating")
    rows = []
    for name in NAMES:
        for place in ("paris", "rome"):
            text = f"{name} is in {place} ."
            person, town = ({"start": text.index(word), "end": text.index(word) + len(word)} for word in (name, place))
            rows.append({"text": text, "head": person, "tail": town, "label": "in"})
            rows.append({"text": text, "head": town, "tail": person, "label": "Other"})
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"kind": "finetune", "num_train_epochs": 15, "learning_rate": 5e-3, "save_steps": None, "dropout": 0.0,
             "per_device_train_batch_size": 8}  # fmt: skip
    values = {"version": 1, "task": "relation-extraction", "base": str(tiny_base), "stages": [stage],
              "data": {"train": str(folder / "train.jsonl"), "validation": "none"}}  # fmt: skip
    bundle = hone.run(values, out=folder / "run").bundle
    assert bundle is not None
    return bundle.path


def test_the_command_tells_who_is_where(command: Command, relating: Path, tag_bundle: Path, tmp_path: Path) -> None:
    texts = ["Ada is in paris .", "  Bob is in rome .", "please help"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    code, out, said = command("predict", relating, tmp_path / "in.jsonl", "--column", "text=body", "--entities",
                              tag_bundle, "--without", "Other")  # fmt: skip
    assert code == 0, said
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers == hone.load_relations(relating, entities=tag_bundle, without="Other").predict(texts)
    for text, answer, place in zip(texts, answers, ("paris", "rome"), strict=False):
        [one] = [one for one in answer["relations"] if answer["entities"][one["tail"]]["text"] == place]
        assert one["label"] == "in"
        for entity in answer["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]
    assert answers[2]["relations"] == []


def test_what_the_command_cannot_do_is_told_and_ends_with_2(
    command: Command, relating: Path, tag_bundle: Path, text_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("Ada is in paris .\n")
    for bundle, more, told in (
        (relating, ["--entities", relating], "finds no entities"),
        (tag_bundle, ["--entities", relating], "tells no relations"),
        (text_bundle, ["--entities", tag_bundle], "tells no relations"),
        (relating, ["--entities", tag_bundle, "--without", "Othr"], "Did you mean 'Other'?"),
        (relating, ["--entities", tag_bundle, "--most-pairs", "0"], "--most-pairs"),
        (tag_bundle, ["--most-pairs", "3", "--without", "Other"], "--most-pairs and --without without --entities"),
        (relating, ["--entities", tmp_path / "nowhere"], "nowhere"),
    ):
        code, out, said = command("predict", bundle, tmp_path / "in.txt", *more)
        assert (code, out) == (2, ""), said
        assert told in said
