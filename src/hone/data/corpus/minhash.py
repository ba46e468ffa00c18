"""MinHash: signatures of texts whose agreement estimates how alike their shingles are (Broder 1997)."""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

PERMUTATIONS = 120
SHINGLES_AT_ONCE = 4096
NONE = np.uint32(0xFFFFFFFF)  # of a text without shingles

Signature = NDArray[np.uint32]
Hashes = NDArray[np.uint64]
_RANDOM = np.random.default_rng(0x5EED)
_TIMES = _RANDOM.integers(1 << 63, size=PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
_PLUS = _RANDOM.integers(1 << 63, size=PERMUTATIONS, dtype=np.uint64)


def shingles(text: str, size: int) -> Hashes:
    """Hashes of the different runs of ``size`` characters, uint64, ascending; a shorter text is one. Case, width and
    white space make no difference. Characters and not words, so that texts written without spaces have them too."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if not len(codes):
        return codes
    size = min(size, len(codes))
    out = np.zeros(len(codes) - size + 1, dtype=np.uint64)
    for at in range(size):
        out = _mixed(out ^ codes[at : at + len(out)])
    return np.unique(out)


def _mixed(values: Hashes) -> Hashes:
    """The finalizer of splitmix64 (Steele et al. 2014): every bit of the input changes half of the output's."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def signature(hashes: Hashes) -> Signature:
    """The least of ``hashes`` under each of `PERMUTATIONS` orders of all hashes, uint32 [`PERMUTATIONS`]. Two sets
    agree in a place with the probability of their Jaccard similarity."""
    out = np.full(PERMUTATIONS, NONE)
    for at in range(0, len(hashes), SHINGLES_AT_ONCE):
        some = hashes[at : at + SHINGLES_AT_ONCE, None] * _TIMES + _PLUS  # [shingles, PERMUTATIONS], modulo 2 ** 64
        out = np.minimum(out, (some.min(axis=0) >> np.uint64(32)).astype(np.uint32))
    return out


def similarity(one: Signature, other: Signature) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of signatures [..., `PERMUTATIONS`], with a standard error of
    sqrt(J (1 - J) / `PERMUTATIONS`)."""
    return np.asarray((one == other).mean(axis=-1), dtype=np.float64)
