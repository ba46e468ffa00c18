"""Errors name their place, carry their code and the exit code of the command, and hold every fault."""

from __future__ import annotations

import pytest

from hone.core import errors
from hone.core.errors import DataError, Fault, HoneError, MissingExtra, RecipeError, did_you_mean


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("x", "a cell", file="a.csv", line=3, field="text"), "a.csv:3: text: found a cell"),
        (Fault("x", "a cell", file="a.csv"), "a.csv: found a cell"),
        (Fault("x", "a cell", field="data.train"), "data.train: found a cell"),
        (Fault("x", "a cell", line=7), ":7: found a cell"),
        (Fault("x", "a cell"), "found a cell"),
        (Fault("x", "a cell", "two", fix="Quote it."), "found a cell; expected two. Quote it."),
    ],
)
def test_a_fault_says_where_it_is_and_what_was_expected(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_a_message_holds_what_was_found_and_expected_every_fault_and_the_fix() -> None:
    faults = [Fault("data.null", "null", file="a.jsonl", line=1), Fault("data.nan", "NaN", file="a.jsonl", line=9)]
    error = HoneError("two rows are bad.", expected="good rows.", fix="Mend them.", faults=faults)
    assert str(error).split("\n") == [
        "two rows are bad. Expected good rows.",
        "  a.jsonl:1: found null",
        "  a.jsonl:9: found NaN",
        "Mend them.",
    ]


def test_an_error_without_more_is_one_sentence_with_a_code() -> None:
    error = HoneError("the disk is full")
    assert (str(error), error.code, error.faults) == ("the disk is full.", "hone.failed", ())


def test_one_error_of_several_faults_takes_the_code_of_the_first_and_counts_them() -> None:
    error = RecipeError.of([Fault("recipe.a", "one"), Fault("recipe.b", "two")], what="the recipe", fix="Mend it.")
    assert type(error) is RecipeError
    assert (error.code, len(error.faults), error.fix) == ("recipe.a", 2, "Mend it.")
    assert "2 faults" in str(error)


def test_a_single_fault_is_not_counted() -> None:
    error = DataError.of([Fault("data.null", "null", file="a.csv", line=2)], what="a.csv")
    assert "1 fault" not in str(error)
    assert "a.csv:2" in str(error)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("HoneError", 1),
        ("RecipeError", 2),
        ("DataError", 2),
        ("BundleError", 2),
        ("DeviceError", 2),
        ("MissingExtra", 2),
        ("GateNotMet", 3),
    ],
)
def test_each_kind_of_error_has_the_exit_code_that_the_tree_draws(name: str, code: int) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, HoneError)
    assert kind.exit_code == code
    assert any(name in line and f" {code} " in line for line in _tree())


def _tree() -> list[str]:
    return (errors.__doc__ or "").split("\n")


def test_a_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtra("datasets", extra="hub", needed_for="the source hub:x")
    assert error.code == "extra.missing"
    assert "hone[hub]" in error.fix
    assert "datasets" in str(error)


def test_did_you_mean_names_the_nearest() -> None:
    assert did_you_mean("finetun", ["evaluate", "finetune"]) == "Did you mean 'finetune'?"


def test_did_you_mean_names_what_begins_so() -> None:
    known = ["relation-extraction", "translation"]
    assert did_you_mean("relation", known) == "Did you mean 'relation-extraction'?"


def test_did_you_mean_passes_over_what_means_something_else() -> None:
    assert did_you_mean("text_b", ["text_a", "id"], taken=["text_a", "text_b"]) == "Known: id, text_a."


def test_did_you_mean_lists_everything_when_nothing_is_near() -> None:
    assert did_you_mean("xyz", ["evaluate", "audit"]) == "Known: audit, evaluate."


def test_did_you_mean_says_nothing_when_nothing_is_known() -> None:
    assert did_you_mean("xyz", []) == ""
