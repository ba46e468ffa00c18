"""A stream's pieces are the text, and none is taken back."""

from __future__ import annotations

import re

import pytest
from table_writer import END, PacedTogether, saying, together_of
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hone.core.errors import RecipeError
from hone.predict.generation.generate import generate
from hone.predict.generation.stream import stream
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

TEXTS = [
    "the quick brown fox does n't jump over it . why ? because it is unbelievably lazy !",
    "机器学习模型 压缩之后，还能用吗？可以。",
    "naïve café: 2.5 €, 👍🏽 déjà vu",
    "mixed 中文 and english words，again",
]
PLAIN = DecodingSettings(max_new_tokens=400)


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS[:1], trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet))
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[UNK]"]))
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS, trainers.UnigramTrainer(vocab_size=120, unk_token="<unk>", special_tokens=["<unk>"])
    )
    return tokenizer


@pytest.fixture(scope="module", params=[byte_level, word_piece, unigram])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return request.param()


def said(tokenizer: Tokenizer, text: str) -> tuple[list[int], Vocabulary]:
    """Its tokens, one more than the tokenizer's: 0 ends texts."""
    vocabulary = Vocabulary((END,), decode=lambda ids: tokenizer.decode([token - 1 for token in ids]))
    return [token + 1 for token in tokenizer.encode(text).ids], vocabulary


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text_and_end_with_words_or_characters(tokenizer: Tokenizer, text: str) -> None:
    ids, vocabulary = said(tokenizer, text)
    writer = saying(ids, tokens=tokenizer.get_vocab_size() + 1)
    [[whole]] = generate(writer, [[1]], PLAIN, vocabulary=vocabulary)
    pieces = list(stream(PacedTogether(writer), [1], PLAIN, vocabulary=vocabulary))
    assert "".join(pieces) == whole.text
    assert len(pieces) > 4
    for piece, following in zip(pieces, pieces[1:], strict=False):
        assert (
            not re.search(r"[a-zïéà\d]\Z", piece)
            or following[0].isspace()
            or not following[0].isascii()
            or (following[0] in ".?!'" or not following[0].isalnum())
        )
        assert "\ufffd" not in piece


@pytest.mark.parametrize(
    ("text", "stop"),
    [(TEXTS[0], "jump"), (TEXTS[0], "own fox do"), (TEXTS[0], "lazy !"), (TEXTS[1], "，还"), (TEXTS[1], "？可以")],
)
def test_nothing_of_a_stop_string_is_handed_out(text: str, stop: str) -> None:
    tokenizer = byte_level()  # of a Chinese character each byte by itself
    ids, vocabulary = said(tokenizer, text)
    settings = DecodingSettings(max_new_tokens=400, stop_strings=[stop])
    writer = saying(ids, tokens=tokenizer.get_vocab_size() + 1)
    pieces = list(stream(together_of(writer), [1], settings, vocabulary=vocabulary))
    assert "".join(pieces) == text[: text.index(stop)]


@pytest.mark.parametrize("settings", [{"num_beams": 2}, {"do_sample": True, "num_return_sequences": 2}])
def test_several_texts_are_no_stream(settings: dict[str, int]) -> None:
    ids, vocabulary = said(byte_level(), "the fox")
    with pytest.raises(RecipeError) as refused:
        list(stream(together_of(saying(ids, tokens=300)), [1], DecodingSettings(**settings), vocabulary=vocabulary))
    assert refused.value.code == "decoding.stream"
