"""``translation``: a text in another language. A prediction is that of `hone.tasks.written`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from hone.core.measures import MeasureSpec
from hone.metrics.bleu import Bleu, Chrf
from hone.tasks.protocol import FloatArray
from hone.tasks.written import WrittenText, bleu_tokenizer_of
from hone.tasks.written_scores import Kept, Likelihood, Matched, Part, Referred


class Translation(WrittenText):
    """A text in another language, measured by BLEU and chrF as sacrebleu counts them."""

    name = "translation"
    main_measure = "bleu"
    by_script = ("bleu_tokenizer", bleu_tokenizer_of)
    measure_specs: Mapping[str, MeasureSpec] = {**Matched.specs, **Referred.specs, **Likelihood.specs, **Kept.specs}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (Matched(Bleu(self.settings.bleu_tokenizer or "13a"), Chrf()), Referred())

    def quality(self, tally: FloatArray) -> float | None:
        """chrF, as a share."""
        value = self.measures(tally)["chrf"]
        return None if value is None else value / 100
