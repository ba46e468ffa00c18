"""What a tokenizer is learned from fits into memory, however much text there is: reading ends, and parts are counted
without keeping every one."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from hone.models.architectures import ByteTokenizerSettings
from hone.models.learned_tokenizer import count_words, learn_tokenizer
from hone.models.unigram import LONGEST, _seeds


def splitting() -> Tokenizer:
    backend = Tokenizer(models.WordLevel({}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def test_no_more_is_read_than_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.models.learned_tokenizer.READ", 1000)
    monkeypatch.setattr("hone.models.learned_tokenizer.KEPT", 100)
    same = iter(["word"] * 1000)
    assert count_words(splitting(), same) == Counter(word=250)
    other = iter(f"w{i:03} w{i:03}" for i in range(1000))
    assert len(count_words(splitting(), other)) == 25
    assert (len(list(same)), len(list(other))) == (750, 975)


def clauses(characters: int) -> Iterator[str]:
    rng = random.Random(1)
    for _ in range(characters // 500):
        drawn = [chr(0x4E00 + int(3000 * rng.random() ** 3)) for _ in range(500)]
        yield "，".join("".join(drawn[at : at + 10]) for at in range(0, 500, 10))


def test_clauses_that_are_all_different_take_little_memory() -> None:
    learn_tokenizer(ByteTokenizerSettings(vocab_size=300), clauses(500), max_tokens=64)  # what it imports
    tracemalloc.start()
    try:
        learn_tokenizer(ByteTokenizerSettings(vocab_size=400), clauses(30_000), max_tokens=64)
        assert tracemalloc.get_traced_memory()[1] < 450 * 30_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("least", [1, 2, 3])
def test_seeds_are_those_of_counting_every_part(least: int) -> None:
    rng = random.Random(2)
    words = {"".join(rng.choices("abc", k=rng.randint(1, 20))): rng.randint(1, 3) for _ in range(60)}
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for begin in range(len(word)):
            for end in range(begin + 1, min(len(word), begin + LONGEST) + 1):
                counts[word[begin:end]] += count
    frequent = {piece: count for piece, count in counts.items() if len(piece) > 1 and count >= least}
    longer = sorted((-count * len(piece), piece) for piece, count in frequent.items())
    found = _seeds(words, set("abc"), most=40, least=least)
    assert set(found) - set("abc") == {piece for _, piece in longer[:37]}
    assert found["a"] / found["b"] == pytest.approx(counts["a"] / counts["b"])
