"""Sparse weights: as many zeros as asked for in every matrix, chosen as stated, held while the rest learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from starting import TEXTS, start, written

from hone.compress.recover import linear_layers
from hone.compress.recovery import SparseSettings
from hone.compress.sparse import RISING, Masked, largest, risen, thin_out
from hone.compress.start import Made, Start
from hone.core.progress import Silent
from hone.core.settings import check_settings
from hone.models.sparse import zero_share
from hone.predict.predictor import load


def weights(made: Made | Start) -> list[torch.Tensor]:
    assert made.model.encoder is not None
    return [layer.weight.detach() for _, _, layer in linear_layers(made.model.encoder)]


@pytest.mark.parametrize(("by", "epochs"), [("magnitude", 0.0), ("magnitude", 3.0), ("movement", 3.0)])
def test_every_matrix_has_the_share_of_zeros(by: Any, epochs: float, text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    settings = SparseSettings(sparsity=0.8, by=by, num_train_epochs=epochs, learning_rate=1e-3, save_steps=None)
    made = thin_out(settings, given)
    assert len(weights(made)) == 12
    assert [zero_share(weight) for weight in weights(made)] == pytest.approx([0.8] * 12, abs=1e-3)
    assert made.facts["zero_share"] == pytest.approx(0.8, abs=1e-3)
    assert not any(isinstance(module, Masked) for module in made.model.modules())
    assert not made.model._forward_pre_hooks
    bundle = written(made, tmp_path / "new", parent=given.bundle)
    assert bundle.manifest.parts[0].format == "safetensors-shaped"
    again = load(bundle.path, device="cpu")
    assert all(map(torch.equal, weights(made), weights(again.engine)))  # type: ignore[arg-type]
    assert len(again.predict(TEXTS)) == 4


def test_the_smallest_go_and_the_others_stay_as_they_are(text_bundle: Path, tmp_path: Path) -> None:
    given = start(text_bundle, tmp_path)
    before = [weight.clone() for weight in weights(given)]
    made = thin_out(SparseSettings(sparsity=0.5, num_train_epochs=0.0), given)
    for old, new in zip(before, weights(made), strict=True):
        stays = new != 0
        assert torch.equal(new[stays], old[stays])
        assert old[stays].abs().min() >= old[~stays].abs().max()


def test_the_file_falls_with_the_zeros(text_bundle: Path, tmp_path: Path) -> None:
    sizes = []
    for sparsity in (0.5, 0.9):
        given = start(text_bundle, tmp_path)
        made = thin_out(SparseSettings(sparsity=sparsity, num_train_epochs=0.0), given)
        bundle = written(made, tmp_path / str(sparsity), parent=given.bundle)
        dense = sum(weight.nbytes for weight in weights(made))
        sizes.append((dense, (bundle.path / "model.shaped.safetensors").stat().st_size))
    assert sizes[0][1] - sizes[1][1] == pytest.approx((0.531 - 0.116) * sizes[0][0], rel=0.1)


def test_zeros_come_in_fast_at_first_and_hold_at_the_end() -> None:
    shares = [risen(step, total=100, end=0.8) for step in range(100)]
    rises = [after - before for before, after in zip(shares, shares[1:], strict=False)]
    assert all(one >= other - 1e-12 for one, other in zip(rises, rises[1:], strict=False))
    assert shares[0] > 0
    assert shares[int(RISING * 100) - 1 :] == pytest.approx([0.8] * (101 - int(RISING * 100)))


def test_movement_is_the_weight_times_its_gradient_masked_or_not() -> None:
    torch.manual_seed(0)
    layer, inputs = Masked(torch.nn.Linear(4, 3), moves=True), torch.randn(5, 4)
    layer.mask[0] = 0.0
    expected = torch.zeros(3, 4)
    for _ in range(2):
        layer.zero_grad()
        layer(inputs).pow(2).sum().backward()
        weight = layer.weight.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(
            torch.nn.functional.linear(inputs, weight, layer.bias.detach()).pow(2).sum(), weight
        )
        expected -= layer.raw.detach() * gradient
        torch.testing.assert_close(layer.raw.grad, gradient * layer.mask)
        torch.testing.assert_close(layer.moved, expected)
    layer.choose(0.5)
    assert torch.equal(layer.mask, largest(expected, 0.5))


class Stopping(Silent):
    """Interrupts when so many steps are done."""

    def __init__(self, after: int) -> None:
        self._left, self._training = after, False

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self._training = what == "training"

    def advance(self, units: int, **figures: float) -> None:
        self._left -= self._training and units > 0
        if self._training and self._left == 0:
            raise KeyboardInterrupt


def test_what_was_interrupted_goes_on_as_if_it_had_not_been(text_bundle: Path, tmp_path: Path) -> None:
    settings = SparseSettings(
        sparsity=0.7, by="movement", num_train_epochs=8.0, per_device_train_batch_size=4, save_steps=3
    )
    straight = thin_out(settings, start(text_bundle, tmp_path / "a"))
    with pytest.raises(KeyboardInterrupt):
        thin_out(settings, start(text_bundle, tmp_path / "b", progress=Stopping(15)))
    assert list((tmp_path / "b" / "run" / "checkpoints").iterdir())
    resumed = thin_out(settings, start(text_bundle, tmp_path / "b"))
    assert all(map(torch.equal, weights(straight), weights(resumed)))


def test_movement_needs_steps() -> None:
    _, faults = check_settings(SparseSettings, {"by": "movement", "num_train_epochs": 0})
    assert "num_train_epochs above 0" in str(faults[0])
