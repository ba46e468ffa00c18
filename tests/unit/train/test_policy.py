"""A policy learns from the very texts that it draws, and from no more of them at a time than a step has."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.models.adapters.prompts import TokensBefore
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.models.tokenizer import load_tokenizer
from hone.predict.predictor import load
from hone.predict.rewards import Reward
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS, TASKS
from hone.train.policy import STRIDE, Policy, chances_of
from hone.train.rounded import InTraining

TEMPLATE = (  # its answers end otherwise than texts do
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|system|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
TALKS = [[{"role": "user", "text": text}] for text in ("my card", "the screen", "the bank")]
GIVEN: dict[str, tuple[str, dict[str, Any]]] = {
    "translation": ("bart", {"source": ["my card", "the screen", "the bank"]}),
    "text-generation": ("gpt2", {"prompt": ["my card", "the screen", "the bank"]}),
    "dialogue": ("gpt2", {"turns": TALKS}),
}


def policy_of(name: str, folder: Path, reward: Path, *, precision: str = "no") -> Policy:
    kind, columns = GIVEN[name]
    base = write_tiny_writer(folder / "base", kind=kind, layers=1)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(base)
    if name == "dialogue":
        pretrained: Any = tokenizer.pretrained
        pretrained.split_special_tokens = False
        pretrained.backend_tokenizer.encode_special_tokens = False
        pretrained.chat_template = TEMPLATE
    settings = SETTINGS[name].model_validate({"decoding": {"max_new_tokens": 40}})
    task = TASKS[name](settings, labels=(), tokenizer=tokenizer, model_limit=64)
    model = build_model(base, task.head, dropout=0.0)
    if name == "text-generation":
        model.before = TokensBefore(torch.randn((2, 32), generator=torch.Generator().manual_seed(1)))
    rows = Rows(task.encode(columns, purpose="predict"))
    engine = InTraining(copy.deepcopy(model), torch.device("cpu"), precision)
    judge = Reward(load(reward), "refund")
    return Policy(task, model, rows=rows, read=task.shown(columns), reward=judge, reference=engine, samples=16,
                  beta=0.1, seed=3)  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_learned_are_the_texts_that_were_drawn(name: str, tmp_path: Path, text_bundle: Path) -> None:
    policy = policy_of(name, tmp_path, text_bundle)
    index = np.array([2, 0])
    drawn = policy.drawn(index, seed=3 + STRIDE * 5)
    batch = policy.act({"prompts": torch.from_numpy(index)}, 4)
    chances = [[text.log_probability for text in texts] for texts in drawn]
    assert batch["reference"].tolist() == [pytest.approx(each, abs=1e-3) for each in chances]
    ends = {text.ending for texts in drawn for text in texts} - {None}
    assert ends == {*policy.task.endings}


def test_what_the_model_is_worth_is_found_by_as_many_texts_as_a_step_has(
    tmp_path: Path, text_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policy_of("translation", tmp_path, text_bundle)
    index = np.arange(3)
    whole = policy.worth(index, seed=1, together=3)
    collate, counts = policy.task.collate, list[int]()
    monkeypatch.setattr(policy.task, "collate", lambda rows, at: counts.append(len(at)) or collate(rows, at))
    parts = policy.worth(index, seed=1, together=1)
    assert counts == [16, 16, 16]
    assert parts == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("name", ["translation", "text-generation"])
def test_what_has_not_learned_yet_is_at_no_distance(
    name: str, precision: str, tmp_path: Path, text_bundle: Path
) -> None:
    policy = policy_of(name, tmp_path, text_bundle, precision=precision)
    batch = policy.act({"prompts": torch.arange(3)}, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):  # as the loop does
        outputs = policy.model(batch)
    assert torch.equal(chances_of(outputs, batch).view(3, -1), batch["reference"])
    policy.loss(outputs, batch, options=LossOptions())
    told = policy.figures()
    assert told["log_ratio"] == 0.0
    assert told["reward"] == pytest.approx(float(batch["rewards"].mean()))
    assert policy.figures() == {}  # of what was learned since
