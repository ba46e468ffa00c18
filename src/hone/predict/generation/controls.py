"""What may not be written, or less gladly: repetition, bad words, an end too soon; the order and the formulas are
those of transformers' logits processors. Last comes what a constraint leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hone.predict.generation.guided import Guided
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings

NEVER = float("-inf")
TRIES = 4  # tokens that are looked at where the end of a text is planned and not the likeliest one alone is taken
GROWN = 64  # places by which the tables of tokens grow at least


class Controls:
    """Changes scores by the tokens that stand before, for rows that come, move and go.

    Args:
        words: Of each prompt, by its key.
        start: As of the writer: what a text begins with; None where it continues the prompt, which then counts.
        size: Number of tokens that there are scores for.

    Attributes:
        active: Whether there is anything to change.

    Raises:
        RecipeError: A constraint cannot be kept to.
        BundleError, MissingExtra: See `hone.predict.generation.guide.Guide`.
    """

    def __init__(
        self,
        settings: DecodingSettings,
        vocabulary: Vocabulary,
        *,
        words: Sequence[Words],
        start: int | None,
        size: int,
    ) -> None:
        self._settings, self._start, self._size = settings, start, size
        self._first = vocabulary.forced_bos_token_id
        self._ends = torch.tensor(vocabulary.eos_token_ids)
        numbers = {one: number for number, one in enumerate(dict.fromkeys(words))}
        self._all_bad, self._number_of = [one.bad for one in numbers], [numbers[one] for one in words]
        self._bad: list[tuple[Tensor, Tensor]] = []  # of the lists that rows have: see `_by_length`
        penalized, bad = settings.repetition_penalty != 1.0, [one for some in self._all_bad for one in some]
        self._remembers = penalized or bool(settings.no_repeat_ngram_size) or any(len(one) > 1 for one in bad)
        self._guided = _guided(settings, vocabulary, size=size)
        counts = settings.min_new_tokens > 0 or self._guided is not None
        self._lasting = self._remembers or bool(bad) or counts  # beyond the first token
        self.active = self._lasting or self._first is not None
        self._written = torch.zeros(0, dtype=torch.long)  # [rows]
        self._lists = torch.zeros(0, dtype=torch.long)  # [rows], which list of bad words is each one's
        self._counts = torch.zeros(0, dtype=torch.long)  # [rows], of tokens that stand before, prompt or start included
        self._tokens = torch.zeros((0, 0), dtype=torch.long)  # [rows, places], ``size`` where there is none
        self._seen = torch.zeros((0, size + 1 if penalized else 0), dtype=torch.bool)  # [rows, vocabulary and none]

    def add(self, keys: Sequence[int], prompts: Sequence[Sequence[int]], *, each: int, limits: Sequence[int]) -> None:
        """New rows after those there are, ``each`` for each prompt, whose texts have at most ``limits`` tokens."""
        if not self.active:
            return
        if self._guided is not None:
            self._guided.add([limit for limit in limits for _ in range(each)])
        before = [list(prompt) if self._start is None else [self._start] for prompt in prompts for _ in range(each)]
        self._written = torch.cat([self._written, torch.zeros(len(before), dtype=torch.long)])
        self._lists = torch.cat(
            [self._lists, torch.tensor([self._number_of[key] for key in keys for _ in range(each)])]
        )
        self._bad = _by_length({number: self._all_bad[number] for number in {*self._lists.tolist()}})
        if not self._remembers:
            return
        counts = torch.tensor([len(tokens) for tokens in before])
        places = max(int(counts.max()), self._tokens.shape[1])
        rows = torch.tensor([tokens + [self._size] * (places - len(tokens)) for tokens in before])
        kept = functional.pad(self._tokens, (0, places - self._tokens.shape[1]), value=self._size)
        self._tokens, self._counts = torch.cat([kept, rows]), torch.cat([self._counts, counts])
        if self._seen.shape[1]:
            seen = torch.zeros((len(rows), self._size + 1), dtype=torch.bool)
            self._seen = torch.cat([self._seen, seen.scatter_(1, rows.clamp(max=self._size), True)])

    def move(self, index: Tensor | None, tokens: Tensor) -> None:
        """Go on with the rows at ``index``, int64 [n] (None: all), each of which now has one token more, int64 [n]."""
        if not self.active:
            return
        if index is not None:
            self._written, self._lists = self._written[index], self._lists[index]
        self._written = self._written + 1
        if self._guided is not None:
            self._guided.move(index, tokens, written=self._written)
        if not self._remembers:
            return
        if index is not None:
            self._counts, self._tokens = self._counts[index], self._tokens[index]
            self._seen = self._seen[index] if self._seen.shape[1] else self._seen
        if len(self._counts) and int(self._counts.max()) == self._tokens.shape[1]:
            self._tokens = functional.pad(self._tokens, (0, GROWN), value=self._size)
        self._tokens.scatter_(1, self._counts[:, None], tokens[:, None])
        self._counts = self._counts + 1
        if self._seen.shape[1]:
            self._seen.scatter_(1, tokens[:, None], True)

    def apply(self, scores: Tensor) -> Tensor:
        """The scores of each row's next token, float32 [rows, vocabulary], changed: a new tensor where any is."""
        settings = self._settings
        if not self._lasting and not (self._written == 0).any():
            return scores
        scores = scores.clone()
        if settings.repetition_penalty != 1.0:
            by = settings.repetition_penalty
            scores = torch.where(self._seen[:, :-1], torch.where(scores < 0, scores * by, scores / by), scores)
        if settings.no_repeat_ngram_size:
            scores.masked_fill_(self._repeating(settings.no_repeat_ngram_size), NEVER)
        for words, owners in self._bad:
            self._forbid(scores, words, owners)
        if settings.min_new_tokens:
            early = (self._written < settings.min_new_tokens)[:, None]
            scores[:, self._ends] = scores[:, self._ends].masked_fill(early, NEVER)
        if self._guided is not None:
            self._guided.apply(scores)
        if self._first is not None:
            beginning = self._written == 0
            scores[beginning] = NEVER
            scores[beginning, self._first] = 0.0
        return scores

    def _last(self, count: int) -> Tensor:
        """The last ``count`` tokens of each row, int64 [rows, count]; of rows that have fewer, something else."""
        places = self._counts[:, None] - count + torch.arange(count)
        return self._tokens.gather(1, places.clamp(min=0))

    def _repeating(self, length: int) -> Tensor:
        """Tokens that would make a sequence of ``length`` stand twice, bool [rows, vocabulary]."""
        banned = torch.zeros((len(self._tokens), self._size + 1), dtype=torch.bool)
        if self._tokens.shape[1] >= length:
            windows = self._tokens.unfold(1, length, 1)  # [rows, windows, length]
            alike = (windows[..., :-1] == self._last(length - 1)[:, None]).all(dim=-1)
            alike &= torch.arange(windows.shape[1]) + length <= self._counts[:, None]
            banned.scatter_(1, torch.where(alike, windows[..., -1], self._size), True)
        return banned[:, :-1]

    def _forbid(self, scores: Tensor, words: Tensor, owners: Tensor) -> None:
        """Take the last tokens of ``words`` [words, tokens] from rows with the lists ``owners`` [words] where the ones
        before stand, in place."""
        before = words.shape[1] - 1
        stands = self._lists[:, None] == owners
        if before:
            stands &= (self._last(before)[:, None] == words[:, :-1]).all(dim=-1) & (self._counts >= before)[:, None]
        rows, which = stands.nonzero(as_tuple=True)
        scores[rows, words[which, -1]] = NEVER


def _guided(settings: DecodingSettings, vocabulary: Vocabulary, *, size: int) -> Guided | None:
    """What keeps rows to the settings' constraint, where they have one."""
    if settings.constraint is None:
        return None
    tries = 1 if settings.search == "greedy" else TRIES
    first = vocabulary.forced_bos_token_id
    return Guided(settings.constraint, vocabulary, size=size, tries=tries, first=first)


def _by_length(lists: Mapping[int, Sequence[Sequence[int]]]) -> list[tuple[Tensor, Tensor]]:
    """Sequences of one length together, int64 [sequences, length], and which list each is of, int64 [sequences]."""
    each = [(one, number) for number, some in lists.items() for one in some]
    alike = [[(o, n) for o, n in each if len(o) == length] for length in sorted({len(one) for one, _ in each})]
    return [(torch.tensor([one for one, _ in some]), torch.tensor([number for _, number in some])) for some in alike]
