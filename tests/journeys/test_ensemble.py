"""Two trainings become an ensemble, which is asked, judged, moved, damaged, and taught to one model."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.members import members_of
from hone.cli.main import main
from hone.core.errors import BundleError
from hone.serve.app import make_app

TEXTS = {"refund": ["i want my money back", "please refund my order"], "broken": ["it is broken", "broken again"]}
ENDS = ["", " now", " please", " thanks", " today"]
ASKED = ["money back", "broken", "please"]


def rows(kind: str) -> list[dict[str, Any]]:
    if kind == "multiple-choice":
        return [
            {"question": text + end, "choices": [label, "none of it", "both"], "label": 0}
            for label, texts in TEXTS.items() for text in texts for end in ENDS
        ]  # fmt: skip
    target = {"text-classification": lambda label: {"label": label}, "multi-label-classification": lambda label:
              {"labels": [label] if label == "refund" else ["refund", label]}}[kind]  # fmt: skip
    return [{"text": text + end, **target(label)} for label, texts in TEXTS.items() for text in texts for end in ENDS]


@dataclass(frozen=True)
class Made:
    """Folders of two members and their ensemble, and the rows of all."""

    members: tuple[Path, Path]
    ensemble: Path
    rows: Path


def made(kind: str, base: Path, folder: Path) -> Made:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(kind)), encoding="utf-8")
    for seed in (1, 2):
        stage = {"kind": "finetune", "max_steps": 12, "num_train_epochs": 50, "learning_rate": 5e-3,
                 "per_device_train_batch_size": 4, "save_steps": None, "eval_strategy": "no"}  # fmt: skip
        values = {"version": 1, "task": kind, "base": str(base), "seed": seed, "stages": [stage],
                  "data": {"train": str(file), "validation": str(file)}}  # fmt: skip
        hone.run(values, out=folder / f"seed-{seed}")
    members = (folder / "seed-1" / "bundle", folder / "seed-2" / "bundle")
    out = folder / "both"
    run("ensemble", *map(str, members), "--validation", str(file), "--out", str(out))
    return Made(members, out, file)


def run(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == code


def answers(bundle: Path, texts: list[str]) -> list[dict[str, Any]]:
    return hone.load(bundle, device="cpu").predict(texts)


@pytest.fixture(scope="module")
def both(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made("text-classification", tiny_base, tmp_path_factory.mktemp("ensemble"))


def test_its_chances_are_the_mean_of_its_members(both: Made) -> None:
    one, other, together = (answers(path, ASKED) for path in (*both.members, both.ensemble))
    for a, b, found in zip(one, other, together, strict=True):
        assert a["scores"] != b["scores"]
        mean = {label: (a["scores"][label] + b["scores"][label]) / 2 for label in a["scores"]}
        assert found["scores"] == pytest.approx(mean, abs=1e-6)
        assert found["label"] == max(mean, key=lambda label: mean[label])


def test_it_holds_no_weights_and_names_its_members(both: Made) -> None:
    manifest = Bundle.open(both.ensemble).manifest
    assert not any(name.endswith(".safetensors") for name in manifest.files)
    digests = [Bundle.open(path).digest for path in both.members]
    assert [one.digest for one in manifest.requires] == digests
    assert list(manifest.lineage.parents) == digests
    report = json.loads((both.ensemble.with_name("both.run") / "reports" / "00-ensemble.json").read_text())
    names = [f"seed-{i}/bundle ({digest[:12]})" for i, digest in enumerate(digests, start=1)]
    assert [row[0] for row in report["tables"]["members"]["rows"]] == [*names, "ensemble"]


def test_the_same_members_make_the_same_ensemble_wherever_they_lie(both: Made, tmp_path: Path) -> None:
    copies = [shutil.copytree(path, tmp_path / f"copy-{i}") for i, path in enumerate(both.members)]
    run("ensemble", *map(str, copies), "--validation", str(both.rows), "--out", str(tmp_path / "again"))
    assert Bundle.open(tmp_path / "again").digest == Bundle.open(both.ensemble).digest


def test_it_is_judged_verified_and_timed_as_any_bundle(both: Made, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", str(both.ensemble), str(both.rows), "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["bundle"] == Bundle.open(both.ensemble).digest
    run("bench", str(both.ensemble), str(both.rows), "--texts", "4", "--repeats", "2", "--json")
    speed = json.loads(capsys.readouterr().out)["tables"]["speed"]
    assert {row[0] for row in speed["rows"]} == {"hone"}
    run("verify", str(both.ensemble))
    assert capsys.readouterr().out.count("member ") == 2


def test_a_service_answers_by_it(both: Made) -> None:
    with TestClient(make_app(hone.load(both.ensemble))) as client:
        got = client.post("/predict", json={"inputs": ASKED}).json()
    assert got["bundle"] == Bundle.open(both.ensemble).digest
    assert [one["label"] for one in got["predictions"]] == [one["label"] for one in answers(both.ensemble, ASKED)]


def test_members_are_found_beside_it_after_a_move(both: Made, tmp_path: Path) -> None:
    moved = shutil.copytree(both.ensemble, tmp_path / "here" / "both")
    shutil.rmtree(moved / "attachments")
    for i, path in enumerate(both.members):
        shutil.copytree(path, tmp_path / "here" / f"member-{i}")
    assert [one.path.name for one in members_of(Bundle.open(moved))] == ["member-0", "member-1"]


@pytest.mark.parametrize("what", ["missing", "another", "damaged"])
def test_a_member_that_is_not_what_it_was_is_told(both: Made, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(both.ensemble.parent, folder)
    gone = folder / "seed-2" / "bundle"
    if what == "damaged":
        with (gone / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
    else:
        shutil.rmtree(gone)
        if what == "another":
            shutil.copytree(folder / "seed-1" / "bundle", gone)
    with pytest.raises(BundleError) as caught:
        hone.load(folder / "both", device="cpu")
    assert caught.value.code == ("bundle.damaged" if what == "damaged" else "bundle.member")
    assert str(gone) in str(caught.value)
    run("predict", str(folder / "both"), str(both.rows), code=2)


def test_bundles_that_are_the_same_or_do_something_else_are_no_members(
    both: Made, tag_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--validation", str(both.rows), "--out", str(tmp_path / "none"))
    members = [str(path) for path in (both.members[0], both.members[0], tag_bundle, both.ensemble)]
    run("ensemble", *members, *more, code=2)
    told = capsys.readouterr().err
    for part in ("members.1", "the same bundle", "members.2", "token-classification", "members.3", "requires"):
        assert part in told
    run("ensemble", members[0], *more, code=2)


def test_one_model_is_taught_what_it_says(both: Made, tmp_path: Path) -> None:
    student = tmp_path / "student"
    run("compress", str(both.ensemble), str(both.rows), "--validation", str(both.rows), "--method", "distill",
        "--out", str(student), "method.layers=2", "method.num_train_epochs=12", "method.learning_rate=3e-3",
        "method.own=0.0")  # fmt: skip
    opened = Bundle.open(student)
    assert opened.manifest.requires == ()
    assert opened.manifest.lineage.parents == (Bundle.open(both.ensemble).digest,)
    texts = [row["text"] for row in rows("text-classification")]
    taught, member, said = (
        hone.load(p, device="cpu").predict(texts) for p in (student, both.members[0], both.ensemble)
    )

    def apart(given: list[dict[str, Any]]) -> float:
        return sum(abs(a["scores"]["refund"] - b["scores"]["refund"]) for a, b in zip(given, said, strict=True))

    assert apart(taught) < apart(member), "it began as that member"


def test_there_is_nothing_to_merge_and_what_there_is_to_do_is_told(
    both: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("merge", str(both.ensemble), "--out", str(tmp_path / "x"), code=2)
    assert "--method distill" in capsys.readouterr().err


def test_methods_that_change_weights_are_refused(
    both: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("compress", str(both.ensemble), str(both.rows), "--method", "int8", "--out", str(tmp_path / "x"), code=2)
    said = " ".join(capsys.readouterr().err.split())
    assert "int8" in said
    assert "distill" in said, "what can be done with an ensemble is told"
    assert not (tmp_path / "x").exists()


def test_a_decision_is_fitted_on_what_the_members_say_together(tiny_base: Path, tmp_path: Path) -> None:
    several = made("multi-label-classification", tiny_base, tmp_path)
    opened = Bundle.open(several.ensemble)
    (decision,) = [part for part in opened.manifest.parts if part.role == "decision"]
    assert decision.fitted_on == opened.manifest.weights_digest()
    one, other, together = (
        hone.load(path, device="cpu").predict(ASKED) for path in (*several.members, several.ensemble)
    )
    for a, b, found in zip(one, other, together, strict=True):
        mean = {label: (a["scores"][label] + b["scores"][label]) / 2 for label in a["scores"]}
        assert found["scores"] == pytest.approx(mean, abs=1e-6)


def test_choices_of_a_row_are_answered_by_the_mean_of_their_chances(tiny_base: Path, tmp_path: Path) -> None:
    several = made("multiple-choice", tiny_base, tmp_path)
    asked = [{"question": text, "choices": ["refund", "broken", "both"][: 3 - i]} for i, text in enumerate(ASKED[:2])]
    one, other, together = (
        hone.load(path, device="cpu").predict(asked) for path in (*several.members, several.ensemble)
    )
    for a, b, found in zip(one, other, together, strict=True):
        assert a["scores"] != b["scores"]
        mean = [(x + y) / 2 for x, y in zip(a["scores"], b["scores"], strict=True)]
        assert found["scores"] == pytest.approx(mean, abs=1e-6)
