"""Settings refuse what they do not know, are strict about types, and tell every fault at once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator

from hone.core.choice import each
from hone.core.settings import FaultyValue, Settings, check_settings


class Inner(Settings):
    depth: int = 1


class Sources(Settings):
    """A section whose parts are sections too, and one that may be missing."""

    inner: Inner | None = None
    parts: dict[str, Inner] = {}
    probes: list[Inner] = []
    filters: list[str] = []
    low: int = 0
    high: int = 1

    @model_validator(mode="after")
    def _rising(self) -> Sources:
        if self.low > self.high:
            raise ValueError(f"low no more than high ({self.high})")
        return self


class Sample(Settings):
    rate: Annotated[float, Field(gt=0)]
    method: Literal["full", "lora", "prefix"] = "full"
    inner: Inner = Inner()

    @field_validator("rate")
    @classmethod
    def _not_thirteen(cls, value: float) -> float:
        if value == 13:
            raise ValueError("anything but 13")
        return value


def test_good_values_give_the_model_and_no_faults() -> None:
    model, faults = check_settings(Sample, {"rate": 0.5, "inner": {"depth": 3}})
    assert faults == []
    assert model == Sample(rate=0.5, inner=Inner(depth=3))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Sample(rate=1.0).rate = 2.0  # type: ignore[misc]


def test_every_fault_is_told_with_its_dotted_field() -> None:
    model, faults = check_settings(Sample, {"rate": "fast", "inner": {"depth": 1.5}, "method": "x"}, at="stages.0")
    assert model is None
    assert {fault.field for fault in faults} == {"stages.0.rate", "stages.0.method", "stages.0.inner.depth"}


def test_numbers_in_quotes_are_no_numbers() -> None:
    _, faults = check_settings(Sample, {"rate": "0.5"})
    assert [(fault.code, fault.found, fault.field) for fault in faults] == [("recipe.float-type", "'0.5'", "rate")]


def test_an_unknown_key_is_named_with_the_nearest_known_one() -> None:
    _, faults = check_settings(Sample, {"rate": 1.0, "metod": "full"})
    (fault,) = faults
    assert (fault.code, fault.field) == ("recipe.unknown-key", "metod")
    assert "'method'" in fault.fix


def test_an_unknown_key_of_a_section_is_placed_in_it() -> None:
    _, faults = check_settings(Sample, {"rate": 1.0, "inner": {"dept": 1}})
    assert [(fault.code, fault.field) for fault in faults] == [("recipe.unknown-key", "inner.dept")]


@pytest.mark.parametrize(
    "values", [{"inner": {"dept": 1}}, {"parts": {"one": {"dept": 1}}}, {"probes": [{"depth": 2}, {"dept": 1}]}]
)
def test_a_key_is_looked_for_in_the_section_that_it_stands_in(values: dict[str, Any]) -> None:
    _, (fault,) = check_settings(Sources, values)
    assert fault.fix == "Did you mean 'depth'?"


def test_a_key_that_belongs_further_out_is_sent_there() -> None:
    _, (fault,) = check_settings(Sources, {"parts": {"one": {"filters": []}}})
    assert fault.field == "parts.one.filters"
    assert fault.fix == "Put it beside 'parts', not within."


def test_of_a_section_that_does_not_hold_together_only_what_is_wrong_is_shown() -> None:
    _, (fault,) = check_settings(Sources, {"low": 3, "high": 2, "filters": ["a"]})
    assert fault.found == "{low: 3, high: 2}"


def test_a_key_left_out_is_said_to_be_required() -> None:
    _, faults = check_settings(Sample, {})
    (fault,) = faults
    assert (fault.code, fault.found, fault.field) == ("recipe.missing", "nothing", "rate")
    assert "required" in fault.expected


def test_a_word_that_is_none_of_the_choices_gets_the_nearest_one() -> None:
    _, faults = check_settings(Sample, {"rate": 1.0, "method": "lorra"})
    (fault,) = faults
    assert fault.code == "recipe.literal-error"
    assert fault.fix == "Did you mean 'lora'?"
    assert "'prefix'" in fault.expected


def test_a_choice_of_the_wrong_type_gets_no_guess() -> None:
    _, faults = check_settings(Sample, {"rate": 1.0, "method": 3})
    assert [(fault.found, fault.fix) for fault in faults] == [("3", "")]


def test_a_model_of_its_own_words_is_told_in_them() -> None:
    _, faults = check_settings(Sample, {"rate": 13.0})
    assert [(fault.code, fault.expected) for fault in faults] == [("recipe.value-error", "anything but 13")]


def test_defaults_are_checked_too() -> None:
    class Wrong(Settings):
        count: int = "three"  # type: ignore[assignment]

    model, faults = check_settings(Wrong, {})
    assert model is None
    assert [fault.field for fault in faults] == ["count"]


class Part(Settings):
    size: Annotated[int, Field(ge=1)] = 1
    deep: dict[str, int] = {}


class Whole(Settings):
    parts: list[Any] = []

    @field_validator("parts", mode="before")
    @classmethod
    def _each(cls, value: list[Any]) -> list[Any]:
        return each(value, checked)


def checked(value: Any) -> Any:
    made, faults = check_settings(Part, value)
    if faults:
        raise FaultyValue(faults)
    return made


def test_faults_within_a_value_name_their_place_in_it_all_together() -> None:
    _, faults = check_settings(Whole, {"parts": [{"size": 0, "deep": {"a": "x"}}, {}, {"sise": 1}]}, at="top")
    assert [(fault.code, fault.field) for fault in faults] == [
        ("recipe.greater-than-equal", "top.parts.0.size"),
        ("recipe.int-type", "top.parts.0.deep.a"),
        ("recipe.unknown-key", "top.parts.2.sise"),
    ]
