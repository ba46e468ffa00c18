"""``section.KEY=VALUE`` in the commands of one stage, as in an override of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ended import Hone

from hone.bundle.bundle import Bundle
from hone.cli.arguments import beside, nested
from hone.core.errors import RecipeError
from hone.pipeline.overrides import apply_overrides

WRITER = "{architecture: gpt2, hidden: 16, layers: 1, heads: 2, max_length: 64, tokenizer: {vocab_size: 300}}"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"a": 1, "b.c": 2, "b.d.e": 3}, {"a": 1, "b": {"c": 2, "d": {"e": 3}}}),
        ({"method": "lora", "method.r": 4}, {"method": {"name": "lora", "r": 4}}),
        ({"method": {"name": "lora"}, "method.r": 4}, {"method": {"name": "lora", "r": 4}}),
        ({"joint.weight": 0.1, "joint": {"objective": "mlm"}}, {"joint": {"objective": "mlm", "weight": 0.1}}),
        ({"joint": {"objective": "mlm", "weight": 1}, "joint.objective.probability": 0.2},
         {"joint": {"objective": {"name": "mlm", "probability": 0.2}, "weight": 1}}),
        ({"a": {"b": {"c": 1}}, "a.b.d": 2}, {"a": {"b": {"c": 1, "d": 2}}}),
    ],
)  # fmt: skip
def test_keys_of_a_section_make_one_mapping(given: dict[str, Any], made: dict[str, Any]) -> None:
    assert nested(given) == made


@pytest.mark.parametrize(
    ("argument", "field"),
    [
        ("task.decoding.num_beams=0", "task.decoding.num_beams: found 0"),
        ("task.decoding.num_beam=2", "Did you mean 'num_beams'?"),
        ("joint.objective=mml", "joint.objective"),
        ("sampling.pwer=1", "Did you mean 'power'?"),
        ("parallel.tensor=0", "parallel.tensor: found 0"),
    ],
)
def test_a_fault_of_such_a_key_names_it(
    run: Hone, texts: dict[str, Path], tmp_path: Path, argument: str, field: str
) -> None:
    ended = run("finetune", texts["train"], "--out", tmp_path / "b", "--task", "text-generation", "--base", WRITER,
                argument)  # fmt: skip
    assert ended.code == 2
    assert field in ended.err


def test_a_single_value_further_in_is_told_with_the_whole_key() -> None:
    with pytest.raises(RecipeError, match=r"a\.b\.c beside a\.b=1"):
        nested({"a.b": 1, "a.b.c": 2})


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"method": "int8"}, {"method": "onnx"}),
        ({"method": "int8"}, {"method.name": "onnx"}),
        ({"method": "search"}, {"method": {"name": "int8"}}),
        ({"decoding.num_beams": 2}, {"decoding.num_beams": 4}),
        ({"decoding.num_beams": 2}, {"decoding": {"num_beams": 4}}),
    ],
)
def test_what_an_option_says_is_not_said_otherwise_beside_it(options: dict[str, Any], settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as raised:
        beside(options, settings)
    assert raised.value.code == "recipe.override"
    assert beside(options, {"method.bits": 4}) == {**options, "method.bits": 4}


def test_the_commands_refuse_an_option_and_its_key_together(
    run: Hone, text_bundle: Path, texts: dict[str, Path], tmp_path: Path
) -> None:
    out, train = ("--out", tmp_path / "b"), texts["train"]
    for arguments, key in (
        (["compress", text_bundle, train, *out, "--method", "int8", "method=onnx"], "method=onnx"),
        (["compress", text_bundle, train, *out, "--search", "method=int8"], "method=int8"),
        (["pretrain", train, *out, "--objective", "clm", "objective=mlm"], "objective=mlm"),
        (["reinforce", text_bundle, train, *out, "--reward", text_bundle, "reward=other"], "reward=other"),
        (["reinforce", text_bundle, train, *out, "--reward", "r", "--label", "a", "label=b"], "label=b"),
    ):
        ended = run(*arguments)
        assert ended.code == 2
        assert f"found {key}" in ended.err
        assert not (tmp_path / "b").exists()


def test_a_single_value_has_no_keys(run: Hone, texts: dict[str, Path], tmp_path: Path) -> None:
    ended = run("finetune", texts["train"], "--out", tmp_path / "b", "optim=adamw", "optim.rate=1")
    assert ended.code == 2
    assert "optim.rate beside optim=adamw" in ended.err


def test_a_recipe_that_is_inspected_takes_no_settings(run: Hone, recipe: Path) -> None:
    ended = run("inspect", recipe, "seed=7")
    assert (ended.code, ended.out) == (2, "")
    assert "a recipe, and beside it seed=7" in ended.err


def test_how_texts_are_written_is_set_where_a_bundle_is_made(run: Hone, texts: dict[str, Path], tmp_path: Path) -> None:
    ended = run("finetune", texts["train"], "--out", tmp_path / "b", "--task", "text-generation", "--base", WRITER,
                "--validation", "none", "task.decoding.max_new_tokens=5", "max_steps=1")  # fmt: skip
    assert ended.code == 0, ended.err
    record = Bundle.open(tmp_path / "b").manifest.task
    assert record is not None
    assert record.settings["decoding"]["max_new_tokens"] == 5

    for command in (["evaluate"], ["compare", tmp_path / "b"]):  # one setting each way: neither takes the other's place
        ended = run(*command, tmp_path / "b", texts["test"], "--decoding", "num_beams=0", "decoding.max_new_tokens=0")
        assert ended.code == 2
        assert "decoding.num_beams: found 0" in ended.err
        assert "decoding.max_new_tokens: found 0" in ended.err


def test_a_bare_name_and_a_setting_of_it_are_one_section_as_in_commands_of_one_stage() -> None:
    values: dict[str, Any] = {"stages": [{"kind": "prefer", "loss": "dpo", "joint": {"objective": "mlm"}}]}
    apply_overrides(values, ["stages.0.loss.beta=0.2", "stages.0.joint.objective.probability=0.3"])
    assert values["stages"][0]["loss"] == {"name": "dpo", "beta": 0.2}
    assert values["stages"][0]["joint"] == {"objective": {"name": "mlm", "probability": 0.3}}
