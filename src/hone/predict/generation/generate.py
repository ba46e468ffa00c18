"""`generate`: what a writer writes for each prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hone.core.errors import HoneError
from hone.models.writers.writer import Writer
from hone.predict.generation.beam import BeamSearch
from hone.predict.generation.contrastive import ContrastiveSearch
from hone.predict.generation.loop import Loop, Search
from hone.predict.generation.required import RequiredSearch
from hone.predict.generation.single import SingleSearch
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings

TOKENS_AT_ONCE = 16384


class Abandoned(HoneError):
    """What was being read or written when it was said that nobody waits for it."""


def generate(
    writer: Writer,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    vocabulary: Vocabulary,
    words: Sequence[Words] | None = None,
    tokens_at_once: int = TOKENS_AT_ONCE,
    done: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[list[Written]]:
    """Texts for each prompt, in the order of the prompts, best first; ``settings.num_return_sequences`` of them.

    Prompts are worked on together, longest first; one whose texts have ended leaves at once, and others join. What is
    written for a prompt depends on the prompt alone, but for ties that rounding decides.

    Args:
        prompts: Token ids with special tokens: what is continued, or the sources of an encoder-decoder.
        vocabulary: Which tokens end a text, and what tokens say.
        words: What each prompt's texts have to contain and may not, in place of the words of ``settings``.
        tokens_at_once: Most tokens of the rows that are worked on together, each with its prompt and all that it may
            come to have; one prompt is worked on even if it alone may have more.
        done: Called with the number of prompts each step finished.
        stopped: Asked before each token, whether to write no further.

    Raises:
        Abandoned: It was stopped.
        DataError: A prompt has no tokens, or so many that nothing can be written.
        RecipeError: There are stop strings or bad words, and ``vocabulary`` lacks what they need.
    """
    words = [Words(settings, vocabulary)] * len(prompts) if words is None else words
    search = search_of(writer, settings, vocabulary, words)
    found: list[list[Written]] = [[] for _ in prompts]
    loop = Loop(writer, search, tokens_at_once=tokens_at_once)
    loop.put(dict(enumerate(prompts)))
    while loop.busy:
        finished = loop.step()
        for key, texts in finished.items():
            found[key] = texts
        if finished and done is not None:
            done(len(finished))
        if stopped():
            raise Abandoned("nobody waits for what was being written", code="generation.abandoned")
    return found


def search_of(writer: Writer, settings: DecodingSettings, vocabulary: Vocabulary, words: Sequence[Words]) -> Search:
    """The search that the settings ask for, where a prompt has the words of its key.

    Raises:
        RecipeError: ``vocabulary`` lacks what it needs.
    """
    beam = RequiredSearch if any(one.wanted is not None for one in words) else BeamSearch
    kinds: dict[str, Callable[..., Search]] = {"beam": beam, "contrastive": ContrastiveSearch}
    return kinds.get(settings.search, SingleSearch)(writer, settings, vocabulary, words)
