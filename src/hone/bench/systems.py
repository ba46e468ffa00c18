"""What is timed: hone's own predictor, transformers' pipeline over the same folder, ONNX Runtime on the same model; of
a bundle that writes also transformers' ``generate``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import transformers

from hone.bench.examples import Example, sides
from hone.bench.padding import padded, padded_in_batches
from hone.bench.writing import writing_systems
from hone.bundle.bundle import Bundle
from hone.core.errors import RecipeError
from hone.core.progress import Progress
from hone.models.export import export_onnx
from hone.models.heads import HeadSpec
from hone.models.model import build_model
from hone.models.onnx import SCORES, OnnxModel, load_onnx
from hone.models.quiet import quiet_loading
from hone.predict.bases import find_base
from hone.predict.batching import budgeted
from hone.predict.formats import ADAPTERS, MEMBERS, ONNX
from hone.predict.onnx import open_session
from hone.predict.predictor import Predictor, open_model, weights_format
from hone.tasks.protocol import Writing
from hone.tasks.rows import IntArray, has_types

AUTO_CLASSES = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
}  # by the task of transformers' pipeline

PIPED = {
    "text-classification": "text-classification",
    "text-pair-classification": "text-classification",
    "multi-label-classification": "text-classification",
    "text-regression": "text-classification",
    "text-pair-regression": "text-classification",
    "token-classification": "token-classification",
}  # hone's task -> the pipeline that does it
PAIR = ("text", "text_pair")  # as transformers' pipeline calls the two


class System(Protocol):
    """Something that answers texts.

    Attributes:
        device: What it runs on: ``cpu``, ``cuda`` or ``mps``.
    """

    name: str
    device: str

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        """Answer all ``texts``, ``batch`` of them together; what came of it."""
        ...

    def written(self, found: Any) -> int:
        """Tokens that were written, without those that end a text, by what `answer` gave; 0 where none are."""
        ...

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        """Tokens that go through the model for texts of these ``lengths``, padding included."""
        ...


class Hone:
    """hone's predictor, handed ``batch`` texts a call."""

    def __init__(self, predictor: Predictor, *, name: str = "hone") -> None:
        self._predictor, self.name = predictor, name
        self.device = predictor.engine.device.type

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        parts = [list(texts[at : at + batch]) for at in range(0, len(texts), batch)]
        return [one for part in parts for one in self._predictor.predict(part)]

    def written(self, found: Any) -> int:
        return sum(text.get("tokens", 0) for one in found for text in one.get("texts", [one]))

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        engine = self._predictor.engine
        if not engine.computes_padding:
            return int(lengths.sum())
        parts = [lengths[at : at + batch] for at in range(0, len(lengths), batch)]
        return sum(padded(part[index]) for part in parts for index in budgeted(part, tokens=engine.tokens_at_once))


class Pipeline:
    """transformers' pipeline, on the predictor's device. Where the bundle's head is hone's own, transformers' head of
    as many labels stands on the same backbone: its answers mean nothing, its time does."""

    name = "transformers"

    def __init__(self, predictor: Predictor) -> None:
        bundle, task = predictor.bundle, predictor.task
        transformers.logging.set_verbosity_error()
        tokenizer = _tokenizer(bundle)
        with quiet_loading():
            kind = PIPED[task.name]
            model = _model(bundle, kind, labels=len(task.labels))
        limits = {"truncation": True, "max_length": task.max_tokens} if kind == "text-classification" else {}
        device = predictor.engine.device
        self.device = device.type
        self._call: Any = transformers.pipeline(kind, model=model, tokenizer=tokenizer, device=device, **limits)

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        given = [text if isinstance(text, str) else dict(zip(PAIR, text.values(), strict=True)) for text in texts]
        self._call(given, batch_size=batch)

    def written(self, found: Any) -> int:
        return 0

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        return padded_in_batches(lengths, batch=batch)


class OnnxRuntime:
    """An ONNX graph in ONNX Runtime, as it is commonly run: transformers' tokenizer, texts in the order they come, each
    batch padded to its longest, the likeliest label and its chance read off.

    Args:
        predictor: Whose bundle's tokenizer it takes.
        graph: Whose inputs are among token ids, mask, token types, word positions and where a second text stands; every
            token of a tagger counts as a word.
    """

    name = "ONNX Runtime"
    device = "cpu"

    def __init__(self, predictor: Predictor, graph: OnnxModel) -> None:
        self._limit = predictor.task.max_tokens
        self._tokenizer = _tokenizer(predictor.bundle)
        self._session = open_session(graph.graph)
        self._inputs = frozenset(entry.name for entry in self._session.get_inputs())

    def answer(self, texts: Sequence[Example], *, batch: int) -> Any:
        for at in range(0, len(texts), batch):
            self.scores(texts[at : at + batch])

    def written(self, found: Any) -> int:
        return 0

    def scores(self, texts: Sequence[Example]) -> tuple[IntArray, Any]:
        """The likeliest label of each text, or token, and its chance."""
        entries = self._tokenizer(
            *sides(texts), padding=True, truncation=True, max_length=self._limit, return_tensors="np"
        )
        given = {name: entries[name].astype(np.int64) for name in self._inputs if name in entries}
        if "word_positions" in self._inputs:
            rows, tokens = given["input_ids"].shape
            given["word_positions"] = np.broadcast_to(np.arange(tokens), (rows, tokens))
        if "second_text" in self._inputs:
            given["second_text"] = _second(entries)
        (scores,) = self._session.run([SCORES], given)
        chances = np.exp(scores - scores.max(axis=-1, keepdims=True))
        chances /= chances.sum(axis=-1, keepdims=True)
        return scores.argmax(axis=-1), chances.max(axis=-1)

    def computed(self, lengths: IntArray, *, batch: int) -> int:
        return padded_in_batches(lengths, batch=batch)


def systems_for(predictor: Predictor, *, progress: Progress, texts: Sequence[Example] = ()) -> tuple[System, ...]:
    """What can be timed beside ``predictor`` on ``texts``, itself first, each named with its device where these differ;
    what cannot is said.

    Exporting the model for ONNX Runtime takes a while.
    """
    first = Hone(predictor)
    if isinstance(predictor.task, Writing):
        return (first, *writing_systems(predictor, texts, progress=progress))
    return told_apart((first, *_reading_systems(predictor, progress)))


def told_apart(systems: Sequence[System]) -> tuple[System, ...]:
    """``systems``, each named with its device where these differ."""
    if len({system.device for system in systems}) > 1:
        for system in systems:
            system.name = f"{system.name} ({system.device})"
    return tuple(systems)


def _reading_systems(predictor: Predictor, progress: Progress) -> Iterator[System]:
    """What can be timed beside a predictor that reads; what cannot is said."""
    if predictor.task.name not in PIPED:
        progress.say(f"nothing else is timed: transformers' pipelines do no {predictor.task.name}")
        return
    if weights_format(predictor.bundle) == MEMBERS:
        progress.say("nothing else is timed: nothing but hone opens an ensemble")
        return
    if predictor.bundle.manifest.plain.gives != "nothing":
        yield Pipeline(predictor)
    if importlib.util.find_spec("onnxruntime") is None or importlib.util.find_spec("onnxscript") is None:
        progress.say("ONNX Runtime is not timed, for it is not installed: pip install 'hone[onnx]'")
        return
    try:
        yield OnnxRuntime(predictor, _graph(predictor, progress))
    except RecipeError as error:
        progress.say(f"ONNX Runtime is not timed: {error.found}")


def _graph(predictor: Predictor, progress: Progress) -> OnnxModel:
    """The bundle's own graph where it is one; else its model, exported. Where a tagger's head is hone's own, one of
    transformers' stands in its place, as in `Pipeline`.

    Raises:
        RecipeError: It cannot be had.
    """
    bundle, head = predictor.bundle, predictor.task.head
    if head.kind == "token-tagging" and bundle.manifest.plain.gives == "nothing":
        raise RecipeError("its head reads words, and without plain weights no other can take its place")
    if weights_format(bundle) == ONNX:
        return load_onnx(bundle.path)
    progress.say("exporting the model for ONNX Runtime, which takes a while")
    if head.kind != "token-tagging":
        return export_onnx(open_model(bundle)[0], types=has_types(predictor.task.row_schema))
    with torch.random.fork_rng(devices=[]):
        return export_onnx(build_model(bundle.path, HeadSpec("token-linear", head.labels)))


def _second(entries: Any) -> IntArray:
    """1 from where the second text of each pair begins to the row's end, as `hone.tasks.rows.text_inputs` has it."""
    texts = [entries.sequence_ids(row) for row in range(len(entries["input_ids"]))]  # of a special token None
    begun = np.maximum.accumulate(np.array([[text == 1 for text in row] for row in texts]), axis=1)
    second: IntArray = (begun & (entries["attention_mask"] == 1)).astype(np.int64)
    return second


def _tokenizer(bundle: Bundle) -> Any:
    folder = find_base(bundle).folder if weights_format(bundle) in ADAPTERS else bundle.path
    with quiet_loading():
        return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def _model(bundle: Bundle, task: str, *, labels: int) -> Any:
    kind: Any = AUTO_CLASSES[task]
    more = {} if bundle.manifest.plain.gives == "logits" else {"num_labels": labels}
    return kind.from_pretrained(bundle.path, use_safetensors=True, trust_remote_code=False, **more).eval()
