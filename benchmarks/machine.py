"""The machine and the versions, as every result names them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

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
