"""How written texts are held against those that were given: parts of a tally, each with its columns and measures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from hone.core.measures import MeasureSpec
from hone.data.turns import answers_of, conversations_in
from hone.metrics.bleu import Bleu, Chrf
from hone.metrics.copying import COPY_COLUMNS, copied_ngrams, copy_tally, novel_ngrams
from hone.metrics.diversity import REPETITION_COLUMNS, repetition, repetition_tally
from hone.metrics.perplexity import PERPLEXITY_COLUMNS, perplexities, perplexity_tally
from hone.metrics.references import REFERENCE_COLUMNS, against_references, reference_tally
from hone.metrics.rouge import ROUGE_COLUMNS, rouge, rouge_tally
from hone.report.report import Cell, Grid
from hone.tasks.protocol import Columns, FloatArray, Prediction
from hone.text.units import Splitter, split_sentences, words_and_characters
from hone.text.words import contains_word

REFERENCE = ("reference_log_probability", "reference_tokens", "reference_right")
REFERENCE_CUT = "reference_truncated"  # whether these are of a beginning of the given text alone
JUDGED = "judged"  # the label that another bundle gives a written text


class Part(Protocol):
    """Some columns of a tally, which add up over examples.

    Attributes:
        columns: How many.
        specs: Its measures.
    """

    columns: int
    specs: Mapping[str, MeasureSpec]

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        """Float64 [examples, columns], of at least one example; zeros where nothing was to be written."""
        ...

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        """Each measure, of a tally's rows of these columns; those of no writing are None."""
        ...


class Likelihood:
    """How likely the given texts are: perplexity a token and a word, bits a byte, and how many tokens the model finds
    likeliest where they stand."""

    columns = PERPLEXITY_COLUMNS + 1
    specs: Mapping[str, MeasureSpec] = {
        "perplexity": MeasureSpec(unit="", better="lower", of_tokens=True),
        "word_perplexity": MeasureSpec(unit="", better="lower"),
        "bits_per_byte": MeasureSpec(unit="", better="lower"),
        "next_token_accuracy": MeasureSpec(of_tokens=True),
    }

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        told = np.array([[prediction.get(name, 0) for name in REFERENCE] for prediction in predictions])
        texts = [first for first, *_ in given(columns)]
        counts = perplexity_tally(
            np.minimum(told[:, 0], 0.0),
            tokens=told[:, 1].astype(np.int64),
            words=np.array([len(words_and_characters(text)) for text in texts]),
            utf8_bytes=np.array([len(text.encode()) for text in texts]),
            whole=np.array([not prediction.get(REFERENCE_CUT) for prediction in predictions], dtype=bool),
        )
        return np.hstack([counts, told[:, 2:].astype(np.float64)])

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        tokens, right = tally[:, 1].sum(), tally[:, -1].sum()
        if not tokens:
            return dict.fromkeys(self.specs)
        return {**perplexities(tally[:, :-1]), "next_token_accuracy": float(right / tokens)}


class Matched:
    """BLEU and chrF, as sacrebleu counts them.

    Args:
        bleu, chrf: What counts.
    """

    specs: Mapping[str, MeasureSpec] = {
        "bleu": MeasureSpec(unit="points"),
        "chrf": MeasureSpec(unit="points"),
    }

    def __init__(self, bleu: Bleu, chrf: Chrf) -> None:
        self._bleu, self._chrf = bleu, chrf
        self.columns = bleu.columns + chrf.columns

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        said = texts_of(predictions)
        if said is None:
            return np.zeros((len(predictions), self.columns))
        gold = given(columns)
        return np.hstack([self._bleu.tally(gold, said), self._chrf.tally(gold, said)])

    def signatures(self, columns: Columns) -> Grid:
        """How sacrebleu says that it counted."""
        gold = given(columns)
        told: list[list[Cell]] = [["BLEU", self._bleu.signature(gold)], ["chrF", self._chrf.signature(gold)]]
        return Grid(columns=["measure", "signature"], rows=told)

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        if not tally.any():
            return dict.fromkeys(self.specs)
        bleu, chrf = np.split(tally, [self._bleu.columns], axis=1)
        return {"bleu": self._bleu.score(bleu), "chrf": self._chrf.score(chrf)}


class Referred:
    """How long the texts are beside the given ones, and how many are theirs to the letter."""

    columns = REFERENCE_COLUMNS
    specs: Mapping[str, MeasureSpec] = {
        "length_ratio": MeasureSpec(unit="", better=None),
        "exact_match": MeasureSpec(interval="wilson"),
    }

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        said = texts_of(predictions)
        if said is None:
            return np.zeros((len(predictions), self.columns))
        return reference_tally(_split(given(columns), words_and_characters), [*map(words_and_characters, said)])

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        return dict(against_references(tally)) if tally[:, -1].any() else dict.fromkeys(self.specs)


class Summarized:
    """ROUGE, what stands in the source already and what does not, and how long the texts are beside the given ones.

    Args:
        units: What texts are compared by.
    """

    columns = ROUGE_COLUMNS + COPY_COLUMNS + REFERENCE_COLUMNS
    specs: Mapping[str, MeasureSpec] = {
        **{name: MeasureSpec() for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
        "copied_1": MeasureSpec(better=None),
        "copied_2": MeasureSpec(better=None),
        "copied_4": MeasureSpec(better=None),
        "novel_1": MeasureSpec(better=None),
        "novel_2": MeasureSpec(better=None),
        "novel_4": MeasureSpec(better=None),
        "length_ratio": MeasureSpec(unit="", better=None),
    }

    def __init__(self, units: Splitter) -> None:
        self._units = units

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        said = texts_of(predictions)
        if said is None:
            return np.zeros((len(predictions), self.columns))
        units, gold = self._units, given(columns)
        sentences = [[[units(part) for part in split_sentences(text)] for text in each] for each in gold]
        written = [[units(part) for part in split_sentences(text)] for text in said]
        whole = [units(text) for text in said]
        return np.hstack([
            rouge_tally(sentences, written),
            copy_tally([units(text) for text in columns["source"]], whole),
            reference_tally(_split(gold, units), whole),
        ])  # fmt: skip

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        if not tally[:, -1].any():
            return dict.fromkeys(self.specs)
        lines, copies, whole = np.split(tally, [ROUGE_COLUMNS, ROUGE_COLUMNS + COPY_COLUMNS], axis=1)
        found = {**rouge(lines), **copied_ngrams(copies), **novel_ngrams(copies), **against_references(whole)}
        return {name: found[name] for name in self.specs}


class Continued:
    """ROUGE-L of what comes after a prompt beside the text that came after it, and how much it repeats itself."""

    columns = ROUGE_COLUMNS + REPETITION_COLUMNS + 1
    specs: Mapping[str, MeasureSpec] = {
        "rougeL": MeasureSpec(),
        "repeated_ngrams": MeasureSpec(better="lower"),
    }

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        said = texts_of(predictions)
        if said is None:
            return np.zeros((len(predictions), self.columns))
        gold = _split(given(columns), words_and_characters)
        whole = [words_and_characters(text) for text in said]
        rouges = rouge_tally([[[text] for text in each] for each in gold], [[text] for text in whole])
        return np.hstack([rouges, repetition_tally(whole), np.ones((len(said), 1))])

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        if not tally[:, -1].any():
            return dict.fromkeys(self.specs)
        rouges, repeated, _ = np.split(tally, [ROUGE_COLUMNS, ROUGE_COLUMNS + REPETITION_COLUMNS], axis=1)
        found = {**rouge(rouges), **repetition(repeated)}
        return {name: found[name] for name in self.specs}


class Kept:
    """How many texts keep to the constraint of their decoding settings, and to the words of their rows."""

    columns = 2
    specs: Mapping[str, MeasureSpec] = {"satisfied": MeasureSpec(interval="wilson", needs="constraints")}

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        asked = [prediction.get("satisfied") for prediction in predictions]
        return np.array([[kept is True, kept is not None] for kept in asked], dtype=np.float64)

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        kept, count = tally.sum(axis=0)
        return {"satisfied": float(kept / count) if count else None}


class Held:
    """How many texts hold all the keywords of their rows, and how many of the keywords stand in the texts.

    Args:
        field: The field of the keywords. A row without any counts for neither.
    """

    columns = 4
    specs: Mapping[str, MeasureSpec] = {
        "keywords_held": MeasureSpec(needs="keywords"),  # not Wilson's: rows without any are no trials
        "keyword_recall": MeasureSpec(needs="keywords"),
    }

    def __init__(self, field: str) -> None:
        self._field = field

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        counts = np.zeros((len(predictions), self.columns))
        for i, (words, prediction) in enumerate(zip(columns[self._field], predictions, strict=True)):
            if words and "text" in prediction:
                there = sum(contains_word(prediction["text"], word) for word in words)
                counts[i] = there == len(words), 1, there, len(words)
        return counts

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        held, texts, there, words = tally.sum(axis=0).tolist()
        return {
            "keywords_held": held / texts if texts else None,
            "keyword_recall": there / words if words else None,
        }


class Judged:
    """How many texts another bundle gives the label that is their row's value of an attribute.

    Args:
        attribute: The field of the value.
    """

    columns = 2
    specs: Mapping[str, MeasureSpec] = {"attribute_accuracy": MeasureSpec(interval="wilson")}

    def __init__(self, attribute: str) -> None:
        self._attribute = attribute

    def tally(self, columns: Columns, predictions: Sequence[Prediction]) -> FloatArray:
        each = zip(columns[self._attribute], predictions, strict=True)
        return np.array([[said.get(JUDGED) == value, JUDGED in said] for value, said in each], dtype=np.float64)

    def values(self, tally: FloatArray) -> dict[str, float | None]:
        right, count = tally.sum(axis=0).tolist()
        return {"attribute_accuracy": right / count if count else None}


def by_bootstrap(specs: Mapping[str, MeasureSpec]) -> dict[str, MeasureSpec]:
    """The same measures, none with Wilson's interval."""
    return {
        name: spec.model_copy(update={"interval": "bootstrap"}) if spec.interval == "wilson" else spec
        for name, spec in specs.items()
    }


def given(columns: Columns) -> list[list[str]]:
    """The texts that each example was given, each once, any of which is right: its target, which is what was to be
    learned, and its other references; of a conversation its last answer."""
    if (name := conversations_in(columns)) is not None:
        return [answers_of(turns)[-1:] for turns in columns[name]]
    told = next((columns[name] for name in ("target", "text") if name in columns), None)
    parts: list[Sequence[list[str]]] = [] if told is None else [[[text] for text in told]]
    parts += [columns["targets"]] if "targets" in columns else []
    return [list(dict.fromkeys(itertools.chain(*each))) for each in zip(*parts, strict=True)]


def to_learn(columns: Columns) -> Sequence[str]:
    """The one text of each example that is learned: its target; of references alone the first."""
    return columns["target"] if "target" in columns else [first for first, *_ in columns["targets"]]


def texts_of(predictions: Sequence[Prediction]) -> list[str] | None:
    """The texts that were written; None by a task that only tells how likely the given ones are."""
    return [prediction["text"] for prediction in predictions] if "text" in predictions[0] else None


def each_answer(predictions: Sequence[Prediction], gold: Sequence[Sequence[str]]) -> list[Prediction]:
    """A prediction for each of the answers; how likely a conversation's are stands at its first."""
    found: list[Prediction] = []
    for prediction, texts in zip(predictions, gold, strict=True):
        each = list(prediction.get("answers", [prediction]))
        each += [{}] * (len(texts) - len(each))  # where nothing was written
        told = {name: prediction[name] for name in REFERENCE if name in prediction}
        cut = {REFERENCE_CUT: True} if prediction.get(REFERENCE_CUT) else {}
        found += [{**one, **cut} for one in ({**each[0], **told}, *each[1:])]
    return found


def _split(gold: Sequence[Sequence[str]], units: Splitter) -> list[list[list[str]]]:
    return [[units(text) for text in each] for each in gold]
