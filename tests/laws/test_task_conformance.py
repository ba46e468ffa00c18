"""What every task promises, for every entry of the tables and every choice of its settings."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from pydantic import ValidationError
from task_cases import CASES, Case, answered, answers, built, forwarded, learned, least_inputs

from hone.core.settings import check_settings
from hone.data.fields import Field
from hone.models.heads import HEADS
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.protocol import LossOptions, Writing
from hone.tasks.rows import ROWS_SCHEMA
from hone.tasks.settings import TextSettings
from hone.tasks.table import SETTINGS, TASKS

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_task = pytest.mark.parametrize("case", [case for case in CASES if not case.changed], ids=str)
every_setting = pytest.mark.parametrize("name", list(SETTINGS))


def close(one: Any, other: Any) -> None:
    """Two predictions are equal up to rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            close(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            close(a, b)
    else:
        assert one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one == other


def test_every_task_has_settings_and_none_has_settings_alone() -> None:
    assert list(TASKS) == list(SETTINGS)


@every_setting
def test_settings_construct_without_any_value(name: str) -> None:
    assert isinstance(SETTINGS[name](), TextSettings)


@every_setting
def test_settings_refuse_an_unknown_key(name: str) -> None:
    settings, faults = check_settings(SETTINGS[name], {"no_such_key": 1})
    assert settings is None
    assert [(fault.code, fault.field) for fault in faults] == [("recipe.unknown-key", "no_such_key")]


@every_setting
def test_settings_are_frozen(name: str) -> None:
    settings = SETTINGS[name]()
    with pytest.raises(ValidationError):
        settings.stride = 3


@every_setting
def test_settings_explain_each_attribute(name: str) -> None:
    explained = " ".join(kind.__doc__ or "" for kind in SETTINGS[name].__mro__)
    assert [key for key in SETTINGS[name].model_fields if f"{key}:" not in explained] == []


@every_case
def test_settings_survive_the_manifest(case: Case) -> None:
    settings = SETTINGS[case.name].model_validate(case.changed)
    assert check_settings(SETTINGS[case.name], json.loads(settings.model_dump_json())) == (settings, [])


def test_every_head_serves_a_task(tiny_base: Path) -> None:
    objectives = {OBJECTIVES[name].kind.head.kind for name in OBJECTIVES}
    assert {case.task(tiny_base).head.kind for case in CASES} | objectives >= set(HEADS)


@pytest.mark.parametrize("name", list(HEADS))
def test_every_head_names_a_class_of_transformers(name: str) -> None:
    assert hasattr(transformers, HEADS[name].auto_class)
    assert HEADS[name].gives in ("logits", "hidden")


@every_case
def test_a_head_has_weights_of_its_own_unless_transformers_gives_the_logits(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    if model.head.gives == "logits" or task.says == "direction":
        assert not list(model.head.parameters())
    else:
        assert list(model.head.parameters())


@every_task
def test_fields_are_declared(case: Case) -> None:
    for declared in case.shape.fields:
        assert isinstance(declared, Field)
    assert case.inputs()
    assert case.shape.targets or case.kind.says == "tokens"  # then the text itself is what is learned


@every_case
def test_a_task_bears_its_tables_name_and_what_it_was_made_with(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    assert task.name == case.name
    stated = {**SETTINGS[case.name]().model_dump(), **case.changed}
    decided = task.settings.model_dump()  # None and auto are what a task leaves to its training data
    assert decided == {**decided, **{key: value for key, value in stated.items() if value not in (None, "auto")}}
    assert task.head.labels == task.labels


@every_task
def test_labels_depend_on_neither_order_nor_repetition(case: Case) -> None:
    columns = case.columns()
    turned = {name: [*values[::-1], *values] for name, values in columns.items()}
    assert case.kind.labels_in(columns) == case.kind.labels_in(turned)
    assert len(set(case.kind.labels_in(columns))) == len(case.kind.labels_in(columns))


@every_case
def test_rows_have_the_declared_columns(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    schema = task.encode(case.columns(), purpose="learn").schema
    assert dict(zip(schema.names, schema.types, strict=True)) == task.row_schema
    assert set(ROWS_SCHEMA) <= set(schema.names)


@every_case
def test_rows_to_predict_are_rows_to_learn_without_targets(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    learn = task.encode(case.columns(), purpose="learn")
    predict = task.encode(case.inputs(), purpose="predict")
    longer = {"text_tokens"} if any(field.kind == "answered" for field in case.shape.targets) else set()
    names = [name for name in predict.schema.names if name not in longer]  # the answer is part of a conversation
    assert predict.select(names).equals(learn.select(names))
    assert set(learn.schema.names) - set(predict.schema.names)


@every_case
def test_examples_encoded_in_parts_are_those_encoded_at_once(case: Case, tiny_base: Path) -> None:
    task, columns = case.task(tiny_base), case.columns()
    at_once = task.encode(columns, purpose="learn").to_pylist()
    parts = [
        row
        for start in range(0, 18, 7)
        for row in task.encode(
            {name: values[start : start + 7] for name, values in columns.items()}, purpose="learn", start=start
        ).to_pylist()
    ]
    assert parts == at_once
    assert sorted({row["example"] for row in at_once}) == list(range(18))


@every_case
def test_no_row_is_longer_than_the_task_allows(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    rows = learned(task, case.columns())
    assert task.collate(rows, np.arange(len(rows)))["input_ids"].shape[1] <= task.max_tokens <= 64
    assert rows.lengths.min() > 0


@every_case
def test_loss_falls_within_a_few_steps(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    model = copy.deepcopy(model)
    rows = learned(task, case.columns())
    batch = task.collate(rows, np.arange(len(rows)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    means: list[float] = []
    while len(means) < 32 and (not means or means[-1] >= means[0] * 0.9):
        loss = task.loss(model(batch), batch, options=LossOptions())
        means.append(float(loss.total.detach()) / loss.weight)
        loss.total.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert np.isfinite(means).all()
    assert means[-1] < means[0] * 0.9


@every_case
def test_each_example_gets_its_own_answer_in_order(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    inputs, predictions = case.inputs(), answers(case, tiny_base)
    assert len(predictions) == 18
    for i in (0, 5, 17):
        [alone] = answered(task, model, {name: [values[i]] for name, values in inputs.items()})
        close(alone, predictions[i])


@every_case
def test_answers_are_json_of_one_shape(case: Case, tiny_base: Path) -> None:
    predictions = answers(case, tiny_base)
    assert json.loads(json.dumps(predictions, allow_nan=False)) == predictions
    assert len({tuple(prediction) for prediction in predictions}) == 1
    assert isinstance(predictions[0]["truncated"], bool)


@every_case
def test_no_input_gives_no_answer(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    assert answered(task, model, {name: [] for name in case.inputs()}) == []


@every_case
def test_empty_text_is_answered(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    inputs = {name: [value, case.inputs()[name][0]] for name, value in least_inputs(case.shape).items()}
    both = answered(task, model, inputs)
    close(both[1], answers(case, tiny_base)[0])
    together = np.arange(2)
    rows = learned(task, case.columns())
    assert len(forwarded(task, model, rows, together)) == 2


@every_case
def test_measures_have_specs_and_the_main_one_is_among_them(case: Case, tiny_base: Path) -> None:
    task, model = built(case, tiny_base)
    measures = []
    for one in (Case(case.name, case.changed, number) for number in range(len(case.kind.shapes()))):
        columns = one.columns()
        if one == case and not isinstance(task, Writing):
            predictions = answers(case, tiny_base)
        else:
            predictions = answered(task, model, columns if isinstance(task, Writing) else one.inputs())
        optional = [field.name for field in one.shape.fields if not field.required]
        without = {name: values for name, values in columns.items() if name not in optional}
        measures += [task.measures(task.tally(predictions, given)) for given in (columns, without)]
    assert all(each.keys() == task.measure_specs.keys() for each in measures)
    assert task.main_measure in task.measure_specs
    for name in task.measure_specs:  # some can be had of data alone that says more, or less
        found = [each[name] for each in measures if each[name] is not None]
        assert found
        assert np.isfinite(found).all()


@every_task
def test_measures_of_nothing_have_no_value(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    tally = task.tally([], {name: [] for name in case.columns()})
    assert tally.shape[0] == 0
    assert task.measures(tally) == dict.fromkeys(task.measure_specs)


@pytest.mark.parametrize("case", [Case(name) for name in TASKS if not hasattr(TASKS[name], "once")], ids=str)
def test_a_tally_counts_each_example_by_itself(case: Case, tiny_base: Path) -> None:
    task, columns, predictions = case.task(tiny_base), case.columns(), answers(case, tiny_base)
    whole = task.tally(predictions, columns)
    parts = [
        task.tally(predictions[a:b], {name: values[a:b] for name, values in columns.items()})
        for a, b in ((0, 5), (5, 5), (5, 18))
    ]
    assert np.array_equal(np.concatenate(parts), whole)
    assert whole.dtype == np.float64


@pytest.mark.parametrize("case", [Case(name) for name in TASKS if TASKS[name].additive], ids=str)
def test_an_additive_tally_is_measured_by_its_sum(case: Case, tiny_base: Path) -> None:
    task = case.task(tiny_base)
    tally = task.tally(answers(case, tiny_base), case.columns())
    assert task.measures(tally) == task.measures(tally.sum(axis=0, keepdims=True))


@every_task
def test_what_went_wrong_is_worse_than_what_went_right(case: Case, tiny_base: Path) -> None:
    scored = (task := case.task(tiny_base)).scored(answers(case, tiny_base), case.columns())
    wrong = [gold != said for gold, said in zip(scored.gold, scored.said, strict=True)]
    assert any(wrong)
    near = [task.says == "number" and bad == 0 for bad in scored.badness]  # a number may be off by a little
    assert [bool(bad > 0) or by_little for bad, by_little in zip(scored.badness, near, strict=True)] == [
        one or by_little for one, by_little in zip(wrong, near, strict=True)
    ]
    assert (scored.badness >= 0).all()
    assert len(scored.texts) == len(wrong) == 18


@every_task
def test_tables_have_a_cell_for_each_column(case: Case, tiny_base: Path) -> None:
    tables = case.task(tiny_base).scored(answers(case, tiny_base), case.columns()).tables
    assert tables
    for grid in tables.values():
        assert all(len(row) == len(grid.columns) for row in grid.rows)
