"""`Lexicon`: words with their frequencies, and the likeliest way to cut a run into them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hone.core.lineage import digest_value


class Lexicon:
    """A `Segmenter` by a unigram model of words: the cut whose words are likeliest together, found by dynamic
    programming; of cuts that are equally likely the one with the longer first word. A character that is no word counts
    as one that came once.

    Args:
        counts: Word -> how often it came; words that did not come at all are only parts of others.
    """

    def __init__(self, counts: Mapping[str, float]) -> None:
        self.digest = digest_value({word: count for word, count in counts.items() if count})
        total = math.log(math.fsum(counts.values()) or 1.0)
        self._scores = {word: math.log(count) - total for word, count in counts.items() if count}
        self._unknown = -total
        self._longest: dict[str, int] = {}  # of the words that begin with a character
        for word in self._scores:
            self._longest[word[0]] = max(self._longest.get(word[0], 1), len(word))

    def __len__(self) -> int:
        """How many words there are."""
        return len(self._scores)

    def __contains__(self, word: str) -> bool:
        return word in self._scores

    def cut(self, run: str) -> list[str]:
        """See `Segmenter.cut`."""
        size, scores = len(run), self._scores
        best, ends = [0.0] * (size + 1), [0] * size
        for begin in range(size - 1, -1, -1):
            first = run[begin]
            found, end = scores.get(first, self._unknown) + best[begin + 1], begin + 1
            for stop in range(begin + 2, min(size, begin + self._longest.get(first, 1)) + 1):
                score = scores.get(run[begin:stop])
                if score is not None and score + best[stop] >= found:
                    found, end = score + best[stop], stop
            best[begin], ends[begin] = found, end
        words, at = [], 0
        while at < size:
            words.append(run[at : ends[at]])
            at = ends[at]
        return words
