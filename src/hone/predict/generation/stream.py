"""`stream`: one text as it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from hone.core.errors import RecipeError
from hone.predict.generation.generate import Abandoned
from hone.predict.generation.pieces import Pieces
from hone.predict.generation.together import Asked, Together
from hone.predict.generation.written import Vocabulary, Written
from hone.tasks.decoding import DecodingSettings


def stream(
    together: Together,
    prompt: Sequence[int],
    settings: DecodingSettings,
    *,
    vocabulary: Vocabulary,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[str, None, Written | None]:
    """The text that `hone.predict.generation.generate.generate` finds for one prompt, in pieces, each as soon as
    nothing that follows can change it; it returns what was found, None where it was stopped. It is written whether or
    not anybody asks for the pieces.

    A piece ends with a word, or with a character of a script that writes no spaces: never within a character, a word
    or what may become a stop string. Together the pieces are the text.

    Args:
        stopped: Asked before each token, whether to write no further.

    Raises:
        DataError, RecipeError: As `generate`, at once; or the search has more than one text at a time.
    """
    if settings.search == "beam" or settings.num_return_sequences > 1:
        raise RecipeError(
            "a stream of more than one text at a time",
            expected="greedy search, one draw (do_sample) or contrastive search",
            fix="Leave num_beams and num_return_sequences at 1.",
            code="decoding.stream",
        )
    pieces = Pieces(vocabulary, stop_strings=settings.stop_strings)
    asked = together.ask([prompt], settings, vocabulary=vocabulary, stopped=stopped, follows=True)
    return _pieces(asked, pieces)


def _pieces(asked: Asked, pieces: Pieces) -> Generator[str, None, Written | None]:
    try:
        for told in asked.news():
            if isinstance(told, tuple):
                _, (written,) = told
                yield from pieces.rest(written)
                return written
            yield from pieces.so_far(told)
    except Abandoned:
        pass
    return None
