"""Where the figures of a run go: a JSON-lines log always, and the trackers that were asked for, through accelerate."""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import IO, Any

from accelerate import Accelerator

from hone.core.extras import require
from hone.train.settings import Tracker

LOG = "log.jsonl"
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}


def require_trackers(trackers: list[Tracker]) -> None:
    """Raise `MissingExtra` for the first tracker that is not installed."""
    for name in trackers:
        require(PACKAGES[name], extra=name, needed_for=f"report_to: [{name}]")


def _mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    return importlib.import_module("mlflow")


def _keep_mlflow_here(folder: Path) -> bool:
    """Have mlflow keep its store in ``folder`` unless ``MLFLOW_TRACKING_URI`` names one; returns whether it does."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return False
    _mlflow().set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
    return True


class RunLog:
    """Figures by step: to ``log.jsonl``, and to the accelerator's trackers.

    Args:
        folder: Gets ``log.jsonl`` and what the trackers write.
        accelerator: Made with ``log_with`` the trackers.
        trackers: Their names.
        config: Settings, shown by the trackers.
        resumed_at: Keep the log that lies there up to this step; None: a new log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        accelerator: Accelerator,
        trackers: list[Tracker],
        config: dict[str, Any],
        resumed_at: int | None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / LOG
        self._accelerator = accelerator if trackers else None
        kept = self._kept(resumed_at) if resumed_at is not None else []
        self._file: IO[str] = self._path.open("w", encoding="utf-8")
        self._file.writelines(kept)
        self._own_store = "mlflow" in trackers and _keep_mlflow_here(folder)
        if trackers:
            os.environ.setdefault("WANDB_MODE", "offline")
            os.environ.setdefault("WANDB_SILENT", "true")
            flat = {key: value for key, value in config.items() if isinstance(value, str | int | float | bool)}
            places: dict[str, Any] = {"wandb": {"dir": str(folder)}}
            accelerator.init_trackers("hone", flat, {name: places[name] for name in trackers if name in places})

    def _kept(self, step: int) -> list[str]:
        if not self._path.is_file():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n") and json.loads(line).get("step", 0) <= step]

    def write(self, step: int, figures: dict[str, Any]) -> None:
        """One record."""
        self._file.write(json.dumps({"step": step, **figures}, ensure_ascii=False) + "\n")
        self._file.flush()
        if self._accelerator is not None:
            numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
            self._accelerator.log(numbers, step=step)

    def close(self) -> None:
        """Flush everything."""
        self._file.close()
        if self._accelerator is not None:
            self._accelerator.end_training()
        if self._own_store:
            _mlflow().set_tracking_uri(None)  # the next stage of this process has a store of its own


class Unlogged:
    """The log of a process that keeps none: of several, the first keeps it."""

    def write(self, step: int, figures: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


Log = RunLog | Unlogged
