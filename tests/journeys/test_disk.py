"""A full or read-only disk: hone says so and exits 1, what lay there is untouched, nothing half-written stays.

The disks are real: small tmpfs mounts and read-only ones in a mount namespace of one child process. Where the machine
allows no such namespace, a limit on file sizes or a file in the way takes their place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Runs in the child: each part has a disk of its own with the old bundle on it.
CHILD = """
import contextlib, io, json, os, resource, shutil, subprocess, sys
from pathlib import Path
from hone.bundle.bundle import Bundle
from hone.cli.main import exit_code
from hone.core.errors import HoneError
from hone.core.progress import Silent
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import run_stages

old, base, train, folder, mounts = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5] == "True"
found = {"digest": Bundle.open(old).digest}

def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)

def new_disk(name):
    disk = folder / name
    disk.mkdir()
    if mounts:
        mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", disk)
    shutil.copytree(old, disk / "bundle")
    return disk

@contextlib.contextmanager
def room(disk, kib):
    if mounts:
        state = os.statvfs(disk)
        (disk / "filler").write_bytes(b"x" * (state.f_bavail * state.f_frsize - kib * 1024))
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (disk / "filler").unlink(missing_ok=True)

def note(name, disk, code, words):
    found.setdefault(name, []).append({
        "code": code, "words": words, "digest": Bundle.open(disk / "bundle").digest,
        "left": sorted(path.name for path in disk.iterdir() if path.name != "filler"),
        "checkpoints": sorted(path.name for path in disk.glob("bundle.run/stages/*/checkpoints/*"))})

def hone(name, disk, *arguments):
    with contextlib.redirect_stderr(io.StringIO()) as words, contextlib.redirect_stdout(io.StringIO()):
        code = exit_code([str(argument) for argument in arguments])
    note(name, disk, code, words.getvalue())

disk = new_disk("saving")  # all but the bundle goes to another disk
values = {"version": 1, "task": "text-classification", "base": base, "data": {"train": train, "validation": "none"},
          "stages": [{"kind": "finetune", "max_steps": 1, "save_steps": None}]}
for kib in [0, 60, 116, 120, 124, 128, 132, 180] if mounts else [0]:
    code, words = 0, ""
    with room(disk, kib):
        try:
            run_stages(make_recipe(values, folder=Path()), out=folder / "side", progress=Silent(),
                       bundle_to=disk / "bundle")
        except HoneError as error:
            code, words = error.exit_code, f"{error.code} {error}"
    note("saving", disk, code, words)

disk = new_disk("read-only")
if mounts:
    mount("-o", "remount,ro", disk)
else:
    (disk / "bundle.run").write_bytes(b"")  # in the way of the folder for logs and reports
hone("read-only", disk, "finetune", train, "--base", base, "--out", disk / "bundle", "max_steps=1")
hone("read-only", disk, "verify", disk / "bundle")

if mounts:
    disk = new_disk("immovable")
    mount("--bind", disk / "bundle", disk / "bundle")
    mount("-o", "remount,bind,ro", disk / "bundle")
    hone("immovable", disk, "finetune", train, "--base", base, "--out", disk / "bundle", "max_steps=1")

disk = new_disk("checkpoints")
for kib in (600, None):
    with room(disk, kib) if kib else contextlib.nullcontext():
        hone("checkpoints", disk, "finetune", train, "--base", base, "--out", disk / "bundle",
             "num_train_epochs=3", "save_steps=1")

print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def mounts() -> bool:
    """Whether a child may mount disks of its own."""
    try:
        tried = subprocess.run(["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def found(text_bundle: Path, tiny_base: Path, folder: Path, mounts: bool) -> dict[str, Any]:
    """Part -> what hone said and what lay on the disk after each command; ``digest``: of the old bundle."""
    rows = [{"text": f"{word} {end}", "label": word} for word in ("refund", "password") for end in "abcdefgh"]
    train = folder / "rows.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [sys.executable, "-c", CHILD, str(text_bundle), str(tiny_base), str(train), str(folder), str(mounts)]
    done = subprocess.run(
        ["unshare", "-rm", *command] if mounts else command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HONE_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_full_disk_while_saving_is_told_and_the_old_bundle_stays(
    found: dict[str, Any], folder: Path, mounts: bool
) -> None:
    """Whichever file of the bundle it is that no longer fits: weights, head, tokenizer or manifest."""
    refused = found["saving"]
    if mounts:
        *refused, fits = refused
        assert (fits["code"], fits["left"]) == (0, ["bundle"])
        assert fits["digest"] != found["digest"]
    assert refused
    for after in refused:
        assert after["code"] == 1
        assert after["words"].startswith("bundle.not-saved ")
        assert str(folder / "saving" / "bundle") in after["words"]
        assert after["digest"] == found["digest"]
        assert after["left"] == ["bundle"]


def test_a_read_only_target_is_told_and_the_old_bundle_stays(found: dict[str, Any], folder: Path) -> None:
    refused, verified = found["read-only"]
    assert refused["code"] == 1
    assert "Traceback" not in refused["words"]
    assert str(folder / "read-only") in refused["words"]
    assert refused["digest"] == found["digest"]
    assert set(refused["left"]) <= {"bundle", "bundle.run"}
    assert verified["code"] == 0


def test_a_bundle_folder_that_cannot_be_moved_aside_is_told_and_stays(
    found: dict[str, Any], folder: Path, mounts: bool
) -> None:
    """The target is a mount of its own, read-only, in a folder that can be written."""
    if not mounts:
        pytest.skip("the machine allows no mount namespace, so no folder can be made immovable")
    [after] = found["immovable"]
    assert after["code"] == 1
    assert "Traceback" not in after["words"]
    assert str(folder / "immovable" / "bundle") in after["words"]
    assert after["digest"] == found["digest"]
    assert after["left"] == ["bundle", "bundle.run"]


def test_a_full_disk_while_writing_a_checkpoint_is_told_and_the_run_goes_on_once_there_is_room(
    found: dict[str, Any], folder: Path, mounts: bool
) -> None:
    """A checkpoint takes some 480 KiB: on the disk the first fits, and not a second one beside it."""
    full, again = found["checkpoints"]
    assert full["code"] == 1
    assert "Traceback" not in full["words"]
    assert str(folder / "checkpoints" / "bundle.run" / "stages" / "01-finetune" / "checkpoints") in full["words"]
    assert full["digest"] == found["digest"]
    assert full["checkpoints"] == (["step-000000001"] if mounts else [])
    assert again["code"] == 0
    assert ("resuming at step 1 of 3" in again["words"]) == mounts
    assert again["digest"] != found["digest"]
