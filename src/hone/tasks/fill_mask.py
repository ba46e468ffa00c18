"""``fill-mask``: which tokens stand where some are masked; and how well a text's own tokens are told, each in turn.

A prediction is ``{"masks", "pseudo_perplexity", "truncated"}``. ``masks`` has of each masked place
``{"start", "end", "token", "log_probability", "rank", "fillings"}``, the fillings ``{"token", "score", "text"}`` with
the likeliest first. In a text with mask tokens (BERT's ``[MASK]``) these are the places; what stood there is not known,
so ``token``, ``log_probability``, ``rank`` and ``pseudo_perplexity`` are None. A text without any is measured: its own
tokens are masked, each in turn, at most ``positions`` of them (Salazar et al. 2020), and ``text`` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hone.core.errors import BundleError
from hone.core.measures import MeasureSpec
from hone.data.fields import Field
from hone.models.heads import HeadSpec, Outputs
from hone.models.tokenizer import Pieces, Tokenizer
from hone.report.report import Cell, Grid
from hone.tasks.entities import trimmed
from hone.tasks.form import Form
from hone.tasks.long_text import refuse_long, row_limit, spans
from hone.tasks.masking import drawn, nearest_window, spread, stand_ins
from hone.tasks.protocol import Columns, FloatArray, Loss, LossOptions, Prediction, Purpose, Says, Scored
from hone.tasks.rows import ROWS_SCHEMA, Batch, IntArray, Rows, padded, rows_of
from hone.tasks.settings import FillMaskSettings

UNKNOWN = -100  # in place of a token that is not known: torch's losses leave it out
STATED = 3  # numbers of a place before its fillings: the token that stands there, its log probability, its rank
RANKS = ((1, 1), (2, 5), (6, 20), (21, 100))
PIECE = "##"  # before a token that goes on a word, in vocabularies of word pieces
BEGINS = ("Ġ", "▁")  # before one that begins a word, in byte-level and SentencePiece vocabularies


class FillMask(Form):
    """The tokens at masked places.

    Args:
        settings: The task's settings.
        labels: Always none: what is told are tokens of the base's vocabulary.
        tokenizer: The base's.
        model_limit: Most tokens the backbone reads.

    Raises:
        BundleError: The base's tokenizer has no mask token.
    """

    name = "fill-mask"
    inputs = (Field("text", "text"),)
    targets = ()
    says: Says = "tokens"
    additive = True
    main_measure = "pseudo_perplexity"
    measure_specs: Mapping[str, MeasureSpec] = {
        "pseudo_perplexity": MeasureSpec(better="lower", of_tokens=True),
        "top_1_accuracy": MeasureSpec(of_tokens=True),
        "top_5_accuracy": MeasureSpec(of_tokens=True),
    }

    def __init__(
        self, settings: FillMaskSettings, *, labels: tuple[str, ...], tokenizer: Tokenizer, model_limit: int
    ) -> None:
        super().__init__(settings, labels=labels, tokenizer=tokenizer)
        if tokenizer.mask_id is None:
            raise BundleError(
                "the base's tokenizer has no mask token",
                expected="a base that was trained on masked texts, as BERT and RoBERTa were",
                fix="Take another base for this task.",
                code="base.no-mask",
            )
        self._mask = tokenizer.mask_id
        self._swallows = bool(getattr(tokenizer.added_tokens().get(self._mask), "lstrip", False))  # a blank before it
        self._special = np.array(tokenizer.pretrained.all_special_ids)
        self._edges = len(tokenizer.prefix), len(tokenizer.suffix)
        self.max_tokens = row_limit(settings, tokenizer, model_limit=model_limit)
        self._room = self.max_tokens - sum(self._edges)
        self.head = HeadSpec("masked-tokens", labels)

    @staticmethod
    def labels_in(columns: Columns) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def _input_schema(self) -> dict[str, pa.DataType]:
        numbers = pa.list_(pa.int32())
        return {**ROWS_SCHEMA, "copies": pa.int64(), "places": numbers, "starts": numbers, "ends": numbers}

    @property
    def row_schema(self) -> dict[str, pa.DataType]:
        return {**self._input_schema, "words": pa.list_(pa.int32())}

    def encode(self, columns: Columns, *, purpose: Purpose, start: int = 0) -> pa.RecordBatch:
        """See `Task.encode`. ``places`` are the tokens of a row that are asked for, ``starts`` and ``ends`` where they
        stand in the text; ``copies`` is how often the row is read for them: once where they are masked already, else
        once for each. ``words`` has the number of each token's word, -1 where it is never masked. To predict, windows
        without such places are not read, but for one of a text that has none at all."""
        read = self.tokenizer.encode_pieces(columns["text"])
        counts = [len(pieces.ids) for pieces in read]
        if self.settings.long_text == "refuse":
            refuse_long({start + i: n for i, n in enumerate(counts) if n > self._room}, room=self._room)
        schema = self._input_schema if purpose == "predict" else self.row_schema
        out: dict[str, list[Any]] = {name: [] for name in self.row_schema}
        for i, pieces in enumerate(read):
            windows = spans(counts[i], room=self._room, stride=self.settings.stride)
            cut = self.settings.long_text == "truncate" and len(windows) > 1
            rows = self._rows(columns["text"][i], pieces, windows[:1] if cut else windows)
            if purpose == "predict":
                rows = [row for row in rows if row["places"]] or rows[:1]
            for row in rows:
                whole = {"example": start + i, "truncated": cut, "text_tokens": counts[i] + sum(self._edges), **row}
                for name, value in whole.items():
                    out[name].append(value)
        return rows_of(out, schema)

    def _rows(self, text: str, pieces: Pieces, windows: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """The columns of each window that are its own. A mask token beyond what is read makes a text one with mask
        tokens, too: the others of its tokens are not asked for."""
        ids, words = np.array(pieces.ids, dtype=np.int64), np.array(pieces.words, dtype=np.int64)
        read = min(len(ids), windows[-1][1])
        masked = np.flatnonzero(ids == self._mask)
        plain = ~np.isin(ids, self._special)
        chosen = masked[masked < read] if len(masked) else spread(np.flatnonzero(plain[:read]), self.settings.positions)
        window = nearest_window(chosen, windows)
        before, after = self._edges
        rows = []
        for w, (begin, end) in enumerate(windows):
            here = chosen[window == w].tolist()
            at = [_without_blanks(text, *pieces.places[place]) for place in here]
            own = np.where(plain & (words >= 0), words, -1)[begin:end].tolist()
            row = {
                "input_ids": [*self.tokenizer.prefix, *pieces.ids[begin:end], *self.tokenizer.suffix],
                "copies": 1 if len(masked) else max(1, len(here)),
                "places": [place - begin + before for place in here],
                "starts": [start for start, _ in at],
                "ends": [end for _, end in at],
                "words": [-1] * before + own + [-1] * after,
            }
            rows.append(row)
        return rows

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """The rows as they are measured: each as often as its ``copies``, another of its places masked in each.

        ``input_ids`` and ``attention_mask`` int64 [texts, tokens]; ``mask_places`` int64 [n, 2]; ``gold`` int64 [n],
        the tokens that stand there; ``counts`` int64 [rows], how many places each row has.
        """
        ids, mask = padded(rows, "input_ids", index, fill=self.tokenizer.pad_id)
        copies, places = rows.scalar("copies")[index], rows.lists("places")
        counts = places.offsets[index + 1] - places.offsets[index]
        owner = np.repeat(np.arange(len(index)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        text = (np.cumsum(copies) - copies)[owner] + np.minimum(within, copies[owner] - 1)
        again = torch.from_numpy(np.repeat(np.arange(len(index)), copies))
        at = torch.from_numpy(np.stack([text, places.of(index).astype(np.int64)], axis=1))
        return self._masked(ids[again], mask[again], at, counts=counts)

    def drawing(self, rows: Rows) -> int:
        """One."""
        return 1

    def draw(self, rows: Rows, index: IntArray, *, rng: np.random.Generator) -> Batch:
        """The rows with some tokens hidden (Devlin et al. 2019): those drawn, at least one of a row, by `stand_ins`.
        Entries as `collate`'s."""
        ids, mask = padded(rows, "input_ids", index, fill=self.tokenizer.pad_id)
        words, _ = padded(rows, "words", index, fill=-1)
        hidden = drawn(words.numpy(), share=self.settings.mlm_probability, whole=self.settings.whole_word, rng=rng)
        at = torch.from_numpy(np.argwhere(hidden))
        batch = self._masked(ids, mask, at, counts=hidden.sum(1))
        found = stand_ins(batch["gold"], mask_id=self._mask, vocab_size=self.tokenizer.vocab_size, rng=rng)
        batch["input_ids"][at[:, 0], at[:, 1]] = found
        return batch

    def _masked(self, ids: Tensor, mask: Tensor, at: Tensor, *, counts: IntArray) -> Batch:
        """A batch in which the places ``at`` are masked."""
        gold = ids[at[:, 0], at[:, 1]]
        ids[at[:, 0], at[:, 1]] = self._mask
        return {
            "input_ids": ids,
            "attention_mask": mask.long(),
            "mask_places": at,
            "gold": torch.where(gold == self._mask, UNKNOWN, gold),
            "counts": torch.from_numpy(np.asarray(counts, dtype=np.int64)),
        }

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        gold = batch["gold"]
        total = functional.cross_entropy(outputs["logits"].float(), gold, ignore_index=UNKNOWN, reduction="sum")
        known = float((gold != UNKNOWN).sum())
        return Loss(total, known or 1.0)  # where no text has a token to mask: nothing, which counts as one token

    def decode(self, outputs: Outputs, batch: Batch) -> list[NDArray[np.float32]]:
        """Of each row float32 [places, 3 + 2 * fillings]: see `STATED`, then the fillings' ids, then their log
        probabilities. An id is below 2^24, so exact."""
        chances = functional.log_softmax(outputs["logits"].float(), dim=-1).cpu()
        gold = batch["gold"].cpu()
        own = chances.gather(1, gold.clamp(min=0).unsqueeze(1))
        rank = (chances > own).sum(1, keepdim=True) + 1
        best, ids = chances.topk(min(self.settings.top_k, chances.shape[1]), dim=1)
        found = torch.cat([gold.unsqueeze(1).float(), own, rank.float(), ids.float(), best], dim=1).numpy()
        return np.split(found, np.cumsum(batch["counts"].cpu().numpy())[:-1])

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
        places: list[list[dict[str, Any]]] = [[] for _ in columns["text"]]
        cut = [False] * len(places)
        for i, example in enumerate((rows.example - rows.example[0]).tolist()):
            cut[example] = cut[example] or bool(rows.scalar("truncated")[i])
            where = zip(rows.row("starts", i).tolist(), rows.row("ends", i).tolist(), strict=True)
            text = columns["text"][example]
            places[example] += [self._place(text, *at, found) for at, found in zip(where, partials[i], strict=True)]
        out = []
        for each, one in zip(places, cut, strict=True):
            each.sort(key=lambda place: place["start"])
            told = [place["log_probability"] for place in each if place["token"] is not None]
            perplexity = float(np.exp(-np.mean(told))) if told else None
            out.append({"masks": each, "pseudo_perplexity": perplexity, "truncated": one})
        return out

    def _place(self, text: str, start: int, end: int, found: NDArray[np.float32]) -> dict[str, Any]:
        gold, own, rank = found[:STATED].tolist()
        ids, best = np.split(found[STATED:].astype(np.float64), 2)
        tokens = self.tokenizer.words_of(ids.astype(int).tolist())
        fillings: list[dict[str, Any]] = [
            {"token": token, "score": score} for token, score in zip(tokens, np.exp(best).tolist(), strict=True)
        ]
        known = gold != UNKNOWN
        if not known:
            for filling, number in zip(fillings, ids.astype(int).tolist(), strict=True):
                word, before = self.tokenizer.pretrained.decode([number]).strip(), text[:start]
                if word.startswith(PIECE):
                    word, before = word.removeprefix(PIECE), before.rstrip()
                elif self._swallows and not filling["token"].startswith(BEGINS):
                    before = before.rstrip()
                filling["text"] = before + word + text[end:]
        return {
            "start": start,
            "end": end,
            "token": self.tokenizer.words_of([int(gold)])[0] if known else None,
            "log_probability": own if known else None,
            "rank": int(rank) if known else None,
            "fillings": fillings,
        }

    def tally(self, predictions: Sequence[Prediction], columns: Columns) -> FloatArray:
        """Of each text the places that were measured, the sum of their log probabilities, and how many were told
        first, and among the first five: float64 [examples, 4]."""
        rows = []
        for prediction in predictions:
            told = _told(prediction)
            ranks = [place["rank"] for place in told]
            sums = sum(place["log_probability"] for place in told)
            rows.append((len(told), sums, sum(rank <= 1 for rank in ranks), sum(rank <= 5 for rank in ranks)))
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def measures(self, tally: FloatArray) -> dict[str, float | None]:
        count, summed, first, among = tally.sum(axis=0)
        if not count:
            return dict.fromkeys(self.measure_specs)
        return {
            "pseudo_perplexity": float(np.exp(-summed / count)),
            "top_1_accuracy": float(first / count),
            "top_5_accuracy": float(among / count),
        }

    def scored(self, predictions: Sequence[Prediction], columns: Columns) -> Scored:
        each = [_told(prediction) for prediction in predictions]
        wrong = [any(place["token"] != place["fillings"][0]["token"] for place in told) for told in each]
        lost = [-sum(place["log_probability"] for place in told) / max(1, len(told)) for told in each]
        beyond = sum(not prediction["masks"] and bool(prediction["truncated"]) for prediction in predictions)
        return Scored(
            {"mask_ranks": _rank_table([place["rank"] for told in each for place in told])},
            np.array([max(loss, 1e-12) if bad else 0.0 for loss, bad in zip(lost, wrong, strict=True)]),
            list(columns["text"]),
            [" ".join(place["token"] for place in told) for told in each],
            [" ".join(place["fillings"][0]["token"] for place in told) for told in each],
            {"warn.no_places": beyond} if beyond else {},
        )

    def agrees(self, one: Prediction, other: Prediction) -> bool:
        first = ([place["fillings"][0]["token"] for place in each["masks"]] for each in (one, other))
        return bool(next(first) == next(first))


def _without_blanks(text: str, start: int, end: int) -> tuple[int, int]:
    """Where a token stands without the blanks at its ends, which some tokenizers count to it; one that is blanks alone
    where it is."""
    return trimmed(text, start, end) if text[start:end].strip() else (start, end)


def _told(prediction: Prediction) -> list[dict[str, Any]]:
    """The places of which it is known what stands there."""
    return [place for place in prediction["masks"] if place["token"] is not None]


def _rank_table(ranks: Sequence[int]) -> Grid:
    """How many places have their own token so far up."""
    found = np.array(ranks, dtype=np.int64)
    past = RANKS[-1][1]
    parts = [(f"{low}-{high}" if high > low else f"{low}", (found >= low) & (found <= high)) for low, high in RANKS]
    rows: list[list[Cell]] = []
    for name, there in (*parts, (f"{past + 1}+", found > past)):
        count = int(there.sum())
        rows.append([name, count, count / max(1, len(found))])
    return Grid(columns=["rank", "count", "share"], rows=rows)
