"""The tokenizer: special tokens apart, no truncation of its own, at least one token a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hone.core.errors import BundleError
from hone.models.tokenizer import Tokenizer, load_tokenizer

DROPPED = "\x00\u200b"  # control characters: BERT's normalizer removes them
MARKS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Tokenizer:
    return load_tokenizer(tiny_base)


def bare(**special: str) -> Tokenizer:
    """A tokenizer over three words that adds no special tokens, with those of ``special`` in its vocabulary."""
    ids = {word: i for i, word in enumerate(["a", "b", "c", *special.values()])}
    backend = Backend(models.WordLevel(ids, unk_token=special.get("unk_token")))
    backend.normalizer = normalizers.Replace("-", "")
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, **special))


def test_special_tokens_are_taken_apart(tokenizer: Tokenizer) -> None:
    assert (tokenizer.prefix, tokenizer.suffix) == ([MARKS["[CLS]"]], [MARKS["[SEP]"]])
    assert (tokenizer.pad_id, tokenizer.unk_id) == (MARKS["[PAD]"], MARKS["[UNK]"])


def test_a_tokenizer_without_special_tokens_adds_none() -> None:
    tokenizer = bare()
    assert (tokenizer.prefix, tokenizer.suffix, tokenizer.unk_id, tokenizer.pad_id) == ([], [], None, 0)
    assert tokenizer.encode(["a c"]) == [[0, 2]]


def test_between_the_texts_of_a_bert_pair_stands_one_mark_and_the_second_has_type_1(tokenizer: Tokenizer) -> None:
    assert (tokenizer.middle, tokenizer.types) == ([MARKS["[SEP]"]], True)


BERT = {"single": "[C] $A [S]", "pair": "[C] $A [S] $B:1 [S]:1"}
PAIRS: dict[str, tuple[dict[str, str], list[int] | None, bool]] = {
    "bert": (BERT, [4], True),
    "roberta": ({"single": "[C] $A [S]", "pair": "[C] $A [S] [S] $B [S]"}, [4, 4], False),
    "t5": ({"single": "$A [S]", "pair": "$A [S] $B [S]"}, [4], False),
    "types without marks around": ({"single": "$A", "pair": "$A [S] $B:1"}, [4], True),
    "of single texts alone": ({"single": BERT["single"]}, None, False),
    "another prefix": ({**BERT, "pair": "$A [S] $B:1 [S]:1"}, None, False),
    "another suffix": ({**BERT, "pair": "[C] $A [S] $B:1"}, None, False),
    "a longer suffix": ({**BERT, "pair": "[C] $A [S] $B:1 [C]:1 [S]:1"}, None, False),
    "the second text first": ({**BERT, "pair": "[C] $B [S] $A:1 [S]:1"}, None, False),
    "nothing between": ({**BERT, "pair": "[C] $A $B:1 [S]:1"}, None, False),
    "a type for the last token": ({"single": "$A [S] [C]:2", "pair": "$A [S] $B:1 [S]:1 [C]:2"}, None, False),
    "a mark of the second type": ({**BERT, "pair": "[C] $A [S]:1 $B:1 [S]:1"}, None, False),
    "a suffix of the first type": ({**BERT, "pair": "[C] $A [S] $B:1 [S]"}, None, False),
}


@pytest.mark.parametrize("case", PAIRS)
def test_a_pair_is_two_texts_between_known_tokens_or_cannot_be_had(case: str) -> None:
    template, middle, types = PAIRS[case]
    ids = {word: i for i, word in enumerate(["a", "b", "c", "[C]", "[S]"])}
    backend = Backend(models.WordLevel(ids, unk_token="c"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(**template, special_tokens=[("[C]", 3), ("[S]", 4)])
    made = Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend))
    assert (made.middle, made.types) == (middle, types)


def test_a_tokenizer_without_special_tokens_has_no_pairs() -> None:
    assert (bare().middle, bare().types) == (None, False)


def test_texts_are_encoded_without_special_tokens(tokenizer: Tokenizer) -> None:
    expected = tokenizer.pretrained("the card", add_special_tokens=False)["input_ids"]
    assert tokenizer.encode(["the card", ""]) == [expected, []]


def test_no_text_is_cut(tokenizer: Tokenizer) -> None:
    assert tokenizer.max_tokens == 64
    assert len(tokenizer.encode(["a " * 500])[0]) == 500


def test_a_tokenizer_that_was_saved_with_truncation_and_padding_does_neither(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    backend = Backend.from_file(str(copy / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=128)
    backend.save(str(copy / "tokenizer.json"))
    assert [len(ids) for ids in load_tokenizer(copy).encode(["a a a a a a", "a"])] == [6, 1]


def test_an_unstated_limit_is_none() -> None:
    assert bare().max_tokens is None


def test_the_vocabulary_counts_added_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == len(tokenizer.pretrained)


def test_each_word_starts_where_its_first_piece_stands(tokenizer: Tokenizer) -> None:
    [(ids, first)] = tokenizer.encode_words([["xyz", "card", "9a"]])
    assert tokenizer.pretrained.convert_ids_to_tokens(ids) == ["x", "##y", "##z", "card", "9", "##a"]
    assert first == [0, 3, 4]


def test_a_word_with_white_space_inside_stays_one_word(tokenizer: Tokenizer) -> None:
    [(ids, first)] = tokenizer.encode_words([["new york", "a"]])
    assert first[1] == len(ids) - 1 > 1


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ([DROPPED, "a"], [0, 1]),
        (["a", DROPPED, "b"], [0, 1, 2]),
        (["a", DROPPED], [0, 1]),
        (["a", DROPPED, DROPPED, "xy", ""], [0, 1, 2, 3, 5]),
        ([DROPPED], [0]),
        (["", " "], [0, 1]),
    ],
)
def test_a_word_that_gives_no_token_gets_the_unknown_one(
    tokenizer: Tokenizer, words: list[str], first: list[int]
) -> None:
    [(ids, found)] = tokenizer.encode_words([words])
    assert found == first
    for at, word in zip(found, words, strict=True):
        assert (ids[at] == tokenizer.unk_id) == (word not in ("a", "b", "xy"))


def test_it_gets_the_padding_token_where_none_is_unknown() -> None:
    assert bare(pad_token="[PAD]").encode_words([["a", "-", "b"]]) == [([0, 3, 1], [0, 1, 2])]


def test_no_words_give_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode_words([[], ["a"]])[0] == ([], [])


def test_the_digest_follows_the_vocabulary(tokenizer: Tokenizer, tiny_base: Path) -> None:
    assert load_tokenizer(tiny_base).digest == tokenizer.digest
    assert bare().digest != bare(pad_token="[PAD]").digest


def test_what_is_saved_opens_as_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert (again.digest, again.max_tokens, again.prefix) == (tokenizer.digest, tokenizer.max_tokens, tokenizer.prefix)
    assert (again.middle, again.types) == (tokenizer.middle, tokenizer.types)


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_place_that_cannot_be_written_is_an_oserror(tokenizer: Tokenizer, tmp_path: Path, file: str) -> None:
    (tmp_path / file).mkdir()
    with pytest.raises(OSError, match=r"directory"):
        tokenizer.save(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "{}", "[]", '{"added_tokens": [], "model": {"type": "none"}}'])
def test_a_missing_or_damaged_tokenizer_is_refused(tiny_base: Path, tmp_path: Path, content: str | None) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    if content is not None:
        (copy / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(BundleError) as raised:
        load_tokenizer(copy)
    assert raised.value.code == "base.no-tokenizer"
    assert str(copy) in str(raised.value)


def test_a_slow_tokenizer_is_refused(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "ByT5Tokenizer"}  # works on bytes: there is no fast one
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    with pytest.raises(BundleError) as raised:
        load_tokenizer(tmp_path)
    assert raised.value.code == "base.no-tokenizer"
    assert raised.value.expected


def byte_level() -> Tokenizer:
    """A byte-level tokenizer as RoBERTa's is: a space before a word is part of it."""
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġa", "Ġb"]
    backend = Backend(models.BPE({symbol: i for i, symbol in enumerate(symbols)}, [("Ġ", "a"), ("Ġ", "b")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Tokenizer(PreTrainedTokenizerFast(tokenizer_object=backend))


def test_words_of_a_byte_level_tokenizer_are_marked_as_inside_a_text() -> None:
    tokenizer = byte_level()
    ids, first = tokenizer.encode_words([["a", "b", "ab"]])[0]
    assert tokenizer.pretrained.convert_ids_to_tokens(ids) == ["Ġa", "Ġb", "Ġa", "b"]
    assert first == [0, 1, 2]


def test_texts_of_a_byte_level_tokenizer_are_as_they_stand() -> None:
    tokenizer = byte_level()
    assert tokenizer.pretrained.convert_ids_to_tokens(tokenizer.encode(["a b"])[0]) == ["a", "Ġb"]
