"""`Guide`: a constraint over a vocabulary: which tokens may come next, and how a text can still be ended in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone.core.errors import RecipeError
from hone.models.spellings import Spellings
from hone.predict.generation.written import Vocabulary
from hone.text.constraints import Constraint, library, vocabulary

CLOSERS = (b'"', b"}", b"]", b'"}', b'"]', b"]}", b"}}", b")")  # what is begun is soonest ended by
MOST_AHEAD = 512  # tokens of the shortest text
FIRST = 16  # tokens that are looked at for whether one of them leads on
SKIPPED = 4  # of the way there was
SIGNS = b"!#$%&'*+,-./:;<=>?@^_|~"
AGAIN = 7  # what a token loses in an order each time that it was tried: what did not help is not done over and over

_lock = threading.Lock()


class Guide:
    """A constraint over a vocabulary.

    Args:
        size: Number of tokens that there are scores for.

    Attributes:
        ends: Tokens that end a text.
        shortest: The shortest way that was found to write a whole text; None where none was.

    Raises:
        RecipeError: There is no tokenizer, or none of its tokens can begin such a text.
        BundleError: The tokenizer's decoder is not understood.
        MissingExtra: llguidance is not installed.
    """

    def __init__(self, constraint: Constraint, words: Vocabulary, *, size: int) -> None:
        if words.spellings is None:
            raise RecipeError("a regex or a JSON schema where there is no tokenizer", code="decoding.no-tokenizer")
        spelled = words.spellings()
        self.ends, self._size = words.eos_token_ids, size
        told = _vocabulary(spelled, ends=self.ends, size=size)
        self._first = library().LLMatcher(told, constraint.grammar(spelled.space), log_level=0)
        if self._first.is_error():
            raise RecipeError(
                f"a constraint that cannot be kept to: {self._first.get_error().splitlines()[0]}",
                fix="Make it smaller.",
                code="decoding.constraint",
            )
        self._orders = _orders(spelled.tokens, size=size)
        self._threads = library().LLExecutor(1)
        self._words = -(-told.vocab_size // 32)
        if not self._begins():
            raise RecipeError(
                "a constraint that no token of the base's tokenizer can begin to keep to",
                expected="texts that the tokenizer can write",
                fix="Take a base whose tokenizer has these characters, or another constraint.",
                code="decoding.constraint",
            )
        self.shortest = self.closing(self._first, most=MOST_AHEAD)

    def _begins(self) -> bool:
        """Whether some token begins a text, or a second one does after the space that may stand before it."""
        if self._first.is_accepting():
            return True
        for token in self.allowed(self._first)[:FIRST].tolist():
            ahead = self.begin()
            if ahead.consume_token(token) and (ahead.is_accepting() or self.allowed(ahead).size):
                return True
        return False

    def begin(self) -> Any:
        """What is known of a text without tokens."""
        return self._first.deep_copy()

    def masks(self, matchers: Sequence[Any]) -> NDArray[np.bool_]:
        """Which tokens may come next, bool [matchers, size]: only those that lead to a text that is allowed; where
        there are none, those that end a text."""
        bits = np.zeros((len(matchers), self._words), dtype=np.int32)
        pairs = list(zip(matchers, range(len(matchers)), strict=True))
        self._threads.unsafe_compute_mask_ptr(pairs, bits.ctypes.data, 4 * bits.shape[1], len(matchers))
        found = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, : self._size]
        allowed = found.astype(np.bool_, copy=False)
        stuck = ~allowed.any(axis=1)
        for end in self.ends:
            allowed[:, end] |= stuck
        return allowed

    def allowed(self, matcher: Any) -> NDArray[np.int64]:
        """Tokens that may come next and say something, int64 [n]."""
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        found = np.unpackbits(bits, bitorder="little")[: self._size]
        found[list(self.ends)] = 0
        return found.nonzero()[0]

    def closing(self, matcher: Any, *, most: int, before: Sequence[int] = ()) -> list[int] | None:
        """Tokens, at most so many, that make a whole text of one that was begun; None where no way was found.

        It is looked for in some orders of trying tokens, those first that usually end what is begun; there may be a way
        where none is found, and a shorter one.

        Args:
            before: The way there was a token ago: it, or all but its first tokens, is mostly one still.
        """
        for skipped in range(min(len(before), SKIPPED)):
            ahead, rest = matcher.deep_copy(), list(before[skipped:])
            if len(rest) <= most and ahead.try_consume_tokens(rest) == len(rest) and ahead.is_accepting():
                return rest
        ways = (self._closing(matcher, order, most=most) for order in self._orders)
        return next((way for way in ways if way is not None), None)

    def _closing(self, matcher: Any, order: NDArray[np.int32], *, most: int) -> list[int] | None:
        going, found = matcher.deep_copy(), list[int]()
        used = np.zeros(self._size, dtype=np.int32)
        while not going.is_accepting():
            sure = going.compute_ff_tokens()
            if max(sure, default=0) >= self._size:
                sure = []
            if not sure and len(tokens := self.allowed(going)):
                sure = [int(tokens[(order[tokens] + AGAIN * used[tokens]).argmin()])]
                used[sure] += 1
            if not sure or len(found) + len(sure) > most or not going.consume_tokens(sure):
                return None
            found += sure
        return found


def _vocabulary(spelled: Spellings, *, ends: tuple[int, ...], size: int) -> Any:
    """llguidance's view of a vocabulary, made once for each."""
    with _lock:
        if (size, ends) not in spelled.views:
            tokens = [*spelled.tokens[:size], *(b"" for _ in range(size - len(spelled.tokens)))]
            for end in ends:
                tokens[end] = b"end"
            had = set(tokens)
            tokens += [one for byte in range(256) if (one := bytes([byte])) not in had]  # never written: see _encoder
            special = sorted({*ends, *(i for i in spelled.special if i < size)})
            encode = _encoder(spelled, tokens, special=set(special))
            spelled.views[size, ends] = vocabulary(tokens, ends=list(ends), special=special, encode=encode)
        return spelled.views[size, ends]


def _encoder(spelled: Spellings, tokens: Sequence[bytes], *, special: Set[int]) -> Callable[[bytes], list[int]]:
    """Tokens of some bytes: the tokenizer's own, or the longest ones from left to right.

    llguidance wants tokens of any bytes, and takes back the last where a longer one begins with it. So bytes that are
    only part of tokens, such as the space that WordPieces have before them, have one that no model gives scores for.
    """
    own = spelled.encode
    ids = {told: i for i, told in reversed([*enumerate(tokens)]) if told and i not in special}
    longest = max(map(len, ids))

    def encode(told: bytes) -> list[int]:
        found = own(told)
        if found is not None:
            return found
        made, at = list[int](), 0
        while at < len(told):
            end = next(end for end in range(min(len(told), at + longest), at, -1) if told[at:end] in ids)
            made.append(ids[told[at:end]])
            at = end
        return made

    return encode


def _orders(tokens: Sequence[bytes], *, size: int) -> list[NDArray[np.int32]]:
    """Orders in which tokens are tried where a text is to end soon, each int32 [size], low ones first: what ends things
    before what is in them; letters before punctuation; long tokens first."""
    ending, letters, long = (np.full(size, 1000, dtype=np.int32) for _ in range(3))
    for i, told in enumerate(tokens[:size]):
        kind = 0 if told in CLOSERS else 10 if len(told) == 1 and told in SIGNS else 40
        kind = 20 if told.isdigit() else 30 if told.isalpha() else 80 if told.isspace() or b"\\" in told else kind
        ending[i] = kind + len(told)
        letters[i] = (kind if kind not in (20, 30) else 0) + len(told)
        long[i] = 200 - min(len(told), 100) * AGAIN
    return [ending, letters, long]
