"""``summarization``: a text in fewer words. A prediction is that of `hone.tasks.written`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from hone.core.measures import MeasureSpec
from hone.tasks.protocol import FloatArray
from hone.tasks.written import WrittenText
from hone.tasks.written_scores import Kept, Likelihood, Part, Summarized
from hone.text.units import english_words, words_and_characters


class Summarization(WrittenText):
    """A text in fewer words, measured by ROUGE."""

    name = "summarization"
    main_measure = "rougeL"
    by_script = ("units", "characters", "words")
    measure_specs: Mapping[str, MeasureSpec] = {**Summarized.specs, **Likelihood.specs, **Kept.specs}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (Summarized(words_and_characters if self.settings.units == "characters" else english_words),)

    def quality(self, tally: FloatArray) -> float | None:
        """ROUGE-L."""
        return self.measures(tally)["rougeL"]
