"""What a device can compute at most: as its maker says, or as it is timed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from hone.models.gpus import GPUS, peak_of
from hone.models.peak import peak_rate, product_rate
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.tasks.rows import Rows
from hone.train.pretrain import utilization

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA A100-PCIE-40GB", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_the_peak_of_a_gpu_is_known_by_its_name_where_it_is_the_one_of_the_data_sheet(
    name: str, kind: str | None
) -> None:
    assert peak_of(name) == (None if kind is None else GPUS[kind].flops)


def by_hand(size: int) -> float:
    """Floating-point operations a second of a product, the best of some."""
    left, best = torch.ones(size, size), float("inf")
    for _ in range(20):
        began = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def test_the_share_of_a_cpu_is_the_models_operations_over_those_of_a_product(tiny_base: Path) -> None:
    read = Documents(load_tokenizer(tiny_base), max_tokens=32)
    texts = ["please reset my password", "the card is late and the screen is broken", "good"]
    rows = Rows(read.encode({"text": texts}, purpose="learn"))
    model = AutoModel.from_pretrained(tiny_base)
    weights = sum(value.numel() for name, value in model.named_parameters() if not name.startswith("embeddings"))
    a_token = 6 * weights + 12 * 2 * 32 * sum(rows.lengths.tolist()) / 3  # two layers, 32 wide
    share = utilization(tiny_base, rows, device=CPU, precision="no")
    rate = by_hand(768)
    assert rate / 4 < a_token / share(1.0) < 4 * rate
    assert share(9000.0) == pytest.approx(9000 * share(1.0))


def test_a_cpu_is_timed_in_the_precision_that_is_trained_in() -> None:
    assert 1e8 < product_rate(CPU, "bf16") < 1e15
    assert by_hand(768) / 4 < peak_rate(CPU, "no") < 4 * by_hand(768)


@pytest.mark.gpu
def test_a_gpu_is_timed_where_its_maker_does_not_say() -> None:
    device = torch.device("cuda")
    half, whole = peak_rate(device, "bf16"), peak_rate(device, "no")
    known = peak_of(torch.cuda.get_device_name(device))
    assert half == known or known is None
    assert 0.3 * half < product_rate(device, "bf16") < 1.1 * half
    assert whole < half
