"""``relation-extraction``: how two spans of a text relate.

A prediction is ``{"label", "score", "scores", "truncated"}``, as of ``text-classification``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.metrics.classification import counted, precision_recall_f1
from hone.tasks.classification import TextClassification
from hone.tasks.marked import MarkedReading
from hone.tasks.protocol import FloatArray
from hone.tasks.settings import RelationSettings

DIRECTION = re.compile(r"\((e1,e2|e2,e1)\)$")


class RelationExtraction(TextClassification):
    """One label for the spans ``head`` and ``tail`` of a text, whose markers the model reads."""

    name = "relation-extraction"
    inputs = (Field("text", "text", shared=True), Field("head", "span"), Field("tail", "span"))
    main_measure = "relation_f1"
    measure_specs: Mapping[str, MeasureSpec] = {"relation_f1": MeasureSpec(), **TextClassification.measure_specs}

    def reading(self, model_limit: int) -> MarkedReading:
        return MarkedReading(self.settings, tokenizer=self.tokenizer, model_limit=model_limit)

    @staticmethod
    def unknown_of(settings: RelationSettings) -> None:
        """Nothing: a label of its own stands for no relation."""
        return

    def head_kind(self) -> str:
        return "sequence-markers"

    @property
    def directed(self) -> bool:
        """Whether labels name which way a relation goes, so that a pair in the order of the text tells all."""
        return any(DIRECTION.search(label) for label in self.labels)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        if not len(tally):
            return dict.fromkeys(self.measure_specs)
        return {"relation_f1": self._relation_f1(tally), **super().measures(tally)}

    def _relation_f1(self, tally: FloatArray) -> float | None:
        """Macro F1 over the relations without ``other``, as SemEval-2010 task 8 scores it (Hendrickx et al. 2010): a
        relation counts as said and as gold in either direction, and as right in the right one alone. None where no
        such relation occurs."""
        gold, said = tally[:, 0].astype(np.int64), tally[:, 1].astype(np.int64)
        counts = counted(gold, said, len(self.labels))
        names = [DIRECTION.sub("", label) for label in self.labels]
        relations = sorted(set(names) - {self.settings.other})
        member = np.array([[name == relation for name in names] for relation in relations]).reshape(-1, len(names))
        hits, answered, true = (member @ each for each in counts)
        seen = (answered + true) > 0
        _, _, f1 = precision_recall_f1(hits, answered, true)
        return float(f1[seen].mean()) if seen.any() else None
