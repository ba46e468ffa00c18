"""The filter by language: how probable it is that a text is in one of those wanted (py3langid; Lui, Baldwin 2012)."""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any

from pydantic import Field

from hone.core.errors import MissingExtra, RecipeError, did_you_mean
from hone.data.corpus.filters.filter import Bounds, Filter, Measured

READ_CHARACTERS = 4000  # of a text, from its beginning: more decides no better and takes longer


class LanguageBounds(Bounds):
    """Probability that the text is in one of ``languages``, from 0 to 1.

    Attributes:
        languages: Codes of ISO 639-1: en, zh, de, ...
    """

    languages: Annotated[list[str], Field(min_length=1)]
    min: float | None = 0.5
    max: float | None = None


@functools.cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("py3langid", extra="language", needed_for="the filter language") from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _probability(settings: LanguageBounds) -> Measured:
    identifier = _identifier()
    for code in settings.languages:
        if code not in identifier.labels:
            raise RecipeError(
                f"found the unknown language {code!r} of the filter language",
                fix=did_you_mean(code, identifier.labels),
                code="recipe.unknown-language",
            )
    wanted = frozenset(settings.languages)

    def probability(text: str) -> float | None:
        if not any(map(str.isalpha, text[:READ_CHARACTERS])):
            return None
        ranked = identifier.rank(text[:READ_CHARACTERS])
        return min(1.0, math.fsum(share for code, share in ranked if code in wanted))

    return probability


LANGUAGE = Filter(LanguageBounds, _probability)
