"""What every objective of pretraining promises: its loss before any training is what chance says, draws follow from the
seed alone, and nothing crosses from one document to another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.choice import decided
from hone.core.settings import check_settings
from hone.models.architectures import ARCHITECTURES, NewBase
from hone.models.model import Model, build_model
from hone.models.new_base import write_base
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows

WORDS = "the tide comes in twice a day and goes out again. nobody knows why. we watched it from the pier, all of us! "
TEXTS = [(WORDS * 3)[start : start + 150] for start in range(0, 96, 3)]
ARCHITECTURE = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "bart"}
every_objective = pytest.mark.parametrize("name", list(OBJECTIVES))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small base of every kind, made from nothing as a recipe makes it."""
    made = {}
    for stack, name in ARCHITECTURE.items():
        settings, faults = check_settings(ARCHITECTURES[name].settings, {"hidden": 32, "layers": 2, "max_length": 64})
        assert settings is not None, faults
        made[stack] = tmp_path_factory.mktemp(name)
        write_base(NewBase(name, settings), TEXTS, seed=0, folder=made[stack])
    return made


def learning_of(base: Path, *names: Any) -> Pretraining:
    documents = Documents(load_tokenizer(base), max_tokens=64)
    return Pretraining([decided(name, OBJECTIVES) for name in names], documents)


def rows_of(learning: Pretraining) -> Rows:
    return Rows(learning.encode({"text": TEXTS}, purpose="learn"))


def model_of(base: Path, learning: Pretraining) -> Model:
    torch.manual_seed(0)
    return build_model(base, learning.head, others=learning.others).eval()


def chance(name: str, learning: Pretraining) -> float:
    """The loss of one that knows nothing."""
    return math.log(learning.tokenizer.vocab_size)


@every_objective
def test_the_loss_before_training_is_that_of_chance(bases: dict[str, Path], name: str) -> None:
    base = bases[OBJECTIVES[name].stack]
    learning = learning_of(base, name)
    rows, model = rows_of(learning), model_of(base, learning)
    batch = learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(0))
    with torch.no_grad():
        loss = learning.loss(model(batch), batch, options=LossOptions())
    assert float(loss.total) / loss.weight == pytest.approx(chance(name, learning), rel=0.02)


@every_objective
def test_what_is_drawn_follows_from_the_seed(bases: dict[str, Path], name: str) -> None:
    learning = learning_of(bases[OBJECTIVES[name].stack], name)
    rows, index = rows_of(learning), np.arange(8)
    one, same, other = (learning.draw(rows, index, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    if name != "clm":  # which draws nothing
        assert any(one[key].shape != other[key].shape or not torch.equal(one[key], other[key]) for key in one)


@every_objective
def test_a_tally_of_held_out_rows_counts_each_and_measures_what_the_loss_says(
    bases: dict[str, Path], name: str
) -> None:
    base = bases[OBJECTIVES[name].stack]
    learning = learning_of(base, name)
    rows, model = rows_of(learning), model_of(base, learning)
    index = np.arange(12)
    batch = learning.collate(rows, index)
    with torch.no_grad():
        outputs = model(batch)
        loss = learning.loss(outputs, batch, options=LossOptions())
    tally = learning.tally(outputs, batch)
    assert tally.shape[0] == len(index)
    measures = learning.measures(tally)
    assert measures.keys() == learning.measure_specs.keys()
    assert float(loss.total) / loss.weight == pytest.approx(tally[:, 0].sum() / tally[:, 1].sum(), rel=1e-5)


def test_documents_are_cut_into_pieces_that_end_within_them(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder"], "mlm")
    columns = {"text": ["one two\nthree", WORDS * 4]}
    rows = Rows(learning.encode(columns, purpose="learn"))
    whole = learning.tokenizer.encode(["one two\nthree", WORDS * 4])
    pieces = learning.documents.pieces(rows, np.arange(len(rows)))
    assert pieces[0].tolist() == whole[0]
    assert np.concatenate(pieces[1:]).tolist() == whole[1]
    assert rows.scalar("first").tolist() == [1, 1] + [0] * (len(rows) - 2)
    assert rows.scalar("last").tolist() == [1] + [0] * (len(rows) - 2) + [1]
    assert max(map(len, pieces)) <= learning.documents.room


@pytest.mark.parametrize("masking", ["tokens", "words", "spans"])
def test_masking_hides_the_share_asked_for(bases: dict[str, Path], masking: str) -> None:
    learning = learning_of(bases["encoder"], {"name": "mlm", "masking": masking, "mlm_probability": 0.3})
    rows = rows_of(learning)
    counts = [
        learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(seed))["counts"].sum().item()
        for seed in range(8)
    ]
    assert np.mean(counts) / rows.lengths.sum() == pytest.approx(0.3, abs=0.03)
