"""Each kind of field takes what it should and says precisely what is wrong with the rest."""

from __future__ import annotations

from typing import Any

import pytest

from hone.data.fields import Field, Kind
from hone.data.values import RowChecker

TAGGING = (Field("tokens", "tokens"), Field("tags", "tags"))


def checked(kind: Kind, value: Any, *, all_text: bool = False) -> Any:
    """The value as kept, or the code of the fault."""
    checker = RowChecker((Field("it", kind),), columns={}, all_text=all_text)
    values, faults = checker.check({"it": value, "other": 3}, file="f.jsonl", line=4)
    assert all((fault.file, fault.line, fault.field) == ("f.jsonl", 4, "it") for fault in faults)
    assert len(faults) == (0 if values else 1)
    return values["it"] if values else faults[0].code


@pytest.mark.parametrize(
    ("kind", "raw", "kept"),
    [
        ("text", "hello", "hello"),
        ("text", "", ""),
        ("text", "北京 😀\x00", "北京 😀\x00"),
        ("label", "spam", "spam"),
        ("label", 0, "0"),
        ("label", -3, "-3"),
        ("labels", [30, 4, 4], ["30", "4"]),
        ("labels", ["b", "a", "b"], ["a", "b"]),
        ("labels", (), []),
        ("score", 3, 3.0),
        ("score", -0.25, -0.25),
        ("tokens", ["a", "b"], ["a", "b"]),
        ("references", ["one text", "another | one"], ["one text", "another | one"]),
        ("tokens", ("a",), ["a"]),
        ("tags", ["O", "B-PER", "I-creative-work"], ["O", "B-PER", "I-creative-work"]),
    ],
)
def test_good_values_are_kept(kind: Kind, raw: Any, kept: Any) -> None:
    assert checked(kind, raw) == kept


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("text", None, "data.null"),
        ("text", float("nan"), "data.nan"),
        ("text", 3, "data.text-kind"),
        ("text", ["a"], "data.text-kind"),
        ("text", "half \ud83d", "data.text-kind"),
        ("label", None, "data.null"),
        ("label", float("nan"), "data.nan"),
        ("label", True, "data.label-kind"),
        ("label", 1.0, "data.label-kind"),
        ("label", " ", "data.label-kind"),
        ("label", {"a": 1}, "data.label-kind"),
        ("label", "\udc00", "data.label-kind"),
        ("tokens", None, "data.null"),
        ("tokens", "a b", "data.tokens-kind"),
        ("tokens", [], "data.tokens-kind"),
        ("tokens", ["a", None], "data.tokens-kind"),
        ("tokens", ["a", float("nan")], "data.tokens-kind"),
        ("tokens", ["a", "\ud83d"], "data.tokens-kind"),
        ("tags", ["O", "PER"], "data.tags-kind"),
        ("references", [], "data.references-kind"),
        ("references", ["a", " "], "data.references-kind"),
        ("references", "one text", "data.references-kind"),
        ("tags", ["B-"], "data.tags-kind"),
        ("tags", ["S-PER"], "data.tags-kind"),
        ("tags", [0, 1], "data.tags-kind"),
        ("tags", 3, "data.tags-kind"),
    ],
)
def test_other_values_are_refused_by_code(kind: Kind, raw: Any, code: str) -> None:
    assert checked(kind, raw) == code


def fault(kind: Kind, raw: Any) -> str:
    _, (found,) = RowChecker((Field("it", kind),), columns={}).check({"it": raw}, file="f", line=1)
    return found.found


@pytest.mark.parametrize(
    ("kind", "raw", "named"),
    [
        ("text", 3, "3"),
        ("label", True, "True"),
        ("label", {"a": 1}, "object"),
        ("label", ["a"], "list"),
        ("label", b"raw", "bytes"),
        ("tokens", ["a", 7], "place 2"),
        ("tags", ["O", "O", "S-PER"], "BIOES"),
        ("tags", ["O", "PER"], "'PER' at place 2"),
        ("text", "ab\ud83d", "character 3"),
        ("answers", [{"text": "a"}], "no whole number start at place 1"),
        ("answers", [{"text": " ", "start": 0}], "an empty text at place 1"),
        ("answers", [{"start": 0}], "no text at place 1"),
        ("answers", [{"text": "a", "start": "0"}], "'0' as start at place 1"),
    ],
)
def test_a_fault_says_what_stands_there(kind: Kind, raw: Any, named: str) -> None:
    assert named in fault(kind, raw)


def test_a_long_value_is_shown_in_part() -> None:
    assert len(fault("tokens", "x" * 10_000)) < 100


def test_a_missing_column_is_named_as_the_file_would_call_it_with_the_nearest_there() -> None:
    checker = RowChecker((Field("text", "text"),), columns={"text": "body"})
    values, (found,) = checker.check({"bodi": "x"}, file="f.csv", line=2)
    assert values == {}
    assert (found.code, found.field) == ("data.column-missing", "body")
    assert "'bodi'" in found.fix


def test_an_optional_column_may_be_missing_but_not_be_wrong() -> None:
    checker = RowChecker((Field("text", "text", required=False),), columns={})
    assert checker.check({}, file="f", line=1) == ({}, [])
    assert [f.code for f in checker.check({"text": 3}, file="f", line=1)[1]] == ["data.text-kind"]


def test_columns_are_read_under_the_names_they_have() -> None:
    checker = RowChecker((Field("text", "text"),), columns={"text": "body"})
    assert checker.check({"body": "x", "text": 5}, file="f", line=1) == ({"text": "x"}, [])


def test_as_many_tags_as_tokens_are_expected() -> None:
    checker = RowChecker(TAGGING, columns={"tags": "ner"})
    _, (found,) = checker.check({"tokens": ["a", "b", "c"], "ner": ["O", "O"]}, file="f", line=8)
    assert (found.code, found.line, found.field) == ("data.length-mismatch", 8, "ner")
    assert found.found.startswith("2")
    assert found.expected.startswith("3")


def test_all_faults_of_a_row_are_told() -> None:
    checker = RowChecker((Field("text", "text"), Field("label", "label")), columns={})
    _, faults = checker.check({"text": None, "label": 1.5}, file="f", line=1)
    assert [(f.code, f.field) for f in faults] == [("data.null", "text"), ("data.label-kind", "label")]


def test_words_of_a_cell_are_parted_by_white_space() -> None:
    checker = RowChecker(TAGGING, columns={}, all_text=True)
    values, faults = checker.check({"tokens": "Ada  is here", "tags": "B-PER O O"}, file="f", line=1)
    assert faults == []
    assert values == {"tokens": ["Ada", "is", "here"], "tags": ["B-PER", "O", "O"]}


@pytest.mark.parametrize(
    ("cell", "kept"),
    [("joy|anger", ["anger", "joy"]), (" two words | joy ", ["joy", "two words"]), (" ", []), (None, [])],
)
def test_labels_of_a_cell_are_parted_by_bars(cell: str | None, kept: list[str]) -> None:
    assert checked("labels", cell, all_text=True) == kept


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (["a", ""], "an empty label at place 2 of the list"),
        ("joy", "the text 'joy'"),
        ([["a"]], "a list at place 1 of the list"),
    ],
)
def test_what_is_no_set_of_labels_is_told(raw: Any, found: str) -> None:
    checker = RowChecker((Field("labels", "labels"),), columns={})
    _, [fault] = checker.check({"labels": raw}, file="f", line=1)
    assert (fault.code, fault.found) == ("data.labels-kind", found)


def test_a_bar_with_nothing_beside_it_is_an_empty_label() -> None:
    assert checked("labels", "joy||anger", all_text=True) == "data.labels-kind"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (float("nan"), "data.nan"),
        (float("inf"), "data.score-kind"),
        (10**400, "data.score-kind"),
        ("3.5", "data.score-kind"),
        (True, "data.score-kind"),
        (None, "data.null"),
        ([1.0], "data.score-kind"),
    ],
)
def test_what_is_no_finite_number_is_told(raw: Any, code: str) -> None:
    assert checked("score", raw) == code


def test_numbers_of_a_cell_are_read() -> None:
    assert checked("score", " 3.5 ", all_text=True) == 3.5
    assert checked("score", "-1e3", all_text=True) == -1000.0
    assert checked("score", "1,5", all_text=True) == "data.score-kind"
    assert checked("score", "nan", all_text=True) == "data.score-kind"


SPANNED = (Field("text", "text"), Field("head", "span"), Field("tail", "span"))


@pytest.mark.parametrize(
    ("head", "tail", "code", "field"),
    [
        ({"start": 0, "end": 3}, {"start": 4, "end": 7}, "", ""),
        ({"start": 0, "end": 3, "text": "the"}, {"start": 3, "end": 7}, "", ""),
        ({"start": 0, "end": 8}, {"start": 4, "end": 7}, "data.span-place", "head"),
        ({"start": -1, "end": 3}, {"start": 4, "end": 7}, "data.span-place", "head"),
        ({"start": 0, "end": 3}, {"start": 4, "end": 4}, "data.span-place", "tail"),
        ({"start": 0, "end": 3, "text": "cat"}, {"start": 4, "end": 7}, "data.span-place", "head"),
        ({"start": 0, "end": 5}, {"start": 4, "end": 7}, "data.spans-overlap", "tail"),
        ({"start": 0}, {"start": 4, "end": 7}, "data.span-kind", "head"),
        ({"start": 0, "end": 3.0}, {"start": 4, "end": 7}, "data.span-kind", "head"),
        ([0, 3], {"start": 4, "end": 7}, "data.span-kind", "head"),
    ],
)
def test_spans_lie_in_the_text_and_apart(head: Any, tail: Any, code: str, field: str) -> None:
    checker = RowChecker(SPANNED, columns={})
    values, faults = checker.check({"text": "the cat", "head": head, "tail": tail}, file="f", line=2)
    assert [(fault.code, fault.field, fault.line) for fault in faults] == ([(code, field, 2)] if code else [])
    if not code:
        assert values["head"] == {"start": 0, "end": 3}


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([{"text": "cat", "start": 4}], ""),
        ([], ""),
        ([{"text": "cat", "start": 4}, {"text": "dog", "start": 4}], "data.answer-place"),
        ([{"text": "cat", "start": 5}], "data.answer-place"),
        ([{"text": "cat", "start": -3}], "data.answer-place"),
        ([{"text": " ", "start": 3}], "data.answers-kind"),
        ([{"text": "cat"}], "data.answers-kind"),
        (["cat"], "data.answers-kind"),
        ({"text": ["cat"], "answer_start": []}, "data.answers-kind"),
    ],
)
def test_answers_stand_in_their_context(answers: Any, code: str) -> None:
    checker = RowChecker((Field("context", "text"), Field("answers", "answers")), columns={})
    values, faults = checker.check({"context": "the cat", "answers": answers}, file="f", line=2)
    assert [(fault.code, fault.field) for fault in faults] == ([(code, "answers")] if code else [])
    if not code:
        assert values["answers"] == answers


@pytest.mark.parametrize(
    ("text", "start", "named"),
    [("cat", 0, "'the' stands at character 0; it stands at character 4"), ("dog", 4, "nowhere"), ("cat", 9, "of 7")],
)
def test_an_answer_elsewhere_is_told_where_it_is(text: str, start: int, named: str) -> None:
    checker = RowChecker((Field("context", "text"), Field("answers", "answers")), columns={})
    row = {"context": "the cat", "answers": [{"text": text, "start": start}]}
    assert named in checker.check(row, file="f", line=2)[1][0].found


def test_a_cell_that_cannot_hold_what_is_wanted_is_told_of_a_format_that_can() -> None:
    checker = RowChecker((Field("head", "span"),), columns={}, all_text=True)
    assert "JSON lines" in checker.check({"head": "0 3"}, file="f.csv", line=2)[1][0].fix


def test_answers_are_read_as_the_hub_has_them() -> None:
    assert checked("answers", {"text": ["cat"], "answer_start": [4]}) == [{"text": "cat", "start": 4}]
    assert checked("answers", {"text": [], "answer_start": []}) == []


def test_answers_are_read_as_squad_and_cmrc_write_them() -> None:
    assert checked("answers", [{"text": "cat", "answer_start": 4}]) == [{"text": "cat", "start": 4}]
    assert checked("answers", [{"text": "cat", "start": 4, "answer_start": 0}]) == [{"text": "cat", "start": 4}]
    checker = RowChecker((Field("it", "answers"),), columns={})
    _, (fault,) = checker.check({"it": [{"text": "cat", "answer_start": "4"}]}, file="f", line=1)
    assert "as answer_start" in fault.found


@pytest.mark.parametrize(
    ("entities", "code"),
    [
        ([{"start": 4, "end": 7, "label": "animal"}, {"start": 0, "end": 7, "type": "phrase", "text": "the cat"}], ""),
        ([], ""),
        ([{"start": 4, "end": 8, "label": "animal"}], "data.entity-place"),
        ([{"start": 4, "end": 4, "label": "animal"}], "data.entity-place"),
        ([{"start": 0, "end": 3, "label": "animal", "text": "cat"}], "data.entity-place"),
        ([{"start": 0, "end": 3}], "data.entities-kind"),
        ([{"start": 0, "label": "animal"}], "data.entities-kind"),
        ([["animal", 0, 3]], "data.entities-kind"),
        ({"start": 0, "end": 3, "label": "animal"}, "data.entities-kind"),
    ],
)
def test_entities_lie_in_the_text_and_have_labels(entities: Any, code: str) -> None:
    checker = RowChecker((Field("text", "text"), Field("entities", "entities")), columns={})
    values, faults = checker.check({"text": "the cat", "entities": entities}, file="f", line=2)
    assert [(fault.code, fault.field, fault.line) for fault in faults] == ([(code, "entities", 2)] if code else [])
    if entities and not code:
        assert values["entities"] == [
            {"start": 0, "end": 7, "label": "phrase"},
            {"start": 4, "end": 7, "label": "animal"},
        ]
