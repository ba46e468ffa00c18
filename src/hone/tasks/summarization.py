"""``summarization``: a text in fewer words. A prediction is that of `hone.tasks.written`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from hone.core.measures import MeasureSpec
from hone.tasks.protocol import FloatArray
from hone.tasks.written import WrittenText
from hone.tasks.written_scores import Kept, Likelihood, Part, Summarized
from hone.text.units import english_words, words_and_characters

ENGLISH = 0.99  # share of a to z among the letters of texts that are English, names and all


def units_of(texts: Sequence[str]) -> str:
    """What ROUGE compares of such texts: ``words`` of English, as published scores do; these have no other letters than
    a to z, so that of all else ``characters``."""
    letters = [c for text in texts for c in text.lower() if c.isalpha()]
    return "words" if sum("a" <= c <= "z" for c in letters) >= ENGLISH * len(letters) else "characters"


class Summarization(WrittenText):
    """A text in fewer words, measured by ROUGE."""

    name = "summarization"
    main_measure = "rougeL"
    by_script = ("units", units_of)
    measure_specs: Mapping[str, MeasureSpec] = {**Summarized.specs, **Likelihood.specs, **Kept.specs}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (Summarized(words_and_characters if self.settings.units == "characters" else english_words),)

    def quality(self, tally: FloatArray) -> float | None:
        """ROUGE-L."""
        return self.measures(tally)["rougeL"]
