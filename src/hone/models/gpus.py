"""GPUs of which a plan knows what they can do, as their makers say it; no torch.

Sources: the data sheets "NVIDIA A100 80GB" (SXM), "NVIDIA H100 Tensor Core GPU" (SXM), "NVIDIA H200 Tensor Core GPU"
(SXM) and "NVIDIA HGX B200", products of bfloat16 without sparsity; links between the GPUs of a machine one way, of
NVLink's figures, which add up both; the network cards of "DGX A100" (eight of 200 Gb/s) and of "DGX H100", "DGX H200"
and "DGX B200" (eight of 400 Gb/s).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MACHINE = 8  # GPUs of a machine that NVLink joins
SLOWER = {"MIG", "NVL", "PCIE"}  # in the names of parts of a GPU, and of those that are built for a slot


@dataclass(frozen=True)
class Gpu:
    """What one can do.

    Attributes:
        memory_bytes: It has.
        flops: Of bfloat16 products, a second.
        memory_bytes_per_s: To and from its memory.
        link_bytes_per_s: To another GPU of its machine, one way.
        network_bytes_per_s: From its machine to another one, one way, of all its network cards.
    """

    memory_bytes: float
    flops: float
    memory_bytes_per_s: float
    link_bytes_per_s: float
    network_bytes_per_s: float

    def ring_bytes_per_s(self, gpus: int, *, beside: int = 1) -> float:
        """What goes round a ring of ``gpus`` of them; between machines it takes all network cards, which ``beside``
        rings share."""
        return (
            min(self.link_bytes_per_s, self.network_bytes_per_s / beside) if gpus > MACHINE else self.link_bytes_per_s
        )


GPUS = {
    "A100": Gpu(80e9, 312e12, 2.039e12, 300e9, 200e9),
    "H100": Gpu(80e9, 989.4e12, 3.35e12, 450e9, 400e9),
    "H200": Gpu(141e9, 989.4e12, 4.8e12, 450e9, 400e9),
    "B200": Gpu(180e9, 2250e12, 8.0e12, 900e9, 400e9),
}


def peak_of(name: str) -> float | None:
    """Products of bfloat16 or float16 a second of a GPU that calls itself ``name``. Of one that is not here, is a part
    of a GPU, or is built for a slot, which is slower, nothing is known."""
    words = set(re.split(r"[\s-]+", name.upper()))
    if words & SLOWER:
        return None
    return next((gpu.flops for kind, gpu in GPUS.items() if kind in words), None)
