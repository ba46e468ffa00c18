"""`launch`: processes that are started, started again, and told apart by their ends; what to type on other machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hone.core.errors import HoneError, RecipeError
from hone.pipeline.launch import OWN_STORE, Launch, launch, name_of, parse_range

Command = Callable[..., tuple[object, str, str]]
# Process 1 kills itself until it has been started as often as the first argument says; the second is where both count.
FALLING = """
import os, pathlib, signal, sys, time
rank, attempt = os.environ["RANK"], int(os.environ["TORCHELASTIC_RESTART_COUNT"])
(pathlib.Path(sys.argv[2]) / f"{attempt}-{rank}-of-{os.environ['WORLD_SIZE']}").touch()
if rank == "1" and attempt < int(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
if attempt < int(sys.argv[1]):
    time.sleep(60)  # as if it waited for the other
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "TORCHELASTIC_SIGNALS_TO_HANDLE", OWN_STORE):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_a_killed_process_has_all_started_again_as_often_as_allowed(tmp_path: Path) -> None:
    how = Launch(procs_per_node=2, max_restarts=1)
    assert launch(how, [sys.executable, "-c", FALLING, "1", str(tmp_path)]) == 0
    assert {file.name for file in tmp_path.iterdir()} >= {"0-1-of-2", "1-0-of-2", "1-1-of-2"}


def test_a_killed_process_ends_the_others_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(HoneError) as raised:
        launch(Launch(procs_per_node=2), [sys.executable, "-c", FALLING, "1", str(tmp_path)])
    assert raised.value.code == "launch.killed"
    assert "process 1 was ended by SIGKILL" in str(raised.value)


@pytest.mark.parametrize(("code", "starts"), [(1, 2), (2, 1), (3, 1), (130, 1)])
def test_only_what_may_go_well_another_time_is_started_again(tmp_path: Path, code: int, starts: int) -> None:
    counting = f"open({str(tmp_path / 'starts')!r}, 'a').write('.'); raise SystemExit({code})"
    assert launch(Launch(max_restarts=1), [sys.executable, "-c", counting]) == code
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "." * starts


def test_the_exit_code_is_that_of_the_process_that_failed() -> None:
    assert launch(Launch(), [sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_what_to_type_on_each_machine_is_printed(command: Command) -> None:
    code, out, _ = command("launch", "--nodes", "2", "--procs-per-node", "8", "--head", "one", "--max-restarts", "3",
                           "--print", "run", "recipe.yaml", "--out", "/shared/a b")  # fmt: skip
    assert code == 0
    name = name_of(["run", "recipe.yaml", "--out", "/shared/a b"])
    line = (
        "env TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --nnodes=2 --nproc-per-node=8 --max-restarts=3 "
        f"--rdzv-backend=c10d --rdzv-endpoint=one:29500 --rdzv-id={name} -m hone run recipe.yaml --out '/shared/a b'"
    )
    assert out.splitlines() == [f"node 0: {line}", f"node 1: {line}"]


def test_launches_of_two_commands_at_one_head_are_told_apart() -> None:
    one, again, other = (name_of(["run", name, "--out", "a"]) for name in ("one.yaml", "one.yaml", "other.yaml"))
    assert one == again != other
    assert name_of(["run", "a b"]) != name_of(["run", "a", "b"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "2", "run", "x.yaml"], "--head HOST:29500"),
        (["--nodes", "3:2", "--head", "one", "run", "x.yaml"], "2:4"),
        (["--nodes", "none", "run", "x.yaml"], "2:4"),
        (["--head", "one:port", "run", "x.yaml"], "HOST:PORT"),
        (["serve", "x"], "run, finetune, prefer, pretrain, reinforce"),
    ],
    ids=["no head", "more than most", "no number", "no port", "no training"],
)
def test_what_cannot_be_launched_is_refused(command: Command, arguments: list[str], said: str) -> None:
    code, out, words = command("launch", "--procs-per-node", "2", *arguments)
    assert (code, out) == (2, "")
    assert said in words


def test_nodes_may_be_a_range() -> None:
    assert parse_range("2:4", option="--nodes") == (2, 4)
    assert "--nnodes=2:4" in Launch((2, 4), 8, head="one:1").command(["run", "x"])
    with pytest.raises(RecipeError):
        parse_range("0", option="--nodes")
