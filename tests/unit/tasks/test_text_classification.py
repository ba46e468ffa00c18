"""``text-classification``: labels in order, long texts as asked for, probabilities of all windows together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.errors import DataError
from hone.tasks import label_tables
from hone.tasks.classification import TextClassification
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.settings import TextClassificationSettings

LABELS = ("no", "yes")


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(labels: tuple[str, ...] = LABELS, **settings: Any) -> Any:
        chosen = TextClassificationSettings.model_validate(settings)
        return make_task("text-classification", chosen, labels=labels, folder=tiny_base)

    return make


def encoded(task: Any, *texts: str) -> Rows:
    return Rows(task.encode({"text": list(texts)}, purpose="predict"))


def answer(label: str, score: float) -> dict[str, Any]:
    other = LABELS[1 - LABELS.index(label)]
    return {"label": label, "score": score, "scores": {label: score, other: 1 - score}, "truncated": False}


@pytest.mark.parametrize(
    ("seen", "labels"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "-1", "2"], ("-1", "2", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1", "01"], ("01", "1")),
        (["²", "1"], ("1", "²")),  # a digit that is no number
        (["--5", "1"], ("--5", "1")),
        (["-", "1"], ("-", "1")),
        (["好", "坏"], ("坏", "好")),
    ],
)
def test_labels_are_sorted_and_numbers_as_numbers(seen: list[str], labels: tuple[str, ...]) -> None:
    assert TextClassification.labels_in({"label": seen}) == labels


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_decides_the_head(make: Any, pooling: str) -> None:
    assert make(pooling=pooling).head.kind == f"sequence-{pooling}"


def test_a_long_text_is_cut_and_says_so(make: Any) -> None:
    rows = encoded(make(max_length=8), "a " * 6, "a " * 7)
    assert rows.lengths.tolist() == [8, 8]
    assert rows.scalar("truncated").tolist() == [0, 1]


def test_windows_read_all_of_a_long_text(make: Any) -> None:
    rows = encoded(make(max_length=8, long_text="window", stride=2), "a b c d e f g h i j", "a")
    assert rows.example.tolist() == [0, 0, 1]
    assert rows.scalar("truncated").tolist() == [0, 0, 0]
    one, other = (rows.row("input_ids", i)[1:-1].tolist() for i in (0, 1))
    assert one[-2:] == other[:2]
    assert len(one + other[2:]) == 10


def test_a_long_text_is_refused_by_row(make: Any) -> None:
    task = make(max_length=8, long_text="refuse")
    assert encoded(task, "a " * 6).lengths.tolist() == [8]
    with pytest.raises(DataError) as raised:
        encoded(task, "a", "a " * 9)
    assert raised.value.code == "data.text-too-long"
    assert "9 tokens in row 2" in str(raised.value)


def test_a_text_of_megabytes_is_cut_to_the_same_tokens(make: Any) -> None:
    text = "the card, please " * 6000
    task = make()
    rows = encoded(task, text, "card")
    assert rows.row("input_ids", 0)[1:-1].tolist() == task.tokenizer.encode([text])[0][:62]
    assert rows.scalar("truncated").tolist() == [1, 0]


def test_labels_are_numbers_in_the_order_of_the_task(make: Any) -> None:
    task = make()
    rows = Rows(task.encode({"text": ["a", "b", "c"], "label": ["yes", "no", "yes"]}, purpose="learn"))
    assert task.collate(rows, np.array([2, 1]))["label"].tolist() == [1, 0]


def test_each_window_of_a_text_learns_its_label(make: Any) -> None:
    task = make(max_length=8, long_text="window", stride=0)
    rows = Rows(task.encode({"text": ["a", "a " * 12], "label": ["no", "yes"]}, purpose="learn", start=40))
    assert rows.example.tolist() == [40, 41, 41]
    assert rows.scalar("label").tolist() == [0, 1, 1]


def test_the_loss_is_cross_entropy_summed(make: Any) -> None:
    batch = {"label": torch.tensor([0, 1])}
    loss = make().loss({"logits": torch.zeros(2, 2)}, batch, options=LossOptions())
    assert float(loss.total) == pytest.approx(2 * np.log(2))
    assert loss.weight == 2.0


def test_class_weights_weigh_loss_and_weight_alike(make: Any) -> None:
    batch = {"label": torch.tensor([0, 1, 1])}
    options = LossOptions(class_weights=torch.tensor([3.0, 0.5]))
    loss = make().loss({"logits": torch.zeros(3, 2)}, batch, options=options)
    assert float(loss.total) == pytest.approx(4 * np.log(2))
    assert loss.weight == 4.0


def test_smoothing_spreads_the_target(make: Any) -> None:
    logits = torch.tensor([[2.0, 0.0]])
    loss = make().loss({"logits": logits}, {"label": torch.tensor([0])}, options=LossOptions(label_smoothing=0.2))
    right, wrong = (-torch.log_softmax(logits, 1)[0]).tolist()
    assert float(loss.total) == pytest.approx(0.9 * right + 0.1 * wrong)


def test_an_answer_has_every_labels_probability(make: Any) -> None:
    task = make()
    rows = encoded(task, "a", "b")
    logits = [np.array([0.0, 2.0], dtype=np.float32), np.array([900.0, -900.0], dtype=np.float32)]
    first, second = task.join({}, rows, logits, constants={})
    assert first["label"] == "yes"
    assert first["score"] == first["scores"]["yes"] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert sum(first["scores"].values()) == pytest.approx(1.0)
    assert (second["label"], second["score"], second["truncated"]) == ("no", 1.0, False)


def test_windows_of_a_text_are_averaged_by_their_tokens(make: Any) -> None:
    task = make(max_length=8, long_text="window", stride=0)
    rows = Rows(task.encode({"text": ["a " * 8, "b"]}, purpose="predict", start=5))
    assert rows.lengths.tolist() == [8, 4, 3]
    sure = np.log([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]).astype(np.float32)
    both, alone = task.join({}, rows, list(sure), constants={})
    assert both["scores"]["no"] == pytest.approx((8 * 0.9 + 4 * 0.3) / 12)
    assert alone["scores"]["no"] == pytest.approx(0.2)


def test_a_text_that_was_cut_says_so_in_its_answer(make: Any) -> None:
    task = make(max_length=8)
    rows = encoded(task, "a " * 9, "a")
    answers = task.join({}, rows, [np.zeros(2, dtype=np.float32)] * 2, constants={})
    assert [found["truncated"] for found in answers] == [True, False]


def test_measures_are_those_of_the_tally(make: Any) -> None:
    task = make()
    predictions = [answer("yes", 0.9), answer("yes", 0.6), answer("no", 1.0), answer("no", 0.7)]
    tally = task.tally(predictions, {"label": ["yes", "no", "no", "no"]})
    assert tally.tolist() == [[1, 1, 0.9, 1, 0], [0, 1, 0.6, 1, 0], [0, 0, 1.0, 1, 0], [0, 0, 0.7, 1, 0]]
    measures = task.measures(tally)
    assert measures["accuracy"] == measures["micro_f1"] == 0.75
    assert measures["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert measures["weighted_f1"] == pytest.approx((3 * 0.8 + 2 / 3) / 4)


def test_a_surer_mistake_is_a_worse_one(make: Any) -> None:
    predictions = [answer("yes", 0.9), answer("yes", 0.6), answer("yes", 1.0), answer("yes", 0.5)]
    columns = {"text": ["a", "b", "c", "d"], "label": ["no", "no", "yes", "no"]}
    scored = make().scored(predictions, columns)
    assert scored.badness[:3] == pytest.approx([0.8, 0.2, 0.0])
    assert 0 < scored.badness[3] < 1e-6  # a tie broken the wrong way is wrong all the same
    assert (scored.texts[0], scored.gold[0], scored.said[0]) == ("a", "no", "yes")


def test_of_too_many_labels_only_the_pairs_most_confused_are_told(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_tables, "MATRIX_LABELS", 1)
    predictions = [answer("yes", 0.9), answer("no", 0.6), answer("yes", 0.8)]
    tables = make().scored(predictions, {"text": list("abc"), "label": ["no", "yes", "no"]}).tables
    assert "confusion" not in tables
    assert tables["most_confused"].rows == [["no", "yes", 2, 1.0], ["yes", "no", 1, 1.0]]


def test_tables_count_what_was_taken_for_what(make: Any) -> None:
    predictions = [answer("yes", 0.9), answer("yes", 0.6), answer("no", 0.8)]
    tables = make().scored(predictions, {"text": list("abc"), "label": ["no", "yes", "no"]}).tables
    assert tables["confusion"].rows == [["no", 1, 1], ["yes", 0, 1]]
    assert tables["most_confused"].rows == [["no", "yes", 1, 0.5]]
    assert tables["per_class"].rows[1] == ["yes", pytest.approx(2 / 3), 0.5, 1.0, 1]
    assert sum(int(row[2]) for row in tables["reliability"].rows) == 3
    [[found, perfect, low, high]] = tables["ece_perfect"].rows
    assert found == pytest.approx((0.9 + 0.4 + 0.2) / 3)
    assert 0 <= low <= perfect <= high
