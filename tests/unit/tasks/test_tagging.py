"""``token-classification``: one tag a word, entities with offsets into the text, windows joined before decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.core.errors import DataError, RecipeError
from hone.data.dataset import Dataset
from hone.models.crf import ILLEGAL
from hone.models.model import build_model
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.settings import TokenClassificationSettings
from hone.tasks.tagging import TokenClassification

LABELS = ("O", "B-PER", "I-PER")
O, B, I = range(3)  # noqa: E741


@pytest.fixture
def make(tiny_base: Path) -> Any:
    def make(labels: tuple[str, ...] = LABELS, **settings: Any) -> Any:
        chosen = TokenClassificationSettings.model_validate(settings)
        return make_task("token-classification", chosen, labels=labels, folder=tiny_base)

    return make


def learned(task: Any, tokens: list[list[str]], tags: list[list[str]]) -> Rows:
    return Rows(task.encode({"tokens": tokens, "tags": tags}, purpose="learn"))


def sure(*ids: int) -> np.ndarray:
    """Scores [words, 3] that make each word's tag all but certain."""
    return np.eye(3, dtype=np.float32)[list(ids)] * 50


def joined(task: Any, columns: dict[str, Any], *partials: np.ndarray, **constants: torch.Tensor) -> list[Any]:
    rows = Rows(task.encode(columns, purpose="predict"))
    assert len(rows) == len(partials)
    found: list[Any] = task.join(columns, rows, list(partials), constants=constants)
    return found


def chain(**changed: torch.Tensor) -> dict[str, torch.Tensor]:
    """A chain over `LABELS` that forbids what BIO forbids and prefers nothing else."""
    transitions, start = torch.zeros(3, 3), torch.zeros(3)
    transitions[O, I] = start[I] = ILLEGAL
    return {"transitions": transitions, "start": start, "end": torch.zeros(3), **changed}


def test_labels_are_both_tags_of_every_type() -> None:
    assert TokenClassification.labels_in({"tags": [["O", "I-PER"], ["B-LOC"]]}) == (
        "O",
        "B-LOC",
        "I-LOC",
        "B-PER",
        "I-PER",
    )


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "token-linear"),
        ({"head": "crf"}, "token-tagging"),
        ({"word_shape": True}, "token-tagging"),
        ({"context": 8}, "token-tagging"),
    ],
)
def test_transformers_own_head_serves_where_nothing_is_added_to_it(
    make: Any, settings: dict[str, Any], kind: str
) -> None:
    assert make(**settings).head.kind == kind


def test_the_tagging_head_is_told_what_the_settings_say(make: Any) -> None:
    head = make(head="crf", word_shape=True, context=8).head
    assert head.settings == {"crf": True, "word_shape": True, "context": 8}


def test_words_and_text_encode_alike(make: Any) -> None:
    task = make(word_shape=True)
    by_text = task.encode({"text": ["Ada's card, 我的"]}, purpose="predict")
    by_words = task.encode({"tokens": [["Ada's", "card", ",", "我", "的"]]}, purpose="predict")
    assert by_text.equals(by_words)


def test_windows_keep_each_words_tag_and_shape(make: Any) -> None:
    task = make(max_length=8, stride=2, word_shape=True)
    words = ["a", "B", "c", "D", "e", "F", "g", "H"]
    tags = ["O", "B-PER", "I-PER", "O", "O", "B-PER", "O", "O"]
    rows = learned(task, [words], [tags])
    assert rows.scalar("first_word").tolist() == [0, 4]
    assert [rows.row("tags", i).tolist() for i in range(2)] == [[O, B, I, O, O, B], [O, B, O, O]]
    batch = task.collate(rows, np.array([0, 1]))
    assert batch["word_mask"].sum(1).tolist() == [6, 4]
    assert torch.equal(batch["shapes"][0, 4:6], batch["shapes"][1, :2])
    assert not torch.equal(batch["shapes"][0, 0], batch["shapes"][0, 1])


def test_illegal_tags_are_mended_for_a_crf_alone(make: Any) -> None:
    tokens, tags = [["a", "b", "c"]], [["I-PER", "O", "I-PER"]]
    assert learned(make(head="crf"), tokens, tags).row("tags", 0).tolist() == [B, O, B]
    assert learned(make(), tokens, tags).row("tags", 0).tolist() == [I, O, I]


def test_a_window_that_begins_inside_an_entity_is_legal_for_a_crf(make: Any, tiny_base: Path) -> None:
    task = make(head="crf", max_length=8, stride=0)
    rows = learned(task, [["a"] * 8], [["O"] * 5 + ["B-PER", "I-PER", "I-PER"]])
    assert [rows.row("tags", i).tolist() for i in range(2)] == [[O, O, O, O, O, B], [B, I]]
    batch = task.collate(rows, np.array([0, 1]))
    loss = task.loss(build_model(tiny_base, task.head)(batch), batch, options=LossOptions())
    assert float(loss.total.detach()) < 100  # an illegal sequence costs ten thousand


def test_a_long_text_is_refused_by_row(make: Any) -> None:
    task = make(max_length=8, long_text="refuse")
    with pytest.raises(DataError) as raised:
        task.encode({"tokens": [["a"], ["a"] * 9]}, purpose="predict", start=10)
    assert raised.value.code == "data.text-too-long"
    assert "9 tokens in row 12" in str(raised.value)


def test_a_word_longer_than_a_row_is_cut_and_says_so(make: Any) -> None:
    task = make(max_length=8)
    rows = Rows(task.encode({"tokens": [["a", "x" * 20, "b"], ["a"]]}, purpose="predict"))
    assert rows.lengths.max() == 8
    assert rows.scalar("truncated").tolist() == [1] * (len(rows) - 1) + [0]


def test_more_words_than_the_tokenizer_is_given_at_once_are_tokenized_alike(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, columns = make(), {"tokens": [["xy", "a", "\u200b", "card"] * 5]}
    at_once = task.encode(columns, purpose="predict")
    monkeypatch.setattr("hone.tasks.tagging.WORDS_AT_ONCE", 3)
    assert task.encode(columns, purpose="predict").equals(at_once)


def test_entities_have_offsets_into_the_users_text(make: Any) -> None:
    text = "  Ada  Fox met 小明 in\tRome. "
    [answer] = joined(make(), {"text": [text]}, sure(B, I, O, B, I, O, B, O))
    found = [(entity["start"], entity["end"], entity["text"]) for entity in answer["entities"]]
    assert found == [(2, 10, "Ada  Fox"), (15, 17, "小明"), (21, 25, "Rome")]
    assert all(text[start:end] == said for start, end, said in found)
    assert "tags" not in answer


def test_tokens_get_tags_and_offsets_into_their_joined_text(make: Any) -> None:
    [answer] = joined(make(), {"tokens": [["Ada", "Fox", "在", "上", "海"]]}, sure(B, I, O, B, I))
    assert answer["tags"] == ["B-PER", "I-PER", "O", "B-PER", "I-PER"]
    assert [(e["start"], e["end"], e["text"]) for e in answer["entities"]] == [(0, 7, "Ada Fox"), (9, 11, "上海")]


def test_an_empty_token_alone_is_no_entity(make: Any) -> None:
    [answer] = joined(make(), {"tokens": [["Ada", "", "Fox"]]}, sure(B, B, B))
    assert answer["tags"] == ["B-PER", "O", "B-PER"]
    assert [entity["text"] for entity in answer["entities"]] == ["Ada", "Fox"]
    [answer] = joined(make(), {"tokens": [["Ada", "", "", "Fox"]]}, sure(B, B, I, B))  # whose text were one space
    assert answer["tags"] == ["B-PER", "O", "O", "B-PER"]
    assert [entity["text"] for entity in answer["entities"]] == ["Ada", "Fox"]


def test_an_entitys_score_is_the_mean_of_its_words(make: Any) -> None:
    scores = np.log([[0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]).astype(np.float32)
    [answer] = joined(make(), {"text": ["Ada Fox"]}, scores)
    [entity] = answer["entities"]
    assert entity["label"] == "PER"
    assert entity["score"] == pytest.approx((0.8 + 0.6) / 2)


def test_without_a_crf_a_tag_that_continues_nothing_begins_an_entity(make: Any) -> None:
    [answer] = joined(make(), {"tokens": [["a", "b"]]}, sure(O, I))
    assert answer["tags"] == ["O", "I-PER"]
    assert [entity["text"] for entity in answer["entities"]] == ["b"]


def test_a_crf_decodes_the_whole_sequence(make: Any) -> None:
    scores = np.array([[1.0, 0.9, 0.0], [0.0, 0.1, 2.0]], dtype=np.float32)  # O I by the word; B I is the best legal
    [answer] = joined(make(head="crf"), {"tokens": [["a", "b"]]}, scores, **chain())
    assert answer["tags"] == ["B-PER", "I-PER"]


def test_an_entity_across_windows_is_one(make: Any) -> None:
    task = make(head="crf", max_length=8, stride=0)
    columns = {"tokens": [["a"] * 8]}
    [answer] = joined(task, columns, sure(O, O, O, O, O, B), sure(I, O), **chain())
    assert answer["tags"] == ["O"] * 5 + ["B-PER", "I-PER", "O"]
    assert len(answer["entities"]) == 1


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_words_that_were_cut_off_hold_no_entity(make: Any, head: str) -> None:
    task = make(head=head, long_text="truncate", max_length=8)
    eager = chain(transitions=torch.tensor([[0.0, 9.0, ILLEGAL], [0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]))
    constants = eager if head == "crf" else {}
    [answer] = joined(task, {"tokens": [["a"] * 9]}, sure(O, O, O, O, B, I), **constants)
    assert answer["tags"] == ["O"] * 4 + ["B-PER", "I-PER", "O", "O", "O"]
    assert answer["entities"][0]["end"] == 11
    assert answer["truncated"] is True


def test_answers_keep_the_order_of_the_examples_whatever_their_lengths(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.tasks.tagging.STRETCHES_AT_ONCE", 2)
    columns = {"tokens": [["a"] * 5, ["b"], ["c"] * 3, [], ["d"] * 2]}
    partials = [sure(O, O, O, O, B), sure(B), sure(O, B, I), sure(), sure(B, B)]
    answers = joined(make(head="crf"), columns, *partials, **chain())
    assert [answer["tags"] for answer in answers] == [
        ["O", "O", "O", "O", "B-PER"],
        ["B-PER"],
        ["O", "B-PER", "I-PER"],
        [],
        ["B-PER", "B-PER"],
    ]


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_a_text_decoded_in_stretches_is_tagged_as_at_once(
    make: Any, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    task, columns = make(head=head), {"tokens": [["a"] * 30, ["b"] * 7]}
    scores = [sure(*[O, B, I, I, O, B] * 5), sure(*[B, I, I, I, I, I, I])]  # entities lie across every cut
    constants = chain() if head == "crf" else {}
    at_once = joined(task, columns, *scores, **constants)
    monkeypatch.setattr("hone.tasks.tagging.STRETCH_WORDS", 5)
    monkeypatch.setattr("hone.tasks.tagging.SHARED_WORDS", 2)
    in_stretches = joined(task, columns, *scores, **constants)
    assert [answer["tags"] for answer in in_stretches] == [answer["tags"] for answer in at_once]
    assert at_once[1]["tags"] == ["B-PER"] + ["I-PER"] * 6
    for one, other in zip(in_stretches, at_once, strict=True):
        assert [entity["start"] for entity in one["entities"]] == [entity["start"] for entity in other["entities"]]


@pytest.mark.parametrize("settings", [{}, {"head": "crf"}, {"context": 8, "word_shape": True, "head": "crf"}])
@pytest.mark.parametrize("texts", [[""], ["", " \n"], ["", "Ada is here"]])
def test_a_text_without_words_has_no_entities(
    make: Any, tiny_base: Path, settings: dict[str, Any], texts: list[str]
) -> None:
    task = make(**settings)
    model = build_model(tiny_base, task.head).eval()
    rows = Rows(task.encode({"text": texts}, purpose="predict"))
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.inference_mode():
        scores = task.decode(model(batch), batch)
        answers = task.join({"text": texts}, rows, scores, constants=model.head.constants())
    assert answers[0] == {"entities": [], "truncated": False}
    assert len(answers) == len(texts)


def test_the_loss_counts_words_rather_than_padding(make: Any) -> None:
    task = make()
    batch = task.collate(learned(task, [["a", "b"], ["c"]], [["O", "B-PER"], ["O"]]), np.array([0, 1]))
    loss = task.loss({"logits": torch.zeros(2, 2, 3)}, batch, options=LossOptions())
    assert float(loss.total) == pytest.approx(3 * np.log(3))
    assert loss.weight == 3.0


def test_class_weights_weigh_tags(make: Any) -> None:
    task = make()
    batch = task.collate(learned(task, [["a", "b"], ["c"]], [["O", "B-PER"], ["O"]]), np.array([0, 1]))
    options = LossOptions(class_weights=torch.tensor([0.5, 4.0, 1.0]))
    loss = task.loss({"logits": torch.zeros(2, 2, 3)}, batch, options=options)
    assert loss.weight == 5.0
    assert float(loss.total) == pytest.approx(5 * np.log(3))


def test_the_loss_of_a_crf_is_that_of_the_sequence(make: Any) -> None:
    task = make(head="crf")
    batch = task.collate(learned(task, [["a", "b"], ["c"]], [["O", "B-PER"], ["O"]]), np.array([0, 1]))
    loss = task.loss({"logits": torch.zeros(2, 2, 3), **chain()}, batch, options=LossOptions())
    assert float(loss.total) == pytest.approx(np.log(5) + np.log(2))  # legal sequences of two words, of one
    assert loss.weight == 3.0


@pytest.mark.parametrize("options", [LossOptions(0.1), LossOptions(class_weights=torch.ones(3))])
def test_a_crf_takes_neither_smoothing_nor_class_weights(make: Any, options: LossOptions) -> None:
    task = make(head="crf")
    batch = task.collate(learned(task, [["a"]], [["O"]]), np.array([0]))
    with pytest.raises(RecipeError) as raised:
        task.loss({"logits": torch.zeros(1, 1, 3), **chain()}, batch, options=options)
    assert raised.value.code == "recipe.loss-options"


CHINESE = [["V", "P", "N", "断", "了"], ["用", "V", "P", "N"]]
SPACED = [["VPN", "断", "了"], ["用", "VPN"]]


@pytest.mark.parametrize(("tokens", "decided"), [(CHINESE, "characters"), (SPACED, "words")])
def test_a_text_is_split_as_the_training_tokens_are(tokens: list[list[str]], decided: str) -> None:
    train = Dataset.from_columns("train", {"tokens": tokens})
    assert TokenClassification.settled(TokenClassificationSettings(), train).split == decided


def test_a_stated_split_stands() -> None:
    train = Dataset.from_columns("train", {"tokens": CHINESE})
    stated = TokenClassificationSettings(split="words")
    assert TokenClassification.settled(stated, train) == stated


@pytest.mark.parametrize(("split", "tokens"), [("characters", CHINESE), ("words", SPACED)])
def test_a_text_gives_the_rows_that_its_tokens_give(make: Any, split: str, tokens: list[list[str]]) -> None:
    task = make(split=split, word_shape=True)
    by_text = task.encode({"text": ["VPN断了", "用VPN"]}, purpose="predict")
    assert by_text.equals(task.encode({"tokens": tokens}, purpose="predict"))


def test_with_characters_tokens_are_joined_without_spaces(make: Any) -> None:
    answers = joined(make(split="characters"), {"tokens": [["V", "P", "N", "断"]]}, sure(B, I, I, O))
    assert [(e["start"], e["end"], e["text"]) for e in answers[0]["entities"]] == [(0, 3, "VPN")]
