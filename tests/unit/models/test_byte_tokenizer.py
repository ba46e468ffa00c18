"""Byte-level tokenizers that are learned: every text comes back, and nothing of the vocabulary is left to chance."""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from hone.models.architectures import ByteTokenizerSettings
from hone.models.learned_tokenizer import learn_tokenizer
from hone.models.tokenizer import Tokenizer, load_tokenizer

TEXTS = ["the lowest lowest low lower", "a newer and newest new low", "我爱北京，我爱你", "Zwei junge Männer"] * 2


def learn(texts: list[str] = TEXTS, *, stack: Any = "encoder-decoder", **settings: Any) -> Tokenizer:
    return Tokenizer(learn_tokenizer(ByteTokenizerSettings(**settings), texts, max_tokens=64, stack=stack))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return learn()


def back(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    return tokenizer.decode(tokenizer.encode(texts))


@pytest.mark.parametrize(
    "text",
    ["", " ", "  two  spaces ", "\n\ttabs\r\n", "low LOW",
     "naïve café", "我爱北京。", "👩‍👩‍👧‍👦 ☃\ufe0f", "\x00\x1f\u200b\ufeff",
     "a , b . n't 's 've", "Ａ１ﬁ", "<s> a </s> <pad><unk><mask>", "مرحبا שלום", "\U0010ffff\ue000"],
)  # fmt: skip
def test_a_text_comes_back_to_the_letter(tokenizer: Tokenizer, text: str) -> None:
    assert back(tokenizer, [text]) == [text]


def test_any_text_comes_back(tokenizer: Tokenizer) -> None:
    draw = random.Random(0)
    planes = (0x80, 0x800, 0x10000, sys.maxunicode + 1)
    letters = [chr(draw.randrange(planes[i % 4])) for i in range(40_000)]
    letters = [letter for letter in letters if not 0xD800 <= ord(letter) < 0xE000]  # surrogates are no text
    texts = [unicodedata.normalize("NFC", "".join(draw.sample(letters, k=40))) for _ in range(200)]
    assert back(tokenizer, texts) == texts


def test_a_letter_and_its_accent_become_one(tokenizer: Tokenizer) -> None:
    assert back(tokenizer, ["e\u0301"]) == ["é"]


def test_special_tokens_are_left_out_of_the_text(tokenizer: Tokenizer) -> None:
    [ids] = tokenizer.encode(["low"])
    assert tokenizer.bos_id is not None
    assert tokenizer.decode([[tokenizer.bos_id, *ids, *tokenizer.suffix, tokenizer.pad_id]]) == ["low"]


def test_the_letters_of_a_special_token_are_read_as_letters(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    alone = AutoTokenizer.from_pretrained(tmp_path)
    [ids] = tokenizer.encode(["</s>"])
    assert tokenizer.eos_id not in ids
    assert alone("</s>")["input_ids"] == [*ids, *tokenizer.suffix]


def test_nothing_is_unknown_however_little_was_seen() -> None:
    tokenizer = learn([])
    assert tokenizer.vocab_size == 256 + 5
    assert back(tokenizer, ["我 café ☃"]) == ["我 café ☃"]
    assert tokenizer.unk_id not in tokenizer.encode(["我 café ☃"])[0]


def test_rows_of_an_encoder_decoder_end_and_pairs_are_parted(tokenizer: Tokenizer) -> None:
    end = tokenizer.eos_id
    assert (tokenizer.prefix, tokenizer.middle, tokenizer.suffix, tokenizer.types) == ([], [end], [end], False)
    assert (tokenizer.pad_id, tokenizer.bos_id, end, tokenizer.unk_id, tokenizer.mask_id) == (0, 1, 2, 3, 4)


def test_rows_of_a_decoder_are_bare() -> None:
    tokenizer = learn(stack="decoder")
    assert (tokenizer.prefix, tokenizer.middle, tokenizer.suffix) == ([], None, [])
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.mask_id) == (0, 1, 1, None)


def test_frequent_parts_become_one_token(tokenizer: Tokenizer) -> None:
    found = tokenizer.pretrained.convert_ids_to_tokens(tokenizer.encode(["the lowest low"])[0])
    assert found == ["the", "Ġlowest", "Ġlow"]


def test_no_more_tokens_than_asked_for() -> None:
    assert learn(vocab_size=270).vocab_size == 270
    assert learn(min_frequency=1000).vocab_size == 256 + 5


def test_the_order_of_the_texts_makes_no_difference(tokenizer: Tokenizer) -> None:
    assert learn(TEXTS[::-1]).digest == tokenizer.digest


def test_letters_are_small_where_asked_for() -> None:
    assert back(learn(lowercase=True), ["ÉTÉ Low"]) == ["été low"]


def test_tokens_are_pieces_of_words_joined_by_the_rule_of_the_paper() -> None:
    """Against joining spelled out: the most frequent pair of the whole corpus, counted anew each time."""
    texts = ["aaab aab aaaa abab", "babab baa aabaa", "abba abba aaa"]
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    words = [list(word) for text in texts for word, _ in split(text)]
    expected = []
    for _ in range(12):
        pairs = [pair for word in words for pair in zip(word, word[1:], strict=False)]
        best = min(pairs, key=lambda pair: (-pairs.count(pair), pair))
        if pairs.count(best) < 2:
            break
        expected.append("".join(best))
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = ["".join(best)]
                i += 1
    tokens = learn(texts, vocab_size=400).pretrained.convert_ids_to_tokens(range(261, 261 + len(set(expected))))
    assert tokens == list(dict.fromkeys(expected))


def test_it_is_read_back_as_it_was_learned(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.digest == tokenizer.digest
    assert back(again, ["<s> 我 low"]) == ["<s> 我 low"]
