"""Tokenizers learned from texts: the same from the same texts, in whatever order, on every machine.

The tokenizers package reads the texts and does the splitting; what the vocabulary holds is decided here, for its own
trainers break ties at random. Parts of words are learned as the trainers there do: the most frequent pair of neighbors
is joined, again and again (Sennrich et al. 2016), of characters or of bytes (Radford et al. 2019).
"""

from __future__ import annotations

import heapq
import itertools
import sys
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from hone.core.errors import RecipeError
from hone.models.architectures import Stack, TokenizerSettings
from hone.models.chat_marks import ROLE_TEMPLATE, ROLE_TOKENS
from hone.models.unigram import learn_unigram

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DECODER_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
WRITER_SPECIAL = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                  "mask_token": "<mask>"}  # fmt: skip
MARKS = ("#", "@")  # that tasks write into rows (see `hone.tasks.marked`): known whatever the texts hold
BEGIN = "▁"  # before a part that begins a word, in unigram vocabularies
READ = 100_000_000  # characters that are read
KEPT = 8_000_000  # characters of different words, bytes of byte-level ones: each takes up to 250 bytes of memory
INSIDE = "##"  # before a part that does not begin a word

Pair = tuple[str, str]


def learn_tokenizer(
    settings: TokenizerSettings, texts: Iterable[str], *, max_tokens: int, stack: Stack = "encoder"
) -> Any:
    """A fast tokenizer of transformers'.

    Args:
        max_tokens: Most tokens of a row, which its configuration then says.
        stack: Of the model that reads the rows. Of an encoder they are as BERT's, of an encoder-decoder ``text </s>``,
            of a decoder the text alone, and ``</s>`` is what stands before a text and after it. A decoder's also knows
            who speaks in a conversation, each by a token.

    Raises:
        RecipeError: The vocabulary has no room for the texts' characters.
    """
    if settings.kind == "bpe":
        return _byte_level(settings, texts, max_tokens=max_tokens, stack=stack)
    return _of_pieces(settings, texts, max_tokens=max_tokens)


def _byte_level(settings: TokenizerSettings, texts: Iterable[str], *, max_tokens: int, stack: Stack) -> Any:
    """GPT-2's splitting, and merges of bytes learned here. Special tokens are written by their ids alone: where a text
    holds the letters of one, it is read as those letters."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    small = [normalizers.Lowercase()] if settings.lowercase else []
    backend.normalizer = normalizers.Sequence([*small, normalizers.NFC()])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = DECODER_SPECIAL if stack == "decoder" else WRITER_SPECIAL
    roles = list(ROLE_TOKENS.values()) if stack == "decoder" else []
    pieces = [*special.values(), *roles, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words = count_words(backend, texts)
    merges = _grow(pieces, words, most=settings.vocab_size, least=settings.min_frequency, inside="")
    ids = {piece: i for i, piece in enumerate(pieces)}
    backend.model = models.BPE(ids, merges)
    if stack == "encoder":
        backend.post_processor = _rows_of("<s>", "</s>", ids)
        special = {**special, "cls_token": "<s>", "sep_token": "</s>"}
    if stack == "encoder-decoder":
        end = special["eos_token"]
        backend.post_processor = processors.TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, ids[end])]
        )
    named = special if stack != "decoder" else {**special, "bos_token": special["eos_token"]}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        **({"extra_special_tokens": roles, "chat_template": ROLE_TEMPLATE} if roles else {}),
        **named,
    )


def _of_pieces(settings: TokenizerSettings, texts: Iterable[str], *, max_tokens: int) -> Any:
    """Splitting, rows and pairs as BERT's."""
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(lowercase=settings.lowercase)]
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if settings.kind == "unigram":
        begin = pre_tokenizers.Metaspace(replacement=BEGIN, prepend_scheme="always", split=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([backend.pre_tokenizer, begin])
        backend.decoder = decoders.Metaspace(replacement=BEGIN, prepend_scheme="always", split=False)
    words = count_words(backend, texts)
    pieces = [*SPECIAL, *MARKS]
    if settings.kind == "unigram":
        scored = _likely(settings, words, room=settings.vocab_size - len(SPECIAL))
        backend.model = models.Unigram([*((piece, 0.0) for piece in SPECIAL), *scored], SPECIAL.index("[UNK]"), False)
        ids = {piece: i for i, piece in enumerate(SPECIAL)}
    else:
        pieces += learned(settings, words, room=settings.vocab_size - len(pieces))
        ids = {piece: i for i, piece in enumerate(pieces)}
        split = models.WordLevel if settings.kind == "words" else models.WordPiece
        backend.model = split(ids, unk_token="[UNK]")
    backend.post_processor = _rows_of("[CLS]", "[SEP]", ids)
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


def _rows_of(first: str, last: str, ids: Mapping[str, int]) -> Any:
    """Rows and pairs as BERT's."""
    return processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(token, ids[token]) for token in (first, last)],
    )


def _likely(settings: TokenizerSettings, words: Mapping[str, int], *, room: int) -> list[tuple[str, float]]:
    """The pieces of a unigram vocabulary; what begins a word has `BEGIN` before it."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    alphabet = [BEGIN, *MARKS, *_frequent(characters, settings.min_frequency, without={BEGIN, *MARKS})]
    _require_room(alphabet, room, settings)
    return learn_unigram(words, alphabet, room=room, least=settings.min_frequency)


def _require_room(alphabet: Sequence[str], room: int, settings: TokenizerSettings) -> None:
    """Raise where a vocabulary cannot hold every character: words would be unknown that are none too rare."""
    if len(alphabet) <= room:
        return
    raise RecipeError(
        f"a vocabulary of {settings.vocab_size:,} for texts in which {len(alphabet):,} characters, those inside words "
        f"counted apart from those that begin one, occur {settings.min_frequency:,} times or more",
        expected=f"a vocab_size of {settings.vocab_size + len(alphabet) - room:,} or more",
        fix="Raise base.tokenizer.vocab_size, or min_frequency: what occurs less often is unknown then.",
        code="tokenizer.vocabulary-too-small",
    )


def count_words(backend: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as the normalizer and the pre-tokenizer of ``backend`` make words of texts; without
    them a text is as it stands, and one word. No more texts are read once there are `READ` characters, or different
    words of `KEPT`: what is then learned from them fits into memory whatever a word is."""
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    words: Counter[str] = Counter()
    read = kept = 0
    for text in texts:
        plain = normalizer.normalize_str(text) if normalizer is not None else text
        before = len(words)
        words.update([word for word, _ in splitter.pre_tokenize_str(plain)] if splitter is not None else [plain])
        read += len(text)
        kept += sum(map(len, itertools.islice(reversed(words), len(words) - before)))  # the new ones stand last
        if read >= READ or kept >= KEPT:
            break
    return words


def learned(settings: TokenizerSettings, words: Mapping[str, int], *, room: int) -> list[str]:
    """At most ``room`` entries of a vocabulary, without `SPECIAL` and `MARKS`, frequent ones first."""
    known = {*SPECIAL, *MARKS}
    if settings.kind == "words":
        return _frequent(words, settings.min_frequency, without=known)[:room]
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for part in _spelled(word, INSIDE):
            characters[part] += count
    alphabet = _frequent(characters, settings.min_frequency, without=known)
    _require_room(alphabet, room, settings)
    if settings.kind == "characters":
        return alphabet
    pieces = [*known, *alphabet]
    _grow(pieces, words, most=len(known) + room, least=settings.min_frequency, inside=INSIDE)
    return pieces[len(known) :]


def _frequent(counts: Mapping[str, int], least: int, *, without: set[str]) -> list[str]:
    """What occurs ``least`` times or more, most frequent first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [name for name, count in order if count >= least and name not in without]


def _spelled(word: str, inside: str) -> list[str]:
    """A word as its characters, all of which share their memory."""
    return [sys.intern(character if i == 0 else f"{inside}{character}") for i, character in enumerate(word)]


def _grow(pieces: list[str], words: Mapping[str, int], *, most: int, least: int, inside: str) -> list[Pair]:
    """Add to ``pieces``, until there are ``most``, the parts of words that joining makes of them; gives which pairs
    were joined, in their order. ``inside`` stands before a part that does not begin a word."""
    known, pairs = set(pieces), list[Pair]()
    spelled = [(_spelled(word, inside), count) for word, count in sorted(words.items()) if len(word) > 1]
    taught = [(parts, count) for parts, count in spelled if known.issuperset(parts)]
    for pair, part in join_further(taught, least=least, inside=inside):
        if part not in known:
            if len(pieces) == most:
                break
            known.add(part)
            pieces.append(part)
        pairs.append(pair)
    return pairs


def join_further(
    spelled: Sequence[tuple[list[str], int]], *, least: int, inside: str = "", without: Container[str] = ()
) -> Iterator[tuple[Pair, str]]:
    """Pairs of parts and what they make together: the most frequent pair first, of equals the first by its letters,
    while one occurs ``least`` times.

    Args:
        spelled: Words as their parts, which are joined in place, and how often each occurs.
        inside: What stands before a part that does not begin a word.
        without: Parts that no pair is to make.
    """
    counts: Counter[Pair] = Counter()
    places: dict[Pair, array[int]] = {}  # words that had it once, some of them twice: sets take ten times the memory
    for i, (parts, count) in enumerate(spelled):
        for pair in itertools.pairwise(parts):
            counts[pair] += count
            places.setdefault(pair, array("I")).append(i)
    heap = [(-count, pair) for pair, count in counts.items() if count >= least]
    heapq.heapify(heap)
    while heap:
        count, pair = heapq.heappop(heap)
        if counts[pair] != -count:  # it has changed since, and stands there with its new count
            continue
        part = pair[0] + pair[1].removeprefix(inside)
        if part in without:
            continue
        yield pair, part
        changes: Counter[Pair] = Counter()
        for i in places.pop(pair):
            parts, times = spelled[i]
            for other, more in _join(parts, pair, part):
                changes[other] += more * times
                if more > 0:
                    places.setdefault(other, array("I")).append(i)
        del changes[pair]  # of itself none is left
        for other, change in changes.items():
            counts[other] += change
            if change and counts[other] >= least:
                heapq.heappush(heap, (-counts[other], other))
            elif not counts[other]:
                del counts[other], places[other]
        del counts[pair]


def _join(parts: list[str], pair: Pair, part: str) -> Iterator[tuple[Pair, int]]:
    """Put ``part`` in place of each ``pair`` of neighbors, from the left; gives which pairs there are one more of, and
    one less, by that."""
    old, joined = parts[:], False  # whether the last of the new parts was joined
    parts.clear()
    i = 0
    while i < len(old):
        if old[i] == pair[0] and old[i + 1 : i + 2] == [pair[1]]:
            if parts:
                yield (parts[-1], part), 1
                if not joined:
                    yield (parts[-1], pair[0]), -1
            if i + 2 < len(old):
                yield (pair[1], old[i + 2]), -1
            parts.append(part)
            joined = True
            i += 2
        else:
            if joined:
                yield (part, old[i]), 1
            parts.append(old[i])
            joined = False
            i += 1
