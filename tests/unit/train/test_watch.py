"""What a training is stopped by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hone.core.errors import HoneError
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source
from hone.train.checkpoint import Position
from hone.train.watch import SETTLED, Watch, norm_of, numbered, places_in


def looked(watch: Watch, losses: list[float], position: Position) -> None:
    for loss in losses:
        batch = {"input_ids": torch.tensor([[position.step]])}
        watch.look(loss, position=position, batches=[batch], rows=np.array([3, 9]))
        position.step += 1


def test_a_leap_ends_the_training_and_its_batch_and_rows_are_named(tmp_path: Path) -> None:
    position = Position("run")
    with pytest.raises(HoneError) as caught:
        looked(Watch(tmp_path, leap=2.0, place=numbered), [2.0] * SETTLED + [3.9, 4.5], position)
    assert caught.value.code == "train.loss-leaps"
    assert "of row 4, row 10; " in str(caught.value)
    assert position.step == SETTLED + 1
    kept = load_file(tmp_path / f"stopped-at-{position.step + 1}.safetensors")
    assert kept["0.input_ids"].tolist() == [[position.step]]


def test_neither_early_steps_nor_small_losses_leap(tmp_path: Path) -> None:
    early, small, any_at_all = Position("early"), Position("small"), Position("any")
    looked(Watch(tmp_path, leap=2.0, place=numbered), [9.0, 1.0, 30.0], early)
    looked(Watch(tmp_path, leap=2.0, place=numbered), [0.01] * SETTLED + [0.5], small)
    looked(Watch(tmp_path, leap=None, place=numbered), [1.0] * SETTLED + [500.0], any_at_all)
    assert (early.step, small.step, any_at_all.step) == (3, SETTLED + 1, SETTLED + 1)
    assert not list(tmp_path.iterdir())


def test_a_gradient_that_is_no_number_ends_the_training_and_is_not_in_the_log(tmp_path: Path) -> None:
    watch, position = Watch(tmp_path, leap=None, place=numbered), Position("run", step=6)
    batch = {"input_ids": torch.tensor([[5]])}
    watch.look_back(1e30, position=position, batches=[batch], rows=np.array([3]))
    with pytest.raises(HoneError, match="norm of the gradients at step 7 is nan, of row 4; ") as caught:
        watch.look_back(float("nan"), position=position, batches=[batch], rows=np.array([3]))
    assert caught.value.code == "train.gradient-not-finite"
    assert load_file(tmp_path / "stopped-at-7.safetensors")["0.input_ids"].tolist() == [[5]]
    assert norm_of(torch.tensor(2.0)) == {"gradient_norm": 2.0}
    assert norm_of(torch.tensor(float("inf"))) == norm_of(None) == {}


def test_a_batch_that_cannot_be_kept_does_not_hide_what_ended_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    watch, batch = Watch(tmp_path / "file", leap=None, place=numbered), {"input_ids": torch.tensor([[5]])}
    with pytest.raises(HoneError, match="could not be kept") as caught:
        watch.look(float("nan"), position=Position("run", step=6), batches=[batch], rows=np.array([3]))
    assert caught.value.code == "train.loss-not-finite"


def test_an_example_is_named_by_its_line_whatever_was_left_out_before_it(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\none,a\ntwo,b\nsix,a\n", encoding="utf-8")
    fields = (Field("text", "text"), Field("label", "label"))
    train = read(Source(path="train.csv"), fields, name="train", base=tmp_path, cache=tmp_path)
    assert places_in(train.take(np.array([1, 2])))(1) == f"{tmp_path / 'train.csv'}:4"
    assert places_in(Dataset.from_columns("train", {"text": ["one"]}))(0) == "row 1 of memory"
