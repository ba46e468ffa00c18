"""What is timed: hone's own predictor, and transformers' pipeline over the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import transformers

from hone.bundle.bundle import Bundle
from hone.models.quiet import quiet_loading
from hone.predict.batching import budgeted
from hone.predict.predictor import Predictor
from hone.tasks.rows import IntArray

AUTO_CLASSES = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
}


class System(Protocol):
    """Something that answers texts."""

    name: str

    def answer(self, texts: Sequence[str], *, batch: int) -> None:
        """Answer all ``texts``, ``batch`` of them together."""
        ...

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        """Tokens that go through the model for texts of these ``lengths``, padding included."""
        ...


class Hone:
    """hone's predictor, handed ``batch`` texts a call."""

    def __init__(self, predictor: Predictor, *, name: str = "hone") -> None:
        self._predictor, self.name = predictor, name

    def answer(self, texts: Sequence[str], *, batch: int) -> None:
        for at in range(0, len(texts), batch):
            self._predictor.predict(list(texts[at : at + batch]))

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        if not self._predictor.engine.computes_padding:
            return int(lengths.sum())
        parts = [lengths[at : at + batch] for at in range(0, len(lengths), batch)]
        return sum(_padded(part[index]) for part in parts for index in budgeted(part))


class Pipeline:
    """transformers' pipeline. Where the bundle's head is hone's own, transformers' head of as many labels stands on the
    same backbone: its answers mean nothing, its time does."""

    name = "transformers"

    def __init__(self, predictor: Predictor) -> None:
        bundle, task = predictor.bundle, predictor.task
        transformers.logging.set_verbosity_error()
        with quiet_loading():
            tokenizer = transformers.AutoTokenizer.from_pretrained(bundle.path, trust_remote_code=False)
            model = _model(bundle, task.name, labels=len(task.labels))
        limits = {"truncation": True, "max_length": task.max_tokens} if task.name == "text-classification" else {}
        self._call: Any = transformers.pipeline(task.name, model=model, tokenizer=tokenizer, device="cpu", **limits)

    def answer(self, texts: Sequence[str], *, batch: int) -> None:
        self._call(list(texts), batch_size=batch)

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        return sum(_padded(lengths[at : at + batch]) for at in range(0, len(lengths), batch))


def _model(bundle: Bundle, task: str, *, labels: int) -> Any:
    kind: Any = AUTO_CLASSES[task]
    more = {} if bundle.manifest.plain.gives == "logits" else {"num_labels": labels}
    return kind.from_pretrained(bundle.path, use_safetensors=True, trust_remote_code=False, **more).eval()


def _padded(lengths: IntArray) -> int:
    return int(len(lengths) * np.max(lengths, initial=0))
