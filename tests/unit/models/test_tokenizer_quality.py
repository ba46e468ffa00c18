"""What a tokenizer makes of texts it did not learn from, counted by hand; kinds of tokenizers and their limits."""

from __future__ import annotations

from typing import Any

import pytest

from hone.core.errors import RecipeError
from hone.core.settings import check_settings
from hone.models.architectures import PieceTokenizerSettings
from hone.models.learned_tokenizer import learn_tokenizer
from hone.models.tokenizer import Tokenizer
from hone.models.tokenizer_quality import quality_on
from hone.models.unigram import best

TEXTS = ["the lowest lowest low lower", "a newer and newest new low", "我爱北京，我爱你", "北京 new ＮＥＷ"] * 2


def learn(texts: list[str] = TEXTS, **settings: Any) -> Tokenizer:
    return Tokenizer(learn_tokenizer(PieceTokenizerSettings(**settings), texts, max_tokens=64))


def test_quality_is_counted_over_words_characters_and_tokens() -> None:
    tokenizer = learn(kind="words")
    found = quality_on(tokenizer, ["low lowly 北京", "new!"])
    assert (found.texts, found.words, found.characters, found.tokens) == (2, 6, 14, 6)
    assert found.fertility == 1
    assert found.tokens_per_character == pytest.approx(6 / 14)
    assert found.unknown == pytest.approx(2 / 6)  # lowly and !
    assert found.coverage == pytest.approx(1 - 6 / 14)
    assert found.used == pytest.approx(5 / tokenizer.vocab_size)


def test_of_no_text_nothing_is_said() -> None:
    found = quality_on(learn(), [])
    assert (found.words, found.fertility, found.unknown, found.coverage, found.used) == (0, None, None, None, 0)


def test_many_texts_are_counted_as_one_by_one() -> None:
    tokenizer, texts = learn(), [f"{text} {i}" for i in range(100) for text in TEXTS]
    whole, parts = quality_on(tokenizer, texts), [quality_on(tokenizer, [text]) for text in texts]
    assert (whole.tokens, whole.words) == (sum(p.tokens for p in parts), sum(p.words for p in parts))


def test_unigram_tokenizers_divide_words_as_learned() -> None:
    tokenizer = learn(kind="unigram", vocab_size=60)
    model = tokenizer.pretrained.backend_tokenizer
    vocabulary = model.get_vocab()
    assert {"▁low", "▁new"} <= set(vocabulary)
    [(ids, places)] = tokenizer.encode_spans(["the lowest 我"])
    assert "".join(model.id_to_token(i) for i in ids) == "▁the▁lowest▁我"
    assert {"the lowest 我"[a:b].strip() for a, b in places} >= {"我"}
    assert tokenizer.prefix == [vocabulary["[CLS]"]]
    assert tokenizer.unk_id in tokenizer.encode(["龘"])[0]


def test_unigram_tokenizers_take_the_likeliest_division() -> None:
    import json
    import math

    tokenizer = learn(kind="unigram", vocab_size=60)
    form = json.loads(tokenizer.pretrained.backend_tokenizer.to_str())["model"]["vocab"]
    pieces = {piece: math.exp(score) for piece, score in form[5:]}
    for word in ("lowest", "newer", "lowerest"):
        shown = tokenizer.pretrained.convert_ids_to_tokens(tokenizer.encode([word])[0])
        assert shown == best(f"▁{word}", pieces.get)[0]


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "bpe"])
def test_the_same_texts_in_any_order_make_the_same_tokenizer(kind: str) -> None:
    assert learn(kind=kind, vocab_size=300).digest == learn(TEXTS[::-1], kind=kind, vocab_size=300).digest


def test_bytes_leave_nothing_unknown_to_a_model_that_reads() -> None:
    tokenizer = learn(kind="bpe", vocab_size=300, lowercase=False)
    text = "Ünknown 龘 \U0001f600"
    ids = tokenizer.encode([text])[0]
    assert tokenizer.decode([ids]) == [text]
    assert (tokenizer.prefix, tokenizer.suffix, tokenizer.middle) == (
        [tokenizer.bos_id],
        [tokenizer.eos_id],
        [tokenizer.eos_id],
    )
    assert tokenizer.mask_id is not None


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "characters"])
def test_a_vocabulary_without_room_for_the_alphabet_is_refused(kind: str) -> None:
    texts = ["".join(chr(0x4E00 + i) for i in range(100))] * 2
    with pytest.raises(RecipeError, match="100|103") as caught:
        learn(texts, kind=kind, vocab_size=50)
    assert caught.value.code == "tokenizer.vocabulary-too-small"
    assert caught.value.exit_code == 2
    asked = int("".join(filter(str.isdigit, caught.value.expected)))
    assert len(learn(texts, kind=kind, vocab_size=asked).vocabulary()) <= asked
    with pytest.raises(RecipeError):
        learn(texts, kind=kind, vocab_size=asked - 1)


def test_a_vocabulary_without_room_for_the_bytes_is_refused() -> None:
    _, faults = check_settings(PieceTokenizerSettings, {"kind": "bpe", "vocab_size": 100})
    assert "262 or more" in str(faults[0])
