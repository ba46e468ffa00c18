"""Trackers: each really writes what the log has, to a place in the stage's folder; a missing one is named."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from hone.core.errors import MissingExtra
from hone.train.settings import Tracker
from hone.train.trackers import PACKAGES, RunLog, require_trackers

CONFIG = {"learning_rate": 1e-3, "keep": "best", "max_steps": None, "report_to": ["tensorboard"]}
FIGURES = [{"loss": 1.5, "epoch": 0.5}, {"loss": 0.25, "epoch": 1.0, "validation_accuracy": 0.75}]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes two records through the trackers; returns the folder."""
    for name in ("WANDB_MODE", "WANDB_SILENT", "MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile is taken back
        monkeypatch.delenv(name)

    def write(*trackers: Tracker, to: str = "stage") -> Path:
        folder = tmp_path / to
        AcceleratorState._reset_state(reset_partial_state=True)
        accelerator = Accelerator(cpu=True, log_with=list(trackers) or None, project_dir=str(folder))
        log = RunLog(folder, accelerator=accelerator, trackers=list(trackers), config=CONFIG, resumed_at=None)
        for i, figures in enumerate(FIGURES):
            log.write(10 * (i + 1), figures)
        log.close()
        return folder

    return write


def test_the_log_is_json_lines_and_needs_no_tracker(written: Callable[..., Path]) -> None:
    lines = (written() / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 10, **FIGURES[0]}, {"step": 20, **FIGURES[1]}]


def test_tensorboard_has_every_figure_at_its_step(written: Callable[..., Path]) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(written("tensorboard").rglob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tensor_util.make_ndarray(value.tensor))
                    found.setdefault(value.tag, []).append((event.step, number))
    assert found["loss"] == [(10, 1.5), (20, 0.25)]
    assert found["epoch"] == [(10, 0.5), (20, 1.0)]
    assert found["validation_accuracy"] == [(20, 0.75)]


def rows_of(store: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as opened:
        return opened.execute(query).fetchall()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of how mlflow uses sqlalchemy
def test_mlflow_keeps_figures_and_settings_in_a_store_of_the_stage(
    written: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = written("mlflow") / "mlflow.db"
    metrics = rows_of(store, "select key, step, value from metrics order by key, step")
    params = dict(rows_of(store, "select key, value from params"))  # type: ignore[arg-type]
    runs = rows_of(store, "select status from runs")
    assert metrics == [("epoch", 10, 0.5), ("epoch", 20, 1.0), ("loss", 10, 1.5), ("loss", 20, 0.25),
                       ("validation_accuracy", 20, 0.75)]  # fmt: skip
    assert params == {"learning_rate": "0.001", "keep": "best"}
    assert runs == [("FINISHED",)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stage"]
    assert "MLFLOW_TRACKING_URI" not in os.environ  # a later stage of this process has a store of its own

    # Where the environment names a store, figures go there.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    other = written("mlflow", to="other")
    assert rows_of(store, "select count(*) from metrics") == [(10,)]
    assert not (other / "mlflow.db").exists()


def wandb_history(file: Path) -> list[dict[str, object]]:
    from wandb.proto.wandb_internal_pb2 import Record

    history = []
    for data in leveldb_records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.history.item:
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            history.append({key: value for key, value in items.items() if not key.startswith("_") or key == "_step"})
    return history


def test_wandb_writes_offline_unless_told_otherwise(written: Callable[..., Path]) -> None:
    [file] = written("wandb").glob("wandb/offline-run-*/run-*.wandb")
    until = time.monotonic() + 20
    while len(history := wandb_history(file)) < 2 and time.monotonic() < until:
        time.sleep(0.1)  # a process of wandb's own writes the file; on a busy machine it lags behind finish()
    assert history == [{"_step": 10, **FIGURES[0]}, {"_step": 20, **FIGURES[1]}]


def leveldb_records(raw: bytes) -> list[bytes]:
    """The records of one block of a LevelDB log after wandb's header of 7 bytes: checksum, length, kind, content."""
    assert raw[:4] == b":W&B"
    assert len(raw) < 32768
    at, records = 7, []
    while at < len(raw):
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        assert kind == 1  # a whole record
        records.append(raw[at + 7 : at + 7 + size])
        at += 7 + size
    return records


@pytest.mark.parametrize("tracker", sorted(PACKAGES))
def test_a_tracker_that_is_not_installed_is_named_with_what_installs_it(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[tracker], None)
    with pytest.raises(MissingExtra) as error:
        require_trackers([tracker])
    assert (error.value.code, error.value.exit_code) == ("extra.missing", 2)
    assert f"hone[{tracker}]" in error.value.fix


def test_trackers_that_are_installed_are_fine() -> None:
    before = set(sys.modules)
    require_trackers(["tensorboard", "mlflow", "wandb"])
    assert not {"tensorboard", "mlflow", "wandb"} & (set(sys.modules) - before)  # looked for, not imported


def reopened(folder: Path, *, resumed_at: int | None) -> list[int]:
    """Steps in the log after a run that goes on, or starts, has opened it."""
    AcceleratorState._reset_state(reset_partial_state=True)
    log = RunLog(folder, accelerator=Accelerator(cpu=True), trackers=[], config={}, resumed_at=resumed_at)
    log.close()
    return [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_resumed_run_keeps_the_log_up_to_its_step_alone(written: Callable[..., Path]) -> None:
    assert reopened(written(), resumed_at=10) == [10]


def test_a_new_run_starts_a_new_log(written: Callable[..., Path]) -> None:
    assert reopened(written(), resumed_at=None) == []


def test_a_line_cut_off_by_a_kill_is_dropped(written: Callable[..., Path]) -> None:
    folder = written()
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 30, "lo')
    assert reopened(folder, resumed_at=40) == [10, 20]


def test_a_resumed_run_whose_log_is_gone_starts_a_new_one(tmp_path: Path) -> None:
    assert reopened(tmp_path / "gone", resumed_at=10) == []
