"""Which training draws dropout's masks as hone does, and which as torch does."""

from __future__ import annotations

from pathlib import Path

from torch.nn import functional
from training_bench import Bench

from hone.models.noise import TORCHS
from hone.models.tiny import write_tiny_writer


def seen(bench: Bench) -> set[bool]:
    """Whether dropout was torch's own while the head read what the backbone gave."""
    loop, found = bench.loop(dropout=0.1, num_train_epochs=1.0), set()
    loop.model.head.register_forward_hook(lambda *_: found.add(functional.dropout is TORCHS))
    bench.run(loop)
    assert functional.dropout is TORCHS
    return found


def test_a_base_whose_layers_are_transformers_own_is_trained_with_quick_dropout(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "gpt2", kind="gpt2")
    assert seen(Bench(base, tmp_path)) == {False}


def test_a_base_whose_encoder_is_hones_own_needs_none(bench: Bench) -> None:
    assert seen(bench) == {True}
