"""The machine and the versions, as every result names them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hone.cli.environment import environment


def machine() -> dict[str, str]:
    """Processor, cores and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    model = next(named, platform.processor())
    flags = next((line for line in lines if line.startswith("flags")), "")
    has = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return {"processor": model, "cores": str(os.cpu_count()), "instructions": " ".join(has), **environment()}


def begun(file: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    """What ``file`` says already, where that was measured by the same settings on the same machine, which ``told``
    names; else ``told`` alone. A run of some of the parts adds to the others."""
    before = json.loads(file.read_text()) if file.is_file() else {}
    same = all(before.get(key) == value for key, value in told.items())
    return {**before} if same else {**told}
