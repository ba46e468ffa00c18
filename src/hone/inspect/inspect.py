"""The stage ``inspect``: rows, labels, duplicates, leaks, contradictions, lengths, unknown tokens, cost."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hone.bundle.stage import CORPUS, HELD_OUT, Inputs, Outcome, Run
from hone.core.measures import Measure
from hone.data import checks
from hone.data.corpus.card import Card, Selected
from hone.data.dataset import Dataset
from hone.data.fields import TO_WRITE, Field
from hone.data.turns import SYSTEM, answers_of, conversations_in
from hone.inspect.corpus import corpus_tables, corpus_unknown, held_out_apart, held_out_tables, tokenizer_measures
from hone.inspect.cost import training_cost
from hone.inspect.settings import InspectSettings
from hone.models.base import Base
from hone.report.catalog import Language, slice_name, word
from hone.report.report import Cell, Grid, Report
from hone.report.visible import shortened
from hone.tasks.cut import unseen_said
from hone.tasks.encoded import encoded
from hone.tasks.fields import shape_of
from hone.tasks.long_text import long_text_advice
from hone.tasks.make import make_task
from hone.tasks.pairs import over
from hone.tasks.protocol import Task, draws
from hone.tasks.reading import BETWEEN
from hone.tasks.rows import IntArray, Rows
from hone.tasks.table import TASKS

HISTOGRAM_BINS = 24
PLACES = 5  # rows that a finding names
TEXTS = ("text", "tokens", "texts", *TO_WRITE)  # kinds of fields
SHOWN = 160  # characters of a text that a finding shows


def inspect(settings: InspectSettings, inputs: Inputs, run: Run) -> Outcome:
    """Look at every split and at the corpus; raises only what makes the data unusable (one class, unknown labels)."""
    held = inputs.data.get(HELD_OUT)
    rows = {name: dataset for name, dataset in inputs.data.items() if name not in (CORPUS, HELD_OUT)}
    warn = Warnings(run.language)
    tables: dict[str, Grid] = {}
    facts: dict[str, Cell] = {}
    measures: list[Measure] = []
    if rows:
        measures += _rows(replace(inputs, data=rows), run, settings=settings, tables=tables, warn=warn, facts=facts)
    if inputs.base is not None:
        facts["base"] = inputs.base.name
    if inputs.corpus is not None:
        facts["documents"] = len(inputs.corpus)
        tables.update(corpus_tables(inputs.corpus))
        _unreadable("unreadable", inputs.corpus.card, warn)
        for one in inputs.corpus.card.selected:
            _unreadable("like_unreadable", one, warn, source=one.name)
        apart = held_out_apart(inputs.held_out, inputs.corpus)
        if apart is not None:
            leaked = apart.found_in(inputs.corpus)
            tables.update(held_out_tables(apart, leaked=len(leaked)))
            _unreadable("held_out_unreadable", apart.card, warn)
            if len(leaked):
                first = apart.document(int(leaked[0]))
                warn("held_out_leaked", count=f"{len(leaked):,}", first=f"{first.file}:{first.line}")
    if inputs.base is not None:
        measures += [] if held is None else tokenizer_measures(inputs.base.folder, held)
        if inputs.corpus is not None and (held is None or apart is not None):  # else what is held out is of it
            measures.append(corpus_unknown(inputs.base.folder, inputs.corpus.rows))
        _unknown(measures, inputs.base, warn, least=settings.unknown_share)
    return Outcome(Report(stage="inspect", measures=measures, tables=tables, warnings=warn.said, facts=facts))


def _unreadable(key: str, found: Card | Selected, warn: Warnings, **values: object) -> None:
    """Warn of what was left out because it cannot be read."""
    if found.left_out:
        warn(key, count=f"{found.left_out:,}", first=found.named[0], **values)


def _rows(
    inputs: Inputs,
    run: Run,
    *,
    settings: InspectSettings,
    tables: dict[str, Grid],
    warn: Warnings,
    facts: dict[str, Cell],
) -> list[Measure]:
    """What is in the rows of a task, and what training on them would cost."""
    kind = TASKS[inputs.task.name]
    tables["splits"] = Grid(
        columns=["split", "rows", "source"],
        rows=[[name, len(dataset), dataset.origin] for name, dataset in inputs.data.items()],
        names="words",
    )
    train = inputs.data.get("train") or next(iter(inputs.data.values()))
    targets = shape_of(kind, train.columns).targets
    fields = {
        name: shape_of(kind, dataset.columns, inputs.task.settings).telling for name, dataset in inputs.data.items()
    }
    for target in targets:
        checks.require_teachable(train, target)
    labels = kind.labels_in({name: train.distinct(name) for name in train.having(targets)})
    settled = kind.settled(inputs.task.settings, train)
    for other in inputs.data.values():
        known, chosen = kind.known(settled, labels), hasattr(settled, "labels")
        checks.require_known(known, other, chosen=chosen, named=kind.named(inputs.task.settings))
    for target in targets:
        tables.update(_spread_of(inputs.data, target))
    _left_out(inputs.data, tables, warn)
    judged = next((target.name for target in targets if target.kind not in TO_WRITE), "")  # texts may all be right
    _repeats(inputs.data, fields, judged, tables, warn, settings)
    _oddities(kind, inputs.data, tables, warn)
    if kind.says == "direction" and (count := checks.single_labels(train)):
        warn("single_labels", count=f"{count:,}")
    for target in targets:
        if target.kind == "tags":
            _illegal(inputs.data, target.name, warn)
    facts |= {"task": inputs.task.name, "labels": len(labels), "rows": len(train)}
    measures: list[Measure] = []
    if inputs.base is not None:
        task = make_task(inputs.task.name, settled, labels=labels, folder=inputs.base.folder)
        rows = {name: encoded(over(task, each.columns), each, cache=run.cache) for name, each in inputs.data.items()}
        measures += _tokens(task, rows, inputs, tables, warn)
        if "finetune" in inputs.plan and "train" in rows:
            measures += training_cost(inputs, rows["train"], tables, texts=max(1, draws(task, rows["train"])))
    return measures


class Warnings:
    """Sentences the user must not miss, in the reader's language."""

    def __init__(self, language: Language) -> None:
        self.said: list[str] = []
        self.language: Language = language

    def split(self, name: str) -> str:
        """A split's name in the reader's language."""
        return slice_name(name, self.language)

    def __call__(self, key: str, **values: object) -> None:
        """Say the catalog's sentence ``warn.KEY`` with its places filled."""
        self.said.append(word(f"warn.{key}", self.language, **values))


def _spread_of(data: Mapping[str, Dataset], target: Field) -> dict[str, Grid]:
    """How a target's values spread in the splits that have it, by the name of the table."""
    data = {name: dataset for name, dataset in data.items() if dataset.having([target])}
    if data and target.kind == "answered":
        return {"turns": _turns(data, target.name)}
    if not data or target.kind in TO_WRITE:
        return {}
    if target.kind == "score":
        return {"score_spread": _spread(data, target.name)}
    if target.kind == "answers":
        return {"answers": _answers(data, target.name)}
    return {"tag_histogram" if target.kind == "tags" else "label_histogram": _labels(data, target.name)}


def _labels(data: Mapping[str, Dataset], target: str) -> Grid:
    counts = {name: checks.label_counts(dataset, target) for name, dataset in data.items()}
    first = next(iter(counts.values()))
    names = sorted(set().union(*counts.values()), key=lambda label: (-first[label], label))
    return Grid(
        columns=["label", *counts],
        rows=[[label, *(counts[split][label] for split in counts)] for label in names],
        show="bars",
    )


def _left_out(data: Mapping[str, Dataset], tables: dict[str, Grid], warn: Warnings) -> None:
    """The labels that do not count, where the task says which do."""
    names = sorted(set().union(*(dataset.left_out for dataset in data.values())))
    if not names:
        return
    rows: list[list[Cell]] = [[label, *(d.left_out.get(label, 0) for d in data.values())] for label in names]
    tables["labels_left_out"] = Grid(columns=["label", *data], rows=rows, show="bars")
    for name, dataset in data.items():
        if dataset.left_out:
            counts = dataset.left_out.values()
            warn("left_out", split=warn.split(name), count=f"{len(counts):,}", total=f"{sum(counts):,}")


def _spread(data: Mapping[str, Dataset], target: str) -> Grid:
    rows: list[list[Cell]] = []
    for name, dataset in data.items():
        scores = dataset.numbers(target)
        low, middle, high = np.quantile(scores, (0.0, 0.5, 1.0)).tolist()
        rows.append([name, low, middle, high, float(scores.mean()), float(scores.std())])
    columns = ["split", "lowest", "median", "highest", "mean", "standard_deviation"]
    return Grid(columns=columns, rows=rows, names="words")


def _answers(data: Mapping[str, Dataset], target: str) -> Grid:
    rows: list[list[Cell]] = []
    for name, dataset in data.items():
        firsts = (some[:1] for part in dataset.parts(target) for some in part.to_pylist())
        lengths = np.array([len(one["text"]) for some in firsts for one in some], dtype=np.int64)
        middle, longest = np.quantile(lengths, (0.5, 1.0)).tolist() if len(lengths) else (0, 0)
        none = len(dataset) - len(lengths)
        rows.append([name, len(dataset), none, none / len(dataset), int(middle), int(longest)])
    columns = ["split", "count", "unanswerable", "share", "median_characters", "longest_characters"]
    return Grid(columns=columns, rows=rows, names="words")


def _turns(data: Mapping[str, Dataset], target: str) -> Grid:
    rows: list[list[Cell]] = []
    for name, dataset in data.items():
        talks = [value for part in dataset.parts(target) for value in part.to_pylist()]
        lengths = np.array([len(turns) for turns in talks])
        answers = sum(len(answers_of(turns)) for turns in talks)
        system = sum(turns[0]["role"] == SYSTEM for turns in talks)
        middle, longest = np.quantile(lengths, (0.5, 1.0)).tolist()
        rows.append([name, len(talks), answers, int(middle), int(longest), system])
    columns = ["split", "conversations", "answers", "median_turns", "longest_turns", "with_system"]
    return Grid(columns=columns, rows=rows, names="words")


def _repeats(
    data: Mapping[str, Dataset],
    fields: Mapping[str, Sequence[str]],
    target: str,
    tables: dict[str, Grid],
    warn: Warnings,
    settings: InspectSettings,
) -> None:
    """Duplicates within splits, leaks across them, contradictory labels."""
    rows: list[list[Cell]] = []
    for name, dataset in data.items():
        again = checks.duplicates(dataset, *fields[name])
        rows.append([name, len(again), len(again) / len(dataset), _places(dataset, again)])
    tables["duplicates"] = Grid(columns=["split", "count", "share", "lines"], rows=rows, names="words")
    leaks: list[list[Cell]] = []
    for one, other in itertools.combinations(data, 2):
        if fields[one] != fields[other]:
            continue
        shared = checks.leaking(data[one], data[other], *fields[one])
        count, places = len(shared), _places(data[other], shared)
        leaks.append([f"{warn.split(one)} → {warn.split(other)}", count, count / len(data[other]), places])
        if count:
            warn("leaked", count=f"{count:,}", one=warn.split(one), other=warn.split(other))
    tables["leakage"] = Grid(columns=["splits", "count", "share", "lines"], rows=leaks)
    found: list[list[Cell]] = []
    total = 0
    for name, dataset in data.items():
        groups = checks.contradictions(dataset, *fields[name], target=target)
        total += len(groups)
        for group in groups[: settings.examples]:
            first = dataset.row(group[0])
            answers = sorted({_short(dataset.row(i)[target]) for i in group})
            shown = BETWEEN.join(_short(first[field]) for field in fields[name] if not isinstance(first[field], dict))
            found.append([shown, warn.split(name), _places(dataset, group), " | ".join(answers)])
    if total:
        warn("contradictions", count=f"{total:,}")
    tables["contradictions"] = Grid(columns=["text", "split", "lines", "label"], rows=found)


def _places(dataset: Dataset, rows: Sequence[int] | IntArray) -> str:
    """Lines of the first few rows, with their files where there are several."""
    places = [dataset.place(int(row)) for row in rows[:PLACES]]
    named = len(dataset.files) > 1
    lines = [f"{Path(file).name}:{line}" if named else f"{line}" for file, line in places if line is not None]
    return ", ".join(lines) + (", …" if len(rows) > len(lines) > 0 else "")


def _short(value: Any) -> str:
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0].get("text") or [one["label"] for one in value]
    text = value if isinstance(value, str) else " ".join(value)
    return shortened(text, most=SHOWN)


def _oddities(kind: Any, data: Mapping[str, Dataset], tables: dict[str, Grid], warn: Warnings) -> None:
    counts = {}
    for name, dataset in data.items():
        shape = shape_of(kind, dataset.columns)
        texts = [field.name for field in shape.fields if field.name in shape.telling and field.kind in TEXTS]
        counts[name] = checks.odd_texts(dataset, *texts)
    kinds = list(next(iter(counts.values())))
    tables["odd_texts"] = Grid(
        columns=["kind", *counts],
        rows=[[kind, *(counts[split][kind] for split in counts)] for kind in kinds],
        names="words",
    )
    for name, found in counts.items():
        if found["empty"]:
            warn("empty", count=f"{found['empty']:,}", split=warn.split(name))


def _illegal(data: Mapping[str, Dataset], target: str, warn: Warnings) -> None:
    for name, dataset in data.items():
        found = checks.illegal_bio(dataset, target)
        if found:
            row, _, tag = found[0]
            line = dataset.place(row)[1] or row + 1
            warn("illegal_bio", count=f"{len(found):,}", split=warn.split(name), tag=tag, line=line)


def _tokens(
    task: Task,
    rows: Mapping[str, Rows],
    inputs: Inputs,
    tables: dict[str, Grid],
    warn: Warnings,
) -> list[Measure]:
    measures: list[Measure] = []
    lengths = {name: part.text_tokens() for name, part in rows.items()}
    tables["text_lengths"] = Grid(
        columns=["split", "median", "p95", "longest"],
        rows=[[name, *map(int, np.quantile(values, (0.5, 0.95, 1.0)))] for name, values in lengths.items()],
        names="words",
    )
    tables["token_lengths"] = _histogram(lengths)
    for name, part in rows.items():
        long = float(np.mean(lengths[name] > task.max_tokens))
        measures.append(Measure(name="over_length_share", value=long, n=len(lengths[name]), better="lower", slice=name))
        cuts = part.scalar("truncated").any()  # whole texts of text-generation are read in windows, whatever it says
        if long and cuts and task.settings.long_text == "truncate":
            talks = conversations_in(inputs.data[name].columns) is not None
            about: dict[str, object] = {"share": f"{long:.1%}", "split": warn.split(name), "limit": task.max_tokens}
            if talks:
                warn("long_turns", **about)
            else:
                warn("long", **about, advice=long_text_advice(task.settings, task.max_tokens, warn.language))
        warn.said += unseen_said(part, name, warn.language)
        special, unk_id = len(task.tokenizer.prefix) + len(task.tokenizer.suffix), task.tokenizer.unk_id
        count = max(1, int(part.lengths.sum()) - len(part) * special)
        unknown = int(part.counts("input_ids", size=unk_id + 1)[unk_id]) / count if unk_id is not None else 0.0
        measures.append(Measure(name="unknown_share", value=unknown, n=count, better="lower", slice=name))
    return measures


def _unknown(measures: Sequence[Measure], base: Base, warn: Warnings, *, least: float) -> None:
    """Warn of data of which the base does not know a share of ``least`` or more of the tokens."""
    shares = {one.slice: one.value for one in measures if one.name == "unknown_share" and one.value is not None}
    told = [f"{share:.1%} ({warn.split(name)})" for name, share in shares.items() if share >= least]
    learned = (base.made or {}).get("tokenizer")  # from such texts: their language is not what is wrong
    if told and learned:
        warn("unknown_pieces", kind=learned["kind"], size=f"{learned['vocab_size']:,}", shares=", ".join(told))
    elif told:
        warn("unknown", base=repr(base.name), shares=", ".join(told))


def _histogram(lengths: Mapping[str, IntArray]) -> Grid:
    """How many texts have how many tokens; the longest hundredth share the last bin, so that none stretches it."""
    every = np.concatenate(list(lengths.values()))
    shortest, longest, most = int(every.min()), int(every.max()), int(np.quantile(every, 0.99))
    width = -(-(most + 1 - shortest) // HISTOGRAM_BINS)
    edges = np.arange(shortest, most + width + 1, width)
    names = [f"{low}-{low + width - 1}" if width > 1 else f"{low}" for low in edges[:-1].tolist()]
    if longest >= edges[-1]:
        names[-1] = f"{edges[-2]}+"
        edges[-1] = longest + 1
    counts = {name: np.histogram(values, edges)[0].tolist() for name, values in lengths.items()}
    rows: list[list[Cell]] = [[name, *(counts[split][i] for split in counts)] for i, name in enumerate(names)]
    return Grid(columns=["tokens", *counts], rows=rows, show="histogram")
