"""Losses over pairs of texts: what they are before training, their gradients, their sums; what the reference says."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pytest
import torch
from task_cases import gradients
from torch import Tensor

from hone.core.settings import check_settings
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.tasks.make import make_task
from hone.tasks.pairs import Pairs
from hone.tasks.protocol import FloatArray, LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS
from hone.tasks.written import WrittenText
from hone.train.prefer_settings import LOSSES, PreferSettings
from hone.train.preferred import Preferred

COLUMNS = {
    "prompt": ["my card is", "the screen is", "where is the money", "reset", "my old phone"],
    "chosen": ["late", "broken and old", "in the bank", "the password please", "does not work"],
    "rejected": ["late late late", "broken old", "bank", "the card", "does work work"],
}
CHOICES: list[dict[str, Any]] = [
    {"name": "dpo", "beta": 0.5},
    {"name": "dpo", "beta": 0.3, "label_smoothing": 0.2},
    {"name": "ipo", "tau": 0.2},
    {"name": "ipo", "tau": 0.2, "per_token": False},
    {"name": "unlikelihood", "weight": 0.7},
]
Kind = Literal["bart", "gpt2"]
TASK: dict[Kind, str] = {"bart": "translation", "gpt2": "text-generation"}


class Made(NamedTuple):
    """A model, its task over pairs, the encoded pairs, and what another model says of them."""

    model: Model
    pairs: Pairs
    rows: Rows
    own: FloatArray
    reference: FloatArray


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Made]:
    return {kind: _made(kind, tmp_path_factory.mktemp(kind)) for kind in TASK}


def _made(kind: Kind, folder: Path) -> Made:
    settings, _ = check_settings(SETTINGS[TASK[kind]], {})
    assert settings is not None
    bases = [write_tiny_writer(folder / str(seed), kind=kind, seed=seed) for seed in (0, 1)]
    task = make_task(TASK[kind], settings, labels=(), folder=bases[0])
    assert isinstance(task, WrittenText)
    pairs = Pairs(task)
    rows = Rows(pairs.encode(COLUMNS, purpose="learn"))
    models = [build_model(base, task.head, dropout=0.0) for base in bases]
    said = [
        np.stack(score_rows(cast(Task, pairs), TorchEngine(model, torch.device("cpu")), rows))[:, :, 0]
        for model in models
    ]
    return Made(models[0].train(), pairs, rows, *said)


def learning(made: Made, loss: dict[str, Any], reference: FloatArray, *, sft_weight: float = 0.0) -> Preferred:
    return Preferred(made.pairs, PreferSettings(loss=loss, sft_weight=sft_weight), reference)


def loss_of(made: Made, task: Preferred, index: Any) -> tuple[Tensor, float]:
    batch = task.collate(made.rows, np.array(index))
    found = task.loss(made.model(batch), batch, options=LossOptions())
    return found.total, found.weight


@pytest.mark.parametrize("kind", TASK)
def test_before_training_the_losses_are_what_no_preference_gives(kind: Kind, made: dict[Kind, Made]) -> None:
    everything = range(len(made[kind].rows))
    for loss, expected in (
        ({"name": "dpo", "beta": 0.5}, math.log(2)),
        ({"name": "dpo", "label_smoothing": 0.3}, math.log(2)),
        ({"name": "ipo", "tau": 0.25}, 4.0),
        ({"name": "ipo", "tau": 0.25, "per_token": False}, 4.0),
    ):
        total, weight = loss_of(made[kind], learning(made[kind], loss, made[kind].own), everything)
        assert total.item() / weight == pytest.approx(expected, abs=1e-4), loss


def tokens_of(model: Model, kind: Kind, made: Made, side: int) -> list[tuple[Tensor, Tensor]]:
    """Logits and tokens of each text, by transformers alone, a text at a time."""
    rows, backbone = made.rows.sides, cast(Any, model.backbone)
    found = []
    for i in range(len(made.rows)):
        read, written = (
            torch.from_numpy(rows.row(name, i + side * len(made.rows)).astype(np.int64))
            for name in ("input_ids", "target_ids")
        )
        if kind == "gpt2":
            logits = backbone(input_ids=torch.cat([read, written])[None]).logits[0, len(read) - 1 : -1]
        else:
            begin = torch.tensor([backbone.config.decoder_start_token_id])
            before = torch.cat([begin, written[:-1]])
            logits = backbone(input_ids=read[None], decoder_input_ids=before[None]).logits[0]
        found.append((logits, written))
    return found


def by_the_papers(loss: dict[str, Any], kind: Kind, made: Made) -> Tensor:
    """The mean loss, from the formulas."""
    total = torch.zeros(())
    sides = [tokens_of(made.model, kind, made, side) for side in (0, 1)]
    for i, ((good, gold), (bad, wrong)) in enumerate(zip(*sides, strict=True)):
        chances = [x.softmax(-1).gather(1, y[:, None])[:, 0] for x, y in ((good, gold), (bad, wrong))]
        first, second = (each.log() for each in chances)
        ratios = [each.sum() - float(made.reference[i, side]) for side, each in enumerate((first, second))]
        if loss["name"] == "dpo":
            h, e = loss["beta"] * (ratios[0] - ratios[1]), loss.get("label_smoothing", 0.0)
            total = total - (1 - e) * torch.log(1 / (1 + torch.exp(-h))) - e * torch.log(1 / (1 + torch.exp(h)))
        elif loss["name"] == "ipo":
            sizes = (len(gold), len(wrong)) if loss.get("per_token", True) else (1, 1)
            total = total + (ratios[0] / sizes[0] - ratios[1] / sizes[1] - 1 / (2 * loss["tau"])) ** 2
        else:
            shared = 0
            while shared < min(len(gold), len(wrong)) and gold[shared] == wrong[shared]:
                shared += 1
            total = total - first.mean() - loss["weight"] * (1 - chances[1][shared:]).log().mean()
    return total / len(made.rows)


@pytest.mark.parametrize("loss", CHOICES, ids=str)
@pytest.mark.parametrize("kind", TASK)
def test_value_and_gradient_are_those_of_the_papers(kind: Kind, loss: dict[str, Any], made: dict[Kind, Made]) -> None:
    one = made[kind]._replace(model=copy.deepcopy(made[kind].model).double())
    total, weight = loss_of(one, learning(one, loss, one.reference), range(len(one.rows)))
    (total / weight).backward()
    found = gradients(one.model)
    expected = by_the_papers(loss, kind, one)
    expected.backward()
    wanted = gradients(one.model)
    assert total.item() / weight == pytest.approx(expected.item(), rel=1e-4)
    size = max(value.abs().max().item() for value in wanted.values())
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.allclose(found[name] / size, value / size, atol=1e-6), name


@pytest.mark.parametrize("name", LOSSES)
def test_batches_of_pairs_add_up_to_the_whole(name: str, made: dict[Kind, Made]) -> None:
    one = made["bart"]
    task = learning(one, {"name": name}, one.reference, sft_weight=0.3)
    total, weight = loss_of(one, task, range(5))
    total.backward()
    expected = gradients(one.model)
    parts = [loss_of(one, task, index) for index in ([3], [0, 4], [2, 1])]
    for part, _ in parts:
        part.backward()
    assert sum(own for _, own in parts) == weight == 5
    assert sum(part.item() for part, _ in parts) == pytest.approx(total.item(), rel=1e-5)
    for key, value in gradients(one.model).items():
        assert torch.allclose(value, expected[key], rtol=1e-4, atol=1e-4), key


@pytest.mark.parametrize("kind", TASK)
def test_the_reference_is_what_the_task_says_of_each_text(kind: Kind, made: dict[Kind, Made]) -> None:
    one, task = made[kind], cast(Task, made[kind].pairs.task)
    engine = TorchEngine(one.model, torch.device("cpu"))
    name = task.inputs[0].name
    for side, field in enumerate(("chosen", "rejected")):
        columns = {name: COLUMNS["prompt"], task.targets[0].name: COLUMNS[field]}
        rows = Rows(task.encode(columns, purpose="learn"))
        silent = cast(Any, task).silent()
        answers = silent.join(columns, rows, score_rows(silent, engine, rows), constants={})
        said = [answer["reference_log_probability"] for answer in answers]
        assert said == pytest.approx(one.own[:, side].tolist(), abs=1e-4)
    one.model.train()


def test_what_is_certain_can_still_be_unlearned(made: dict[Kind, Made]) -> None:
    from hone.train.preference_losses import log_not

    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)  # 1 - p is below what float32 tells from 0
    log_not(logits, torch.tensor([0])).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].item() == pytest.approx(-1.0)
