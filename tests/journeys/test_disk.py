"""A full or read-only disk: hone says so and exits 1, what lay there is untouched, nothing half-written stays.

The disks are real: small tmpfs mounts and read-only ones in a mount namespace of a child process. Where the machine
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

# Runs in the child. `disk` is a tmpfs with the old bundle on it, or a plain folder where there can be no mount.
BEGIN = """
import contextlib, io, json, os, resource, shutil, subprocess, sys
from pathlib import Path
from hone.bundle.bundle import Bundle
from hone.cli.main import _exit_code

old, base, train, disk, mounts = Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5] == "mounts"
disk.mkdir()
if mounts:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
shutil.copytree(old, disk / "bundle")
digest = Bundle.open(disk / "bundle").digest
found = []

def hone(*arguments):
    with contextlib.redirect_stderr(io.StringIO()) as words, contextlib.redirect_stdout(io.StringIO()):
        code = _exit_code([str(argument) for argument in arguments])
    found.append({"code": code, "words": words.getvalue(), "digest": Bundle.open(disk / "bundle").digest,
                  "left": sorted(path.name for path in disk.iterdir() if path.name != "filler")})

def leave_free(kib):
    state = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(b"x" * (state.f_bavail * state.f_frsize - kib * 1024))
"""
END = """
print(json.dumps({"digest": digest, "found": found}))
"""

# `run` writes everything beside the bundle, so that only the bundle's own disk is full.
FULL = """
from hone.core.progress import Silent
from hone.pipeline.recipe import make_recipe
import hone.pipeline.run as pipeline
from hone.core.errors import HoneError

side = disk.parent / "side"
values = {"version": 1, "task": "text-classification", "base": base, "data": {"train": train, "validation": "none"},
          "stages": [{"kind": "finetune", "max_steps": 1, "save_steps": None}]}
for kib in FREE if mounts else [0]:
    if mounts:
        leave_free(kib)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    try:
        pipeline.run_stages(make_recipe(values, folder=Path()), out=side, progress=Silent(), bundle_to=disk / "bundle")
        code = "none"
    except HoneError as error:
        code = f"{error.code} {error.exit_code} {error}"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (disk / "filler").unlink(missing_ok=True)
    found.append({"words": code, "digest": Bundle.open(disk / "bundle").digest,
                  "left": sorted(path.name for path in disk.iterdir())})
"""


def mounts_work() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def child(script: str, *, bundle: Path, base: Path, tmp_path: Path) -> dict[str, Any]:
    """What the script found on its disk."""
    rows = [{"text": f"{word} {end}", "label": word} for word in ("refund", "password") for end in "abcdefgh"]
    train = tmp_path / "rows.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    can = mounts_work()
    command = [sys.executable, "-c", BEGIN + script + END, str(bundle), str(base), str(train), str(tmp_path / "disk"),
               "mounts" if can else "limits"]  # fmt: skip
    done = subprocess.run(
        ["unshare", "-rm", *command] if can else command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_full_disk_while_saving_is_told_and_the_old_bundle_stays(
    text_bundle: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Whichever file of the bundle it is that no longer fits: weights, head, tokenizer or manifest."""
    script = "FREE = [0, 60, 116, 120, 124, 128, 132, 180]\n" + FULL
    result = child(script, bundle=text_bundle, base=tiny_base, tmp_path=tmp_path)
    refused = result["found"]
    if mounts_work():
        *refused, fits = refused
        assert fits["words"] == "none"
        assert fits["digest"] != result["digest"]
        assert fits["left"] == ["bundle"]
    assert refused
    for found in refused:
        assert found["words"].startswith("bundle.not-saved 1 ")
        assert str(tmp_path / "disk" / "bundle") in found["words"]
        assert found["digest"] == result["digest"]
        assert found["left"] == ["bundle"]


def test_a_read_only_target_is_told_by_the_command_and_the_old_bundle_stays(
    text_bundle: Path, tiny_base: Path, tmp_path: Path
) -> None:
    script = """
if mounts:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
else:
    (disk / "bundle.run").write_bytes(b"")  # in the way of the folder for logs and reports
hone("finetune", train, "--base", base, "--out", disk / "bundle", "max_steps=1")
hone("verify", disk / "bundle")
"""
    result = child(script, bundle=text_bundle, base=tiny_base, tmp_path=tmp_path)
    refused, verified = result["found"]
    assert refused["code"] == 1
    assert "Traceback" not in refused["words"]
    assert str(tmp_path / "disk") in refused["words"]
    assert refused["digest"] == result["digest"]
    assert set(refused["left"]) <= {"bundle", "bundle.run"}
    assert verified["code"] == 0


def test_a_bundle_folder_that_cannot_be_moved_aside_is_told_and_stays(
    text_bundle: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """The target is a mount of its own, read-only, in a folder that can be written."""
    if not mounts_work():
        pytest.skip("the machine allows no mount namespace, so no folder can be made immovable")
    script = """
subprocess.run(["mount", "--bind", str(disk / "bundle"), str(disk / "bundle")], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", str(disk / "bundle")], check=True)
hone("finetune", train, "--base", base, "--out", disk / "bundle", "max_steps=1")
"""
    result = child(script, bundle=text_bundle, base=tiny_base, tmp_path=tmp_path)
    [found] = result["found"]
    assert found["code"] == 1
    assert str(tmp_path / "disk" / "bundle") in found["words"]
    assert "Traceback" not in found["words"]
    assert found["digest"] == result["digest"]
    assert found["left"] == ["bundle", "bundle.run"]


def test_a_full_disk_while_writing_a_checkpoint_is_told_and_leaves_the_one_before(
    text_bundle: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A checkpoint takes about 360 KiB, 480 with the best weights: the first fits beside nothing else."""
    script = """
out = disk / "bundle.run"
settings = ["num_train_epochs=3", "save_steps=1", "logging_steps=1"]
if mounts:
    leave_free(600)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
hone("finetune", train, "--base", base, "--out", disk / "bundle", *settings)
found[0]["checkpoints"] = sorted(path.name for path in (out / "stages" / "01-finetune" / "checkpoints").iterdir())
(disk / "filler").unlink(missing_ok=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
hone("finetune", train, "--base", base, "--out", disk / "bundle", *settings)
"""
    result = child(script, bundle=text_bundle, base=tiny_base, tmp_path=tmp_path)
    full, again = result["found"]
    assert full["code"] == 1
    assert "Traceback" not in full["words"]
    assert str(tmp_path / "disk" / "bundle.run" / "stages" / "01-finetune" / "checkpoints") in full["words"]
    assert full["digest"] == result["digest"]
    assert full["checkpoints"] == (["step-000000001"] if mounts_work() else [])
    assert again["code"] == 0
    assert ("resuming at step 1 of 3" in again["words"]) == mounts_work()
    assert again["digest"] != result["digest"]
