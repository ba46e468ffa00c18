"""Duplicates, leaks, contradictions, odd characters and labels are found where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import DataError
from hone.data import checks
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.data.read import read
from hone.data.source import Source


def dataset(texts: list[Any], targets: list[Any] | None = None, *, name: str = "train") -> Dataset:
    columns: dict[str, list[Any]] = {"text": texts}
    return Dataset.from_columns(name, columns if targets is None else {**columns, "label": targets})


def test_every_later_row_with_an_earlier_input_is_a_duplicate() -> None:
    assert checks.duplicates(dataset(["a", "b", "a", "c", "b", "a"]), "text").tolist() == [2, 4, 5]


def test_inputs_that_differ_in_case_or_space_are_no_duplicates() -> None:
    assert checks.duplicates(dataset(["a", "A", "a ", ""]), "text").tolist() == []


def test_token_lists_are_compared_token_by_token() -> None:
    rows = Dataset.from_columns("train", {"tokens": [["a", "b"], ["a b"], ["ab"], ["a", "b"]]})
    assert checks.duplicates(rows, "tokens").tolist() == [3]


def test_hashes_do_not_depend_on_how_many_rows_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = dataset([str(i % 7) for i in range(50)])
    whole = checks.input_hashes(rows, "text")
    monkeypatch.setattr(checks, "ROWS_AT_ONCE", 3)
    assert (checks.input_hashes(rows, "text") == whole).all()


def test_leaks_are_named_on_either_side() -> None:
    train, test = dataset(["a", "b", "c", "b"]), dataset(["x", "b"], name="test")
    assert checks.leaked(train, test, "text").tolist() == [1, 3]
    assert checks.leaking(train, test, "text").tolist() == [1]


def test_equal_inputs_with_different_targets_contradict() -> None:
    rows = dataset(["a", "b", "a", "b", "c", "a"], ["x", "x", "y", "x", "x", "x"])
    assert checks.contradictions(rows, "text", target="label") == [[0, 2, 5]]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("fine", set()),
        ("", {"empty"}),
        (" \n\u3000", {"empty"}),
        ("pass\u200bword", {"zero_width"}),
        ("\ufeffbegin", {"zero_width"}),
        ("so\u00adft", {"zero_width"}),
        ("\u202eevil", {"right_to_left"}),
        ("שלום", {"right_to_left"}),
        ("مرحبا", {"right_to_left"}),
        ("bell\x07", {"control"}),
        ("c1\x85", {"control"}),
        ("tab\t and\r\n line", set()),
        ("?!...", {"only_punctuation"}),
        ("，。😀", {"only_punctuation"}),
        ("7", set()),
        ("北", set()),
        ("\u200b", {"zero_width", "only_punctuation"}),
        ("x" * 1_000_001, {"over_1_mb"}),
    ],
)
def test_odd_texts_are_counted_by_kind(text: str, kinds: set[str]) -> None:
    counts = checks.odd_texts(dataset([text, "fine"]), "text")
    assert set(counts) == {"empty", "zero_width", "right_to_left", "control", "only_punctuation", "over_1_mb"}
    assert {kind for kind, count in counts.items() if count} == kinds
    assert set(counts.values()) <= {0, 1}


def test_odd_tokens_are_counted_once_a_row() -> None:
    rows = Dataset.from_columns("train", {"tokens": [["a\u200b", "b\u200b"], ["!", "?"], ["ok"]]})
    counts = checks.odd_texts(rows, "tokens")
    assert (counts["zero_width"], counts["only_punctuation"]) == (1, 1)


def test_tags_that_continue_nothing_are_placed_by_row_and_word() -> None:
    rows = Dataset.from_columns("train", {"tags": [["O", "I-PER"], ["B-PER", "I-PER"], ["I-LOC", "I-PER"]]})
    assert checks.illegal_bio(rows, "tags") == [(0, 1, "I-PER"), (2, 0, "I-LOC"), (2, 1, "I-PER")]


def test_labels_and_tags_are_counted() -> None:
    assert checks.label_counts(dataset(["a", "b", "c"], ["x", "y", "x"]), "label") == {"x": 2, "y": 1}
    tags = Dataset.from_columns("train", {"tags": [["O", "B-PER"], ["O"]]})
    assert checks.label_counts(tags, "tags") == {"O": 2, "B-PER": 1}


def test_a_single_class_is_refused_by_its_name() -> None:
    with pytest.raises(DataError) as caught:
        checks.require_two_classes(dataset(["a", "b"], ["spam", "spam"]), "label")
    assert caught.value.code == "data.one-class"
    assert "'spam'" in str(caught.value)


def test_two_classes_are_enough() -> None:
    checks.require_two_classes(dataset(["a", "b"], ["spam", "ham"]), "label")


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError) as caught:
        checks.require_two_classes(dataset([], []), "label")
    assert caught.value.code == "data.empty"


def test_unseen_labels_are_named_with_the_lines_they_stand_on(tmp_path: Path) -> None:
    lines = [f"t{i},{'maybe' if i % 2 else 'yes'}\n" for i in range(20)]
    (tmp_path / "test.csv").write_text("text,label\n" + "".join(lines), encoding="utf-8")
    fields = (Field("text", "text"), Field("label", "label"))
    test = read(Source(path="test.csv"), fields, name="test", base=tmp_path, cache=tmp_path)
    with pytest.raises(DataError) as caught:
        checks.require_known_labels(["yes", "no"], test, "label")
    error = caught.value
    assert error.code == "data.label-unseen"
    assert "'maybe'" in error.found
    assert [(fault.line, fault.field) for fault in error.faults] == [(line, "label") for line in (3, 5, 7, 9, 11)]
    assert {fault.file for fault in error.faults} == {str(tmp_path / "test.csv")}


def test_unseen_tags_are_found_inside_rows() -> None:
    rows = Dataset.from_columns("test", {"tags": [["O"], ["O", "B-ORG", "B-ORG"]]})
    with pytest.raises(DataError) as caught:
        checks.require_known_labels(["O", "B-PER", "I-PER"], rows, "tags")
    assert [fault.found for fault in caught.value.faults] == ["the label 'B-ORG'"]


def test_a_wrong_label_column_names_fifty_labels_and_counts_the_others() -> None:
    rows = dataset(["x"] * 80, [f"label-{i:02d}" for i in range(80)], name="test")
    with pytest.raises(DataError) as caught:
        checks.require_known_labels(["yes"], rows, "label")
    assert len(caught.value.faults) == 50
    assert "30 more" in caught.value.found


def test_labels_that_training_has_are_fine() -> None:
    checks.require_known_labels(["x", "y"], dataset(["a"], ["y"], name="test"), "label")


def test_pairs_are_equal_where_both_texts_are() -> None:
    columns = {"text_a": ["a", "a", "ab", "a"], "text_b": ["b", "c", "", "b"]}
    rows = Dataset.from_columns("train", columns)
    assert checks.duplicates(rows, "text_a", "text_b").tolist() == [3]
    assert checks.duplicates(rows, "text_a").tolist() == [1, 3]
    other = Dataset.from_columns("test", {"text_a": ["b"], "text_b": ["a"]})
    assert checks.leaked(rows, other, "text_a", "text_b").tolist() == []
    assert checks.odd_texts(rows, "text_a", "text_b")["empty"] == 1


def test_numbers_teach_where_they_differ() -> None:
    field = Field("score", "score")
    checks.require_teachable(Dataset.from_columns("train", {"score": [1.0, 1.5]}), field)
    with pytest.raises(DataError) as caught:
        checks.require_teachable(Dataset.from_columns("train", {"score": [1.5, 1.5]}), field)
    assert caught.value.code == "data.one-score"
    assert "1.5" in str(caught.value)
    checks.require_known({}, Dataset.from_columns("test", {"score": [7.0]}))


def test_sets_of_labels_teach_where_one_has_any() -> None:
    field = Field("labels", "labels")
    checks.require_teachable(Dataset.from_columns("train", {"labels": [[], ["a"]]}), field)
    with pytest.raises(DataError) as caught:
        checks.require_teachable(Dataset.from_columns("train", {"labels": [[], []]}), field)
    assert caught.value.code == "data.one-class"
    with pytest.raises(DataError) as caught:
        checks.require_known({"labels": ["a"]}, Dataset.from_columns("test", {"labels": [["a"], ["a", "z"]]}))
    assert caught.value.code == "data.label-unseen"


@pytest.mark.parametrize("chosen", [True, False])
def test_a_task_that_chooses_no_labels_is_not_told_to(chosen: bool) -> None:
    rows = Dataset.from_columns("test", {"tags": [["B-ORG"]]})
    with pytest.raises(DataError) as caught:
        checks.require_known({"tags": ["O"]}, rows, chosen=chosen)
    assert ("task.labels" in caught.value.fix) == chosen
    assert "take the rows out" in caught.value.fix


def test_tags_that_the_task_names_are_no_matter_of_what_train_shows() -> None:
    rows = Dataset.from_columns("train", {"tags": [["B-date"]]})
    with pytest.raises(DataError) as caught:
        checks.require_known({"tags": ["O", "B-city", "I-city"]}, rows, named={"tags": "slots"})
    assert caught.value.code == "data.label-other"
    assert "labels that task.slots does not have: 'B-date'" in caught.value.found
    assert "task.slots" in caught.value.fix
