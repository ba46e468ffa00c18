"""Tokenizers learned from texts: the same from the same texts, in whatever order, on every machine.

The tokenizers package reads the texts and does the splitting; what the vocabulary holds is decided here, for its own
trainers break ties at random. Parts of words are learned as WordPiece's trainer there does: the most frequent pair of
neighbors is joined, again and again (Sennrich et al. 2016).
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from hone.models.architectures import TokenizerSettings

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MARKS = ("#", "@")  # that tasks write into rows (see `hone.tasks.marked`): known whatever the texts hold
INSIDE = "##"  # before a part that does not begin a word

Pair = tuple[str, str]


def learn_tokenizer(settings: TokenizerSettings, texts: Iterable[str], *, max_tokens: int) -> Any:
    """A fast tokenizer of transformers', with rows and pairs as BERT's.

    Args:
        max_tokens: Most tokens of a row, which its configuration then says.
    """
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(lowercase=settings.lowercase)]
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = count_words(backend, texts)
    pieces = [*SPECIAL, *MARKS]
    pieces += learned(settings, words, room=settings.vocab_size - len(pieces))
    ids = {piece: i for i, piece in enumerate(pieces)}
    split = models.WordLevel if settings.kind == "words" else models.WordPiece
    backend.model = split(ids, unk_token="[UNK]")
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def count_words(backend: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as the normalizer and the pre-tokenizer of ``backend`` make words of texts."""
    normalize, split = backend.normalizer.normalize_str, backend.pre_tokenizer.pre_tokenize_str
    return Counter(word for text in texts for word, _ in split(normalize(text)))


def learned(settings: TokenizerSettings, words: Mapping[str, int], *, room: int) -> list[str]:
    """At most ``room`` entries of a vocabulary, without `SPECIAL` and `MARKS`, frequent ones first."""
    known = {*SPECIAL, *MARKS}
    if settings.kind == "words":
        return _frequent(words, settings.min_frequency, without=known)[:room]
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for part in _spelled(word):
            characters[part] += count
    alphabet = _frequent(characters, settings.min_frequency, without=known)[:room]
    if settings.kind == "characters" or len(alphabet) == room:
        return alphabet
    parts = _joined(words, {*alphabet, *known}, least=settings.min_frequency)
    return [*alphabet, *itertools.islice((part for part in parts if part not in known), room - len(alphabet))]


def _frequent(counts: Mapping[str, int], least: int, *, without: set[str]) -> list[str]:
    """What occurs ``least`` times or more, most frequent first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, count in order if count >= least and name not in without]


def _spelled(word: str) -> list[str]:
    return [character if i == 0 else f"{INSIDE}{character}" for i, character in enumerate(word)]


def _joined(words: Mapping[str, int], alphabet: set[str], *, least: int) -> Iterable[str]:
    """Parts of words, as joining makes them: the most frequent pair first, of equals the first by its letters, while
    one occurs ``least`` times. Words with a character outside of ``alphabet`` teach nothing."""
    spelled = [(_spelled(word), count) for word, count in sorted(words.items()) if len(word) > 1]
    spelled = [(parts, count) for parts, count in spelled if alphabet.issuperset(parts)]
    counts: Counter[Pair] = Counter()
    places: dict[Pair, set[int]] = {}
    for i, (parts, count) in enumerate(spelled):
        for pair in itertools.pairwise(parts):
            counts[pair] += count
            places.setdefault(pair, set()).add(i)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapq.heapify(heap)
    made: set[str] = set()
    while heap:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:  # it has changed since, and stands there with its new count
            continue
        if -count < least:
            return
        part = pair[0] + pair[1].removeprefix(INSIDE)
        if part not in made:
            made.add(part)
            yield part
        changed: set[Pair] = set()
        for i in places.pop(pair):
            parts, times = spelled[i]
            for old in itertools.pairwise(parts):
                counts[old] -= times
                changed.add(old)
            _join(parts, pair, part)
            for new in itertools.pairwise(parts):
                counts[new] += times
                places.setdefault(new, set()).add(i)
                changed.add(new)
        for other in changed - {pair}:
            if counts[other] > 0:
                heapq.heappush(heap, (-counts[other], other))


def _join(parts: list[str], pair: Pair, part: str) -> None:
    """Put ``part`` in place of each ``pair`` of neighbors, from the left."""
    i = 0
    while i < len(parts) - 1:
        if parts[i] == pair[0] and parts[i + 1] == pair[1]:
            parts[i : i + 2] = [part]
        i += 1
