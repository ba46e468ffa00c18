"""``question-answering``: the stretch of a context that answers a question, or that none does.

A prediction is ``{"answer", "start", "end", "score", "best", "margin", "truncated"}``: the answer with its character
offsets in the context, end exclusive, or an empty one at null; how sure that is; the best stretch whether or not it is
answered; and how far its score lies above that of no answer. Long contexts are read in windows, each with the question
before it; the best stretch of them all is taken, and of no answer the least score, as every window must deny one
(Devlin et al. 2019, on SQuAD 2.0).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.measures import MeasureSpec
from hone.data.dataset import Dataset
from hone.data.fields import Field
from hone.metrics.answers import answer_f1, exact_match
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.form import Form
from hone.tasks.protocol import Columns, Decision, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.questions import LONG_ANSWERS, LOST_ANSWERS, QuestionReading
from hone.tasks.reading import BETWEEN
from hone.tasks.rows import Batch, IntArray, Rows, rows_of
from hone.tasks.settings import QuestionAnsweringSettings
from hone.text.answers import answer_words

UNREAD = -1e4  # the margin where a context has nothing to answer with
NEVER = -1e9  # score of a place that is padding
UNTOLD = -100  # in place of a place to learn: torch's losses leave it out


class QuestionAnswering(Form):
    """Answers by a stretch of the context.

    Args:
        settings: The task's settings.
        labels: Always ``start`` and ``end``, whose scores each place has.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.
    """

    name = "question-answering"
    inputs: tuple[Field, ...] = (Field("context", "text", shared=True), Field("question", "text"))
    targets = (Field("answers", "answers"),)
    says: Says = "place"
    additive = True
    main_measure = "f1"
    measure_specs: Mapping[str, MeasureSpec] = {
        "f1": MeasureSpec(),
        "exact_match": MeasureSpec(interval="wilson"),
        "f1_answerable": MeasureSpec(counted=3),
        "unanswerable_recall": MeasureSpec(counted=4),
    }

    def __init__(
        self, settings: QuestionAnsweringSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        self._reading = QuestionReading(settings, tokenizer=tokenizer, model_limit=model_limit)
        self.max_tokens = self._reading.max_tokens
        self.head = HeadSpec("span", labels)
        self.decision: Decision | None = None
        self._least = 0.0

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """What each place has a score for."""
        return ("start", "end")

    @classmethod
    def untold(cls, settings: QuestionAnsweringSettings, data: Dataset) -> frozenset[str]:
        """Of answerable questions where there are none, and of the others."""
        answered = np.array([bool(one) for one in data.column("answers")], dtype=bool)
        return frozenset(
            [*([] if answered.any() else ["f1_answerable"]), *([] if not answered.all() else ["unanswerable_recall"])]
        )

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        learned = ("start", "end", LOST_ANSWERS, LONG_ANSWERS)
        return {**self._reading.schema, **dict.fromkeys(learned, pa.int64())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``lost_answers`` and ``long_answers`` are 1 on the first row of an example whose answer no
        row holds whole, or is longer than any that is given; the rows of the former teach nothing."""
        out = self._reading.encode(columns, purpose=purpose, start=start)
        if purpose == "predict":
            return rows_of(out, self._reading.schema)
        windows: list[list[Sequence[int]]] = [[] for _ in columns["answers"]]
        for example, spans in zip(out["example"], out["spans"], strict=True):
            windows[example - start].append(spans)
        out |= {name: [] for name in self.row_schema if name not in out}
        for answers, own in zip(columns["answers"], windows, strict=True):
            targets = _targets(answers, own)
            longest = max(end - begin + 1 for begin, end in targets)
            out["start"] += [begin for begin, _ in targets]
            out["end"] += [end for _, end in targets]
            out[LOST_ANSWERS] += [int(targets[0][0] == UNTOLD), *[0] * (len(own) - 1)]
            out[LONG_ANSWERS] += [int(longest > self.settings.max_answer_tokens), *[0] * (len(own) - 1)]
        return rows_of(out, self.row_schema)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        batch = self._reading.collate(rows, index)
        if "start" in rows.table.column_names:
            batch["targets"] = torch.from_numpy(np.stack([rows.scalar(n)[index] for n in ("start", "end")], axis=1))
        return batch

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        scores = outputs["logits"].float().masked_fill(~batch["answer_mask"].unsqueeze(2), NEVER)  # [batch, places, 2]
        targets = batch["targets"]
        total = functional.cross_entropy(scores, targets, ignore_index=UNTOLD, reduction="sum")
        told = float((targets[:, 0] != UNTOLD).sum())
        return Loss(total / 2, told or 1.0)  # where no row tells anything: nothing, which counts as one row

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        scores = outputs["logits"].float().cpu().numpy()
        counts = batch["answer_mask"].sum(1).tolist()
        return [row[:count] for row, count in zip(scores, counts, strict=True)]

    def join(
        self,
        columns: Columns,
        rows: Rows,
        partials: Sequence[NDArray[np.float32]],
        *,
        constants: Mapping[str, Tensor],
    ) -> list[Prediction]:
        if not len(rows):
            return []
        begins = np.flatnonzero(np.diff(rows.example, prepend=rows.example[0] - 1))
        truncated = rows.scalar("truncated")[begins].astype(bool)
        answers = []
        for i, (begin, end) in enumerate(zip(begins, [*begins[1:], len(rows)], strict=True)):
            windows = [(partials[r], rows.row("spans", r).reshape(-1, 2)) for r in range(begin, end)]
            answers.append(self._answer(columns["context"][i], windows, cut=bool(truncated[i])))
        return answers

    def _answer(
        self, context: str, windows: Sequence[tuple[NDArray[np.float32], NDArray[np.int32]]], *, cut: bool
    ) -> Prediction:
        none = min(float(scores[0].sum()) for scores, _ in windows)
        found: tuple[float, int, int] = (none + UNREAD, 0, 0)
        for scores, spans in windows:
            value, first, last = best_span(scores[1:], most=self.settings.max_answer_tokens)
            if value > found[0]:
                found = (value, int(spans[first, 0]), int(spans[last, 1]))
        value, start, end = found
        inside = context[start:end]
        start, end = start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())
        best = {"text": context[start:end], "start": start, "end": end}
        return self.answered({"best": best, "margin": value - none, "truncated": cut})

    def answered(self, prediction: Prediction) -> Prediction:
        best, margin = prediction["best"], prediction["margin"]
        sure = 1 / (1 + math.exp(-max(-700.0, min(700.0, margin))))
        given = margin >= self._least and best["text"] != ""
        return {
            "answer": best["text"] if given else "",
            "start": best["start"] if given else None,
            "end": best["end"] if given else None,
            "score": sure if given else 1 - sure,
            "best": best,
            "margin": margin,
            "truncated": prediction["truncated"],
        }

    def within(self, most_tokens: int) -> QuestionAnswering:
        """See `hone.tasks.protocol.Repeating`."""
        made = copy.copy(self)
        made._reading = self._reading.within(most_tokens)
        return made

    @property
    def decides(self) -> bool:
        """Always: the margin."""
        return True

    def fit_decision(self, predictions: Sequence[Prediction], columns: Columns) -> Decision:
        """The margin from which answering is best for F1: ``{"margin": logits}``."""
        gain = np.array(
            [
                answer_f1(_words(answers), answer_words(p["best"]["text"])) - (not answers)
                for answers, p in zip(columns["answers"], predictions, strict=True)
            ]
        )  # of answering over saying that there is no answer
        margins = np.array([p["margin"] for p in predictions])
        order = np.argsort(-margins, kind="stable")
        ranked = margins[order]
        total = np.concatenate([[0.0], np.cumsum(gain[order])])  # of answering so many, the surest ones
        cuts = np.flatnonzero(np.concatenate([[True], ranked[1:] < ranked[:-1], [True]]))  # none between equal ones
        many = int(cuts[total[cuts].argmax()])
        if many == 0:
            return {"margin": float(ranked[0] + 1)}
        if many == len(ranked):
            return {"margin": float(min(0.0, ranked[-1] - 1))}
        return {"margin": float((ranked[many - 1] + ranked[many]) / 2)}

    def decided(self, decision: Decision | None) -> QuestionAnswering:
        made = copy.copy(self)
        made.decision = decision
        made._least = 0.0 if decision is None else float(decision["margin"])
        return made

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Exact match, F1, F1 where there is an answer, whether there is one, whether there is none, and whether none
        was rightly said: float64 [examples, 7], the last a 1; additive."""
        out = np.zeros((len(predictions), 7))
        for i, (prediction, answers) in enumerate(zip(predictions, columns["answers"], strict=True)):
            gold, said = _words(answers), answer_words(prediction["answer"])
            f1 = answer_f1(gold, said)
            out[i] = (exact_match(gold, said), f1, f1 * bool(gold), bool(gold), not gold, not gold and not said, 1)
        return out

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        exact, f1, f1_there, there, none, denied, count = tally.sum(axis=0)
        return {
            "f1": _share(f1, count),
            "exact_match": _share(exact, count),
            "f1_answerable": _share(f1_there, there),
            "unanswerable_recall": _share(denied, none),
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        tally = self.tally(predictions, columns)
        said = np.array([prediction["answer"] != "" for prediction in predictions], dtype=bool)
        rows: list[list[Cell]] = []
        for name, chosen in (("answerable", tally[:, 3] > 0), ("unanswerable", tally[:, 4] > 0)):
            if chosen.any():
                part = tally[chosen]
                rows.append([name, part[:, 1].mean(), part[:, 0].mean(), said[chosen].mean(), int(chosen.sum())])
        texts = [BETWEEN.join(both) for both in zip(columns["question"], columns["context"], strict=True)]
        gold = [answers[0]["text"] if answers else "–" for answers in columns["answers"]]
        grid = Grid(columns=["what", "f1", "exact_match", "answered_share", "count"], rows=rows, names="words")
        return Scored({"by_answer": grid}, 1 - tally[:, 1], texts, gold, [p["answer"] or "–" for p in predictions])

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        return bool((one["start"], one["end"]) == (other["start"], other["end"]))


def _words(answers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [answer_words(answer["text"]) for answer in answers]


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _targets(answers: Sequence[Mapping[str, Any]], windows: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Of each window the places of the first and the last token of the first answer that any window holds whole; place
    0 for no answer, and in windows without it. Where no window holds one, none is told that there is none: `UNTOLD`."""
    for answer in answers:
        found = [_place_of(answer, spans) for spans in windows]
        if any(first for first, _ in found):
            return found
    return [(UNTOLD, UNTOLD) if answers else (0, 0)] * len(windows)


def _place_of(answer: Mapping[str, Any], spans: Sequence[int]) -> tuple[int, int]:
    """Places of an answer's first and last token in a window whose tokens lie at ``spans``, flat character offsets; 0
    and 0 where it is not wholly in the window."""
    if not spans:
        return 0, 0
    begin = answer["start"]
    end = begin + len(answer["text"])
    ends = np.asarray(spans).reshape(-1, 2)
    first, last = int((ends[:, 1] <= begin).sum()), int((ends[:, 0] < end).sum()) - 1
    whole = first <= last and ends[0, 0] <= begin and ends[-1, 1] >= end
    return (first + 1, last + 1) if whole else (0, 0)


def best_span(scores: NDArray[np.float32], *, most: int) -> tuple[float, int, int]:
    """The highest sum of a start's and an end's score, and the two places: scores [places, 2], an end not before its
    start and the stretch ``most`` places long at most. Minus infinity where there are no places."""
    best = (-math.inf, 0, 0)
    for more in range(min(most, len(scores))):
        sums = scores[: len(scores) - more, 0] + scores[more:, 1]
        first = int(sums.argmax())
        if sums[first] > best[0]:
            best = (float(sums[first]), first, first + more)
    return best
