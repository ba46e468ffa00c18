"""`launch --on ray`: what is said before Ray starts, what its workers do, and what their ends come to."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hone.cli.main import exit_code
from hone.core.errors import HoneError
from hone.pipeline.on_ray import OnRay, outcome, parse_resources, room
from hone.pipeline.ray_worker import Ended, run_here

Command = Callable[..., tuple[object, str, str]]


def test_what_will_be_done_is_printed_without_ray(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    options = "--on ray --workers 2:4 --per-worker GPU=1 --per-worker CPU=8 --head one --max-restarts 3 --print"
    code, out, _ = command("launch", *options.split(), "run", "x.yaml", "--out", "/a b")
    assert code == 0
    assert out.splitlines() == [
        "cluster: one:6379",
        "workers: 2:4, CPU=8 GPU=1 each",
        "restarts: 3",
        "each: hone run x.yaml --out '/a b'",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--on", "ray"], "--workers ''"),
        (["--on", "ray", "--workers", "3:2"], "2:4"),
        (["--on", "ray", "--workers", "2", "--nodes", "2"], "--nodes with --on ray"),
        (["--on", "ray", "--workers", "2", "--procs-per-node", "2"], "--procs-per-node with --on ray"),
        (["--on", "ray", "--workers", "2", "--per-worker", "GPU"], "NAME=AMOUNT"),
        (["--on", "ray", "--workers", "2", "--per-worker", "GPU=-1"], "NAME=AMOUNT"),
        (["--on", "ray", "--workers", "2", "--head", "ray://one"], "HOST:PORT"),
        (["--on", "slurm", "--workers", "2"], "'ray'"),
        (["--workers", "2"], "--workers with --on machines"),
        (["--per-worker", "GPU=1"], "--per-worker with --on machines"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_be_are_refused(command: Command, options: list[str], said: str) -> None:
    code, out, words = command("launch", *options, "run", "x.yaml")
    assert (code, out) == (2, "")
    assert said in words


def test_without_ray_the_extra_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_TRAIN_METRICS_ENABLED", "RAY_TRAIN_ENABLE_PRINT_PATCH",
                 "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):  # fmt: skip
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, words = command("launch", "--on", "ray", "--workers", "2", "run", "x.yaml")
    assert (code, out) == (2, "")
    assert "hone launch --on ray needs the package ray, which is not installed" in words
    assert "pip install 'hone[ray]'" in words


def test_a_head_that_does_not_answer_is_told_at_once(command: Command) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        head = f"127.0.0.1:{free.getsockname()[1]}"
    code, out, words = command("launch", "--on", "ray", "--workers", "2", "--head", head, "run", "x.yaml")
    assert (code, out) == (1, "")
    assert f"no Ray cluster answers at {head}" in words


def test_a_port_is_rays_own_where_none_is_named() -> None:
    assert [OnRay((1, 1), head=head).address for head in ("", "one", "one:7", "[::1]:7")] == [
        "local",
        "one:6379",
        "one:7",
        "[::1]:7",
    ]


@pytest.mark.parametrize(
    ("per_worker", "expected"),
    [({"CPU": 1}, 11), ({"CPU": 4}, 2), ({"CPU": 1, "GPU": 1}, 2), ({"CPU": 0.1}, 110), ({"CPU": 0, "GPU": 2}, 1),
     ({"license": 1}, 0)],
    ids=str,
)  # fmt: skip
def test_room_is_counted_machine_by_machine(per_worker: dict[str, float], expected: int) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 3.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    assert room(nodes, per_worker) == expected


def test_a_worker_takes_one_cpu_where_nothing_is_said() -> None:
    assert parse_resources([]) == {"CPU": 1.0}
    assert parse_resources(["GPU=0.5", "memory=2e9"]) == {"CPU": 1.0, "GPU": 0.5, "memory": 2e9}


@pytest.mark.parametrize(
    ("codes", "failed", "expected"),
    [
        ({0: 0, 1: 0}, [], 0),
        ({1: 2}, [1], 2),
        ({0: 1, 1: 3}, [0, 1], 3),
        ({0: 1, 1: 2}, [0, 1, 2], 2),
        ({1: 1}, [1], 1),
    ],
    ids=["well", "unusable", "gate", "unusable and one lost", "failed"],
)
def test_an_end_that_another_start_would_have_too_counts_before_others(
    codes: dict[int, int], failed: list[int], expected: int
) -> None:
    assert outcome({number: Ended(code) for number, code in codes.items()}, failed).code == expected


def test_a_worker_that_ended_without_a_word_was_lost() -> None:
    with pytest.raises(HoneError) as raised:
        outcome({0: Ended(1)}, [0, 1])
    assert raised.value.code == "launch.killed"
    assert "process 1 was lost" in str(raised.value)


@pytest.mark.parametrize("failed", [[0], [0, 1]], ids=["the one that had done its part", "another"])
def test_what_ended_well_does_not_hide_that_a_process_was_lost(failed: list[int]) -> None:
    with pytest.raises(HoneError) as raised:
        outcome({0: Ended(0)}, failed)
    assert raised.value.code == "launch.killed"


def test_half_a_line_at_the_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []

    def command(_: list[str]) -> int:
        print("half", end="", file=sys.stderr)
        return 0

    run_here(command, [], folder=str(tmp_path), say=said.append)
    assert said == ["half\n"]


def test_what_the_first_process_prints_is_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "there"
    folder.mkdir()
    said: list[str] = []

    def command(arguments: list[str]) -> int:
        print(Path.cwd().name, *arguments)
        print("one\ntwo", end="", file=sys.stderr)
        print("!", file=sys.stderr)
        return 0

    assert run_here(command, ["a"], folder=str(folder), say=said.append) == Ended(0, "there a\n")
    assert "".join(said) == "one\ntwo!\n"


def test_a_recipe_that_cannot_be_used_ends_a_worker_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    assert run_here(exit_code, ["run", "none.yaml"], folder=str(tmp_path), say=said.append) == Ended(2)
    assert "none.yaml" in "".join(said)


def test_a_folder_that_a_worker_does_not_see_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    assert run_here(exit_code, ["env"], folder=str(tmp_path / "none"), say=said.append) == Ended(2)
    assert str(tmp_path / "none") in said[0]
