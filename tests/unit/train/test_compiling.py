"""torch.compile: decided by an estimate that is said; a compiled training learns what a plain one learns."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from training_bench import Bench, same, state_of
from transformers import AutoModel, DistilBertConfig

from hone.core.errors import RecipeError
from hone.models.architectures import DanSettings
from hone.models.dan import Dan, config
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.quiet import quiet_loading
from hone.train.compiling import PAYBACK, compiles, learning

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def other(tmp_path: Path) -> Model:
    """A model of a family that trains through transformers' own modules."""
    config = DistilBertConfig(
        dim=16, n_layers=2, n_heads=2, hidden_dim=24, vocab_size=2000, max_position_embeddings=64, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(1)
    with quiet_loading():
        AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    return build_model(tmp_path / "base", HeadSpec("sequence-mean", ("broken", "password", "refund")), dropout=0.0)


def test_long_trainings_are_compiled_and_short_ones_are_not(other: Model) -> None:
    enough = PAYBACK["cuda"].operations(layers=2) / (6.0 * learning(other))
    assert [compiles("auto", other, tokens=tokens, device=CUDA)[0] for tokens in (enough * 0.99, enough * 1.01)] == [
        False,
        True,
    ]
    _, said = compiles("auto", other, tokens=enough * 0.5, device=CUDA)
    assert f"pays back from {PAYBACK['cuda'].operations(layers=2):.1e}" in said


def test_on_a_cpu_no_training_is_long_enough(other: Model) -> None:
    assert compiles("auto", other, tokens=1e30, device=CPU) == (
        False,
        "torch.compile: no; on a CPU it has not been measured to train any quicker",
    )


def test_the_weights_that_a_token_is_multiplied_by_are_counted_without_the_tables(other: Model) -> None:
    layer = 4 * (16 * 16 + 16) + 2 * 16 * 24 + 24 + 16 + 4 * 16
    assert learning(other) == 2 * layer + 2 * 16  # and the norm of the embeddings


@pytest.mark.parametrize("wish", [True, False])
def test_the_recipe_has_the_last_word(other: Model, wish: bool) -> None:
    assert compiles(wish, other, tokens=1.0, device=CPU) == (
        wish,
        f"torch.compile: {'yes' if wish else 'no'}, as the recipe says",
    )


def test_where_the_encoder_is_ours_there_is_nothing_to_compile(bench: Bench) -> None:
    model = bench.model()
    assert compiles("auto", model, tokens=1e30, device=CPU)[0] is False
    with pytest.raises(RecipeError, match="hone's own encoder"):
        compiles(True, model, tokens=1.0, device=CPU)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # the compiler looks at all of them
def test_a_compiled_training_learns_the_same(
    other: Model, bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Traced by the compiler and run by torch: generating code would take a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    start = state_of(other)
    states = []
    for compiled in (False, True):
        other.load_state_dict(start)
        loop = bench.loop(model=other, torch_compile=compiled, num_train_epochs=1.0, folder=f"run-{compiled}")
        assert (loop.prepared is not loop.model) is compiled
        bench.run(loop)
        states.append(state_of(loop.model))
    assert not same(start, states[0])
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-6)


def test_a_net_is_compiled_where_the_recipe_says_so_alone(tmp_path: Path) -> None:
    net_config = config(DanSettings(hidden=8, embedding=8), 30)
    Dan(net_config).save_pretrained(tmp_path)
    model = build_model(tmp_path, HeadSpec("sequence-mean", ("broken", "refund")))
    assert compiles("auto", model, tokens=1e30, device=CPU)[0] is False
    assert compiles(True, model, tokens=1.0, device=CPU)[0] is True
