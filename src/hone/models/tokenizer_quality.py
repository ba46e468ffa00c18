"""How well a tokenizer fits texts: tokens a word, what it does not know, how much of its vocabulary is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hone.models.tokenizer import Tokenizer
from hone.text.words import split_words

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Quality:
    """What a tokenizer makes of some texts.

    Attributes:
        texts, words, characters, tokens: How many; a Chinese character and a punctuation mark are words, white space is
            no character, and special tokens are none of the tokens.
        fertility: Tokens a word; None of texts without words, as all of these.
        tokens_per_character: Of a character that is no white space.
        unknown: Share of the tokens that are the unknown one.
        coverage: Share of the characters that known tokens stand for.
        used: Share of the vocabulary that occurs, of a large text near 1.
    """

    texts: int
    words: int
    characters: int
    tokens: int
    fertility: float | None
    tokens_per_character: float | None
    unknown: float | None
    coverage: float | None
    used: float


def quality_on(tokenizer: Tokenizer, texts: Iterable[str]) -> Quality:
    """The `Quality` of a tokenizer on ``texts``, which it should not have learned from; memory holds some of them."""
    words = characters = tokens = unknown = lost = count = 0
    used: set[int] = set()
    batch: list[str] = []

    def see() -> None:
        nonlocal tokens, unknown, lost
        for text, (ids, places) in zip(batch, tokenizer.encode_spans(batch), strict=True):
            tokens += len(ids)
            used.update(ids)
            if tokenizer.unk_id is not None and tokenizer.unk_id in ids:
                spans = [place for token, place in zip(ids, places, strict=True) if token == tokenizer.unk_id]
                unknown += len(spans)
                lost += sum(_visible(text[begin:end]) for begin, end in spans)
        batch.clear()

    for text in texts:
        count += 1
        words += len(split_words(text))
        characters += _visible(text)
        batch.append(text)
        if len(batch) == TEXTS_AT_ONCE:
            see()
    see()
    return Quality(
        texts=count,
        words=words,
        characters=characters,
        tokens=tokens,
        fertility=tokens / words if words else None,
        tokens_per_character=tokens / characters if characters else None,
        unknown=unknown / tokens if tokens else None,
        coverage=1 - lost / characters if characters else None,
        used=len(used) / tokenizer.vocab_size,
    )


def _visible(text: str) -> int:
    """Characters that are no white space."""
    return sum(map(len, text.split()))
