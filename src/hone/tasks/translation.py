"""``translation``: a text in another language. A prediction is that of `hone.tasks.written`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from hone.core.measures import MeasureSpec
from hone.metrics.bleu import Bleu, Chrf
from hone.tasks.protocol import Columns, FloatArray, Prediction, Scored
from hone.tasks.written import WrittenText
from hone.tasks.written_scores import Kept, Likelihood, Part, Translated, texts_of


class Translation(WrittenText):
    """A text in another language, measured by BLEU and chrF as sacrebleu counts them."""

    name = "translation"
    main_measure = "bleu"
    by_script = ("bleu_tokenizer", "zh", "13a")
    measure_specs: Mapping[str, MeasureSpec] = {**Translated.specs, **Likelihood.specs, **Kept.specs}

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return (self._translated,)

    @cached_property
    def _translated(self) -> Translated:
        return Translated(Bleu(self.settings.bleu_tokenizer or "13a"), Chrf())

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        scored = super().scored(predictions, columns)
        if not predictions or not texts_of(predictions):
            return scored
        return replace(scored, tables={**scored.tables, "signatures": self._translated.signatures(columns)})

    def quality(self, tally: FloatArray) -> float | None:
        """chrF, as a share."""
        value = self.measures(tally)["chrf"]
        return None if value is None else value / 100
