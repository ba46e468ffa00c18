"""A loss as (total, weight): micro-batches summed are one large batch, in value and in every gradient."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from task_cases import CASES, Case, built, gradients, learned, weights_for

from hone.core.errors import RecipeError
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.table import SETTINGS
from hone.train.together import united

OPTIONS = {
    "plain": lambda task: LossOptions(),
    "weighted": lambda task: LossOptions(class_weights=weights_for(len(task.labels))),
    "weighted and smoothed": lambda task: LossOptions(0.1, weights_for(len(task.labels))),
}


def takes(task: Task, options: LossOptions) -> bool:
    """Whether the task's loss can be shaped so: one over whole sequences cannot."""
    return task.weighs_labels(task.settings) or not task.head.settings.get("crf") or options == LossOptions()


@pytest.mark.parametrize("shape", OPTIONS)
@pytest.mark.parametrize("case", [case for case in CASES if not hasattr(case.kind, "once")], ids=str)
def test_accumulated_micro_batches_equal_one_large_batch(case: Case, shape: str, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    options = OPTIONS[shape](task)
    rows = learned(task, case.columns())
    index = np.arange(len(rows))
    whole = task.collate(rows, index)
    if not takes(task, options):
        with pytest.raises(RecipeError) as raised:
            task.loss(model(whole), whole, options=options)
        assert raised.value.code == "recipe.loss-options"
        return
    loss = task.loss(model(whole), whole, options=options)
    (loss.total / loss.weight).backward()
    expected = gradients(model)
    total = weight = 0.0
    for part in np.split(np.random.default_rng(1).permutation(index), [1, 4, 6]):  # 1, 3, 2 and the rest
        batch = task.collate(rows, part)
        micro = task.loss(model(batch), batch, options=options)
        micro.total.backward()
        total, weight = total + float(micro.total.detach()), weight + micro.weight
    assert weight == pytest.approx(loss.weight, rel=1e-6)
    assert total == pytest.approx(float(loss.total.detach()), rel=1e-5)
    found = gradients(model)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient / weight, expected[name], atol=1e-6), name


@pytest.mark.parametrize("case", [case for case in CASES if hasattr(case.kind, "once")], ids=str)
def test_micro_batches_of_rows_that_are_compared_are_made_one(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    rows = learned(task, case.columns())
    index = np.random.default_rng(1).permutation(len(rows))
    loss = partial(task.loss, options=LossOptions())
    whole = task.collate(rows, index)
    expected = loss(model(whole), whole)
    expected.total.backward()
    wanted = gradients(model)
    parts = [task.collate(rows, part) for part in np.split(index, [1, 4, 6])]
    found = united(model, parts, loss=loss, backward=torch.Tensor.backward, begin=lambda: None)
    assert float(found.total) == pytest.approx(float(expected.total.detach()), rel=1e-5)
    assert found.weight == expected.weight
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, wanted[name], atol=1e-5, rtol=1e-4), name


WEIGHED = [c for c in CASES if c.kind.weighs_labels(SETTINGS[c.name].model_validate(c.changed))]


@pytest.mark.parametrize("case", WEIGHED, ids=str)
def test_equal_class_weights_leave_the_mean_as_it_is(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    options = LossOptions(class_weights=torch.full((len(task.labels),), 3.0))
    rows = learned(task, case.columns())
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.inference_mode():
        outputs = model(batch)
    plain, weighted = (task.loss(outputs, batch, options=chosen) for chosen in (LossOptions(), options))
    means = [float(loss.total.detach()) / loss.weight for loss in (weighted, plain)]
    assert means[0] == pytest.approx(means[1], rel=1e-5)
    assert weighted.weight == pytest.approx(3 * plain.weight)
