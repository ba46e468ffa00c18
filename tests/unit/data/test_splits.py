"""A carved validation split is stratified, seeded, and never takes what training alone could teach."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.data.splits import carve_validation


def carved(texts: list[str], labels: list[Any], *, share: float = 0.1, seed: int = 13) -> tuple[Dataset, Dataset]:
    dataset = Dataset.from_columns("train", {"text": texts, "label": labels})
    return carve_validation(dataset, share=share, seed=seed, fields=["text"], targets=["label"])


def distinct(count: int) -> list[str]:
    return [f"text {i}" for i in range(count)]


def test_the_parts_are_named_keep_the_files_order_and_make_up_the_whole() -> None:
    texts = distinct(100)
    train, validation = carved(texts, ["x", "y"] * 50)
    assert (train.name, validation.name) == ("train", "validation")
    assert sorted(train.column("text") + validation.column("text")) == sorted(texts)
    for part in (train, validation):
        at = [texts.index(text) for text in part.column("text")]
        assert at == sorted(at)


def test_labels_keep_their_proportions() -> None:
    _, validation = carved(distinct(200), ["often"] * 160 + ["seldom"] * 40)
    assert Counter(validation.column("label")) == {"often": 16, "seldom": 4}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    texts, labels = distinct(100), ["x", "y"] * 50
    assert carved(texts, labels)[1].digest == carved(texts, labels)[1].digest
    assert carved(texts, labels)[1].digest != carved(texts, labels, seed=14)[1].digest


def test_equal_inputs_stand_on_one_side() -> None:
    texts = [f"text {i % 30}" for i in range(90)]
    train, validation = carved(texts, ["x", "y", "z"] * 30, share=0.3)
    assert not set(train.column("text")) & set(validation.column("text"))
    assert len(validation) == 27


def test_few_rows_a_label_still_give_a_validation_row() -> None:
    train, validation = carved(distinct(4), ["x", "x", "y", "y"])
    assert (len(train), len(validation)) == (3, 1)


def test_many_labels_of_few_rows_give_the_share_of_all_rows() -> None:
    train, validation = carved(distinct(120), [f"label {i % 30}" for i in range(120)])
    assert len(validation) == 12
    assert len(set(train.column("label"))) == 30


def test_a_label_that_stands_in_contradictory_rows_alone_stays_in_training() -> None:
    texts = [*distinct(8), "text 0", "text 1"]
    for seed in range(10):
        train, _ = carved(texts, ["x"] * 8 + ["rare", "rare"], share=0.8, seed=seed)
        assert set(train.column("label")) == {"x", "rare"}


def test_a_tag_that_one_row_alone_has_stays_in_training() -> None:
    tags = [["O", "B-PER"]] * 9 + [["B-LOC", "O"]]
    for seed in range(10):
        train, validation = carved(distinct(10), tags, share=0.5, seed=seed)
        assert ["B-LOC", "O"] in train.column("label")
        assert len(validation) in (4, 5)


@pytest.mark.parametrize("labels", [["x", "y", "z"], ["x"], []])
def test_too_few_rows_are_refused(labels: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        carved(distinct(len(labels)), labels)
    assert caught.value.code == "data.too-few-rows"
    assert "validation: none" in caught.value.fix


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abcd")), min_size=2, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_whatever_the_rows_training_shows_every_label_and_no_input_is_on_both_sides(
    rows: list[tuple[int, str]], share: float, seed: int
) -> None:
    texts, labels = [str(text) for text, _ in rows], [label for _, label in rows]
    try:
        train, validation = carved(texts, labels, share=share, seed=seed)
    except DataError:  # right only where every text is the one that teaches some label
        for text in texts:
            assert {label for other, label in rows if str(other) != text} != set(labels)
        return
    assert set(train.column("label")) == set(labels)
    assert not set(train.column("text")) & set(validation.column("text"))
    assert len(train) + len(validation) == len(rows)
    assert len(validation) >= 1


def test_rows_with_numbers_are_carved_too() -> None:
    columns = {"text": distinct(40), "score": [i / 8 for i in range(40)]}
    train, validation = carve_validation(
        Dataset.from_columns("train", columns), share=0.25, seed=13, fields=["text"], targets=["score"]
    )
    assert (len(train), len(validation)) == (30, 10)
    assert sorted(train.column("text") + validation.column("text")) == sorted(columns["text"])


def test_every_tag_beside_the_labels_stays_in_training() -> None:
    rows = 30
    columns = {
        "tokens": [[f"w{i}"] for i in range(rows)],
        "label": ["a", "b"] * (rows // 2),
        "tags": [[f"B-{i}"] if i < 12 else ["O"] for i in range(rows)],
    }
    train, validation = carve_validation(
        Dataset.from_columns("train", columns), share=0.4, seed=3, fields=["tokens"], targets=["label", "tags"]
    )
    assert {tag for tags in train.column("tags") for tag in tags} == {"O", *(f"B-{i}" for i in range(12))}
    assert len(validation) > 0


@pytest.mark.parametrize(("labels", "expected"), [(["a", "b"], "a label"), (None, "two rows with different inputs")])
def test_too_few_rows_say_of_what(labels: list[str] | None, expected: str) -> None:
    columns = {"text": ["one", "one"]} if labels is None else {"text": ["one", "two"], "label": labels}
    with pytest.raises(DataError) as raised:
        carve_validation(
            Dataset.from_columns("train", columns), share=0.25, seed=13, fields=["text"],
            targets=[] if labels is None else ["label"],
        )  # fmt: skip
    assert raised.value.code == "data.too-few-rows"
    assert expected in str(raised.value)


def questions(per_context: list[int]) -> Dataset:
    """So many questions about each of the contexts."""
    contexts = [f"context {i}" for i, count in enumerate(per_context) for _ in range(count)]
    return Dataset.from_columns("train", {"context": contexts, "question": distinct(len(contexts))})


def carved_questions(rows: Dataset, *, share: float = 0.1, seed: int = 13) -> tuple[Dataset, Dataset]:
    fields = ["context", "question"]
    return carve_validation(rows, share=share, seed=seed, fields=fields, targets=[], shared=["context"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=30), st.floats(0.05, 0.95), st.integers(0, 5))
def test_rows_about_one_context_stand_on_one_side_and_count_each(counts: list[int], share: float, seed: int) -> None:
    train, validation = carved_questions(questions(counts), share=share, seed=seed)
    assert not set(train.column("context")) & set(validation.column("context"))
    assert len(train) + len(validation) == sum(counts)
    assert len(train)
    assert len(validation)
    assert abs(len(validation) - share * sum(counts)) <= max(counts)


def test_a_context_of_most_rows_is_not_taken_for_a_small_share() -> None:
    for seed in range(10):
        _, validation = carved_questions(questions([90, *[1] * 10]), seed=seed)
        assert len(validation) <= 10


def test_contexts_of_one_question_are_carved_as_single_texts_are() -> None:
    texts = distinct(60)
    rows = Dataset.from_columns("train", {"context": texts, "question": ["what"] * 60})
    alone = carve_validation(
        Dataset.from_columns("train", {"text": texts}), share=0.2, seed=4, fields=["text"], targets=[]
    )
    assert carved_questions(rows, share=0.2, seed=4)[1].column("context") == alone[1].column("text")


def test_one_context_alone_is_too_few() -> None:
    with pytest.raises(DataError) as caught:
        carved_questions(questions([40]))
    assert "two rows with different context" in str(caught.value)


def test_single_labels_of_rows_about_one_text_all_stay_in_training() -> None:
    texts = [f"text {i // 3}" for i in range(60)]
    labels = ["a" if i % 2 else f"b{i % 7}" for i in range(60)]
    rows = Dataset.from_columns("train", {"text": texts, "at": distinct(60), "label": labels})
    for seed in range(5):
        train, validation = carve_validation(
            rows, share=0.3, seed=seed, fields=["text", "at"], targets=["label"], shared=["text"]
        )
        assert set(train.column("label")) == set(labels)
        assert not set(train.column("text")) & set(validation.column("text"))
