"""Frozen layers: what they give is made once, training on it is training through them, and they learn nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_bench import Bench, dataset, state_of

from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.core.errors import HoneError, RecipeError
from hone.core.progress import Silent
from hone.models.base import resolve_base
from hone.models.model import Model
from hone.tasks.protocol import LossOptions
from hone.tasks.settings import TextClassificationSettings
from hone.train.finetune import finetune
from hone.train.frozen import FrozenStates, frozen_states
from hone.train.probe import fit_head, probed
from hone.train.settings import FinetuneSettings


def frozen_model(bench: Bench, layers: int) -> Model:
    model = bench.model()
    model.freeze(layers)
    return model


def states(bench: Bench, model: Model, *, key: str = "key") -> FrozenStates:
    return frozen_states(model, bench.task, bench.rows(), cache=bench.folder / "cache", key=key, progress=Silent())


@pytest.mark.parametrize("layers", [1, 2])
def test_training_on_kept_states_is_training_through_the_layers(bench: Bench, layers: int) -> None:
    ends = []
    for kept in (False, True):
        model = frozen_model(bench, layers)
        given = states(bench, model) if kept else None
        bench.run(bench.loop(model=model, frozen=given, max_steps=12, learning_rate=1e-2, folder=f"run-{kept}"))
        ends.append(state_of(model))
    for name, value in ends[0].items():
        if name.endswith("key.bias"):  # softmax cancels it: its gradient is rounding, which Adam blows up
            continue
        torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-5)


def test_a_head_is_fitted_to_kept_states_as_through_the_layers(bench: Bench) -> None:
    def fitted(model: Model, given: FrozenStates | None) -> torch.Tensor:
        fit_head(model, bench.task, bench.rows(), seed=0, options=LossOptions(), progress=Silent(),
                 device=torch.device("cpu"), frozen=given)  # fmt: skip
        return probed(model).weight.detach().clone()

    model = frozen_model(bench, 2)
    through, kept = fitted(model, None), states(bench, model)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.zero_()  # what is read of the texts themselves says nothing now
    torch.testing.assert_close(fitted(model, kept), through, rtol=1e-3, atol=1e-4)
    assert (fitted(model, None) - through).abs().max() > 0.1


def test_frozen_weights_stay_and_the_others_learn(bench: Bench) -> None:
    model = frozen_model(bench, 1)
    before = state_of(model)
    bench.run(bench.loop(model=model, frozen=states(bench, model), max_steps=5, weight_decay=0.1))
    changed = {name for name, value in state_of(model).items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "embeddings" not in name and "layer.0." not in name}


def test_the_states_are_made_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    model = frozen_model(bench, 1)
    first = states(bench, model)

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(Model, "lower_states", refuse)
    index = bench.rows().lengths.argsort()[:5]
    assert torch.equal(states(bench, model).of(index), first.of(index))
    with pytest.raises(AssertionError, match="made again"):
        states(bench, model, key="another")
    assert [path.name for path in (bench.folder / "cache" / "states").iterdir()] == ["key.float32"]


def test_frozen_layers_run_without_dropout_while_the_others_have_it(bench: Bench) -> None:
    model = bench.model(dropout=0.5)
    model.freeze(1)
    model.train()
    batch = bench.task.collate(bench.rows(), bench.rows().lengths.argsort()[:3])
    assert torch.equal(model.lower_states(batch), model.lower_states(batch))
    assert not torch.equal(model(batch)["logits"], model(batch)["logits"])


def test_a_disk_that_takes_no_states_is_told(bench: Bench) -> None:
    (bench.folder / "cache").mkdir()
    (bench.folder / "cache" / "states").write_text("a file where the folder should be")
    with pytest.raises(HoneError, match="states of the frozen layers could not be written") as caught:
        states(bench, frozen_model(bench, 1))
    assert caught.value.code == "train.states-not-saved"


def run(base: Path, folder: Path, **settings: Any) -> Any:
    inputs = Inputs(
        task=TaskChoice("text-classification", TextClassificationSettings()),
        base=resolve_base(str(base)),
        data={"train": dataset()},
    )
    chosen = FinetuneSettings.model_validate({"max_steps": 3, "save_steps": None, **settings})
    return finetune(chosen, inputs, Run(seed=1, device="cpu", folder=folder, target=folder / "bundle",
                                        cache=folder.parent / "cache"))  # fmt: skip


def test_the_stage_freezes_what_it_is_told_to(tiny_base: Path, tmp_path: Path) -> None:
    outcome = run(tiny_base, tmp_path / "one", freeze_layers=2)
    assert outcome.bundle is not None
    assert list((tmp_path / "cache" / "states").iterdir())


def test_more_layers_than_there_are_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="3, and a base of 2 layers"):
        run(tiny_base, tmp_path / "one", freeze_layers=3)


def test_a_base_whose_layers_are_not_known_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_base.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = (other / "config.json").read_text().replace('"model_type": "bert"', '"model_type": "electra"')
    (other / "config.json").write_text(config)
    with pytest.raises(RecipeError, match="a base of type 'electra'"):
        run(other, tmp_path / "one", freeze_layers=1)
