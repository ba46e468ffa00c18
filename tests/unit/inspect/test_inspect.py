"""Each finding of an inspection is counted right on rows made for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.core import processes
from hone.core.errors import DataError
from hone.core.processes import Place
from hone.core.settings import Settings
from hone.data.read import read
from hone.data.source import Source
from hone.inspect.settings import INSPECT, InspectSettings
from hone.models.adapters.held_base import spared_bytes
from hone.models.adapters.method import shapes_of
from hone.models.base import resolve_base
from hone.models.cost import TURNS_REACHED, turning
from hone.models.tiny import write_tiny_writer
from hone.report.catalog import Language
from hone.report.report import Report
from hone.tasks.settings import TextClassificationSettings, TokenClassificationSettings
from hone.tasks.table import TASKS
from hone.tasks.writing_settings import TextGenerationSettings
from hone.train.settings import FinetuneSettings

TEXTS = "text-classification"
TAGS = "token-classification"
GOOD = [("refund please", "a"), ("my password", "b"), ("a broken screen", "a"), ("the bank card", "b")]


class Looker:
    """Inspects rows that a test makes up."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder, self.base = folder, base

    def __call__(
        self,
        splits: dict[str, list[tuple[Any, Any]]],
        *,
        task: str = TEXTS,
        language: Language = "en",
        with_base: bool = False,
        plan: FinetuneSettings | None = None,
        task_settings: Settings | None = None,
        **settings: Any,
    ) -> Report:
        kind = TASKS[task]
        one, other = kind.inputs[0].name, kind.targets[0].name
        data = {}
        for name, rows in splits.items():
            file = self.folder / f"{name}.jsonl"
            file.write_text("".join(json.dumps({one: x, other: y}) + "\n" for x, y in rows), encoding="utf-8")
            source = Source(path=f"{name}.jsonl")
            fields = (*kind.inputs, *kind.targets)
            data[name] = read(source, fields, name=name, base=self.folder, cache=self.folder / "cache")
        default = TextClassificationSettings() if task == TEXTS else TokenClassificationSettings()
        inputs = Inputs(
            task=TaskChoice(task, task_settings or default),
            base=resolve_base(str(self.base)) if with_base else None,
            data=data,
            plan={"finetune": plan} if plan else {},
        )
        run = Run(seed=1, device="cpu", folder=self.folder / "run", target=self.folder / "bundle",
                  cache=self.folder / "cache", language=language)  # fmt: skip
        outcome = INSPECT.run(InspectSettings(**settings), inputs, run)
        assert outcome.bundle is None
        return outcome.report


@pytest.fixture
def look(tmp_path: Path, tiny_base: Path) -> Looker:
    return Looker(tmp_path, tiny_base)


def rows_of(report: Report, table: str) -> list[list[Any]]:
    return [list(row) for row in report.tables[table].rows]


def measure(report: Report, name: str, part: str = "") -> float:
    [found] = [m for m in report.measures if m.name == name and m.slice == part]
    assert found.value is not None
    return found.value


def test_splits_and_facts_say_what_was_looked_at(look: Looker) -> None:
    report = look({"train": GOOD, "test": GOOD[:1]})
    assert rows_of(report, "splits") == [["train", 4, "train.jsonl"], ["test", 1, "test.jsonl"]]
    assert report.facts == {"task": TEXTS, "labels": 2, "rows": 4}
    assert report.stage == "inspect"


def test_clean_rows_get_no_warning(look: Looker) -> None:
    report = look({"train": GOOD, "test": [("how new", "a")]}, with_base=True, plan=FinetuneSettings())
    assert report.warnings == []
    assert rows_of(report, "contradictions") == []


def test_labels_are_counted_in_every_split_the_commonest_first(look: Looker) -> None:
    report = look({"train": [*GOOD, ("x", "b"), ("y", "c")], "test": [("z", "c"), ("w", "c")]})
    assert report.tables["label_histogram"].columns == ["label", "train", "test"]
    assert rows_of(report, "label_histogram") == [["b", 3, 0], ["a", 2, 0], ["c", 1, 2]]


def test_duplicates_are_the_rows_that_stood_there_before(look: Looker) -> None:
    report = look({"train": [("x", "a"), ("y", "b"), ("x", "a"), ("x", "a")], "test": [("z", "a")]})
    assert rows_of(report, "duplicates") == [["train", 2, 0.5, "3, 4"], ["test", 0, 0.0, ""]]


def test_leaked_rows_are_counted_for_every_pair_of_splits(look: Looker) -> None:
    report = look(
        {
            "train": [("x", "a"), ("y", "b"), ("v", "a")],
            "validation": [("x", "a"), ("w", "b")],
            "test": [("x", "a"), ("y", "b"), ("x", "a"), ("q", "a")],
        }
    )
    assert rows_of(report, "leakage") == [
        ["train → validation", 1, 0.5, "1"],
        ["train → test", 3, 0.75, "1, 2, 3"],
        ["validation → test", 2, 0.5, "1, 3"],
    ]
    assert len([words for words in report.warnings if "leaked" in words]) == 3


def test_contradictions_name_lines_and_labels(look: Looker) -> None:
    report = look({"train": [("x", "b"), ("y", "a"), ("x", "a"), ("x", "a")], "test": [("y", "b"), ("y", "b")]})
    assert rows_of(report, "contradictions") == [["x", "train", "1, 3, 4", "a | b"]]
    [warning] = [words for words in report.warnings if "different labels" in words]
    assert "1" in warning


def test_as_many_contradictions_are_listed_as_asked_and_all_are_counted(look: Looker) -> None:
    train = [(text, label) for text in ("x", "y", "z") for label in ("a", "b")]
    report = look({"train": train}, examples=2)
    listed = {row[0] for row in rows_of(report, "contradictions")}
    assert len(listed) == 2
    assert listed < {"x", "y", "z"}
    assert "3" in report.warnings[0]


def test_a_long_text_is_shown_by_its_beginning(look: Looker) -> None:
    report = look({"train": [("x" * 500, "a"), ("x" * 500, "b")]})
    [[text, *_]] = rows_of(report, "contradictions")
    assert text.startswith("x" * 160)
    assert len(text) < 200


def test_odd_texts_are_counted_by_kind(look: Looker) -> None:
    odd = [
        "fine",
        "",
        " \t",
        "zero\u200bwidth",
        "soft\u00adhyphen",
        "שלום",
        "\u202eback",
        "bell\x07",
        "?!...",
        "1",
        "的",
    ]
    report = look({"train": [(text, "ab"[i % 2]) for i, text in enumerate(odd)], "test": [("", "a")]})
    assert report.tables["odd_texts"].columns == ["kind", "train", "test"]
    assert rows_of(report, "odd_texts") == [
        ["empty", 2, 1],
        ["zero_width", 2, 0],
        ["right_to_left", 2, 0],
        ["control", 1, 0],
        ["only_punctuation", 1, 0],
        ["over_1_mb", 0, 0],
    ]
    assert [("2" in w, "train" in w) for w in report.warnings if "Empty" in w and "train" in w] == [(True, True)]


def test_illegal_bio_tags_are_counted_and_the_first_is_named(look: Looker) -> None:
    rows = [
        (["Ada", "is"], ["B-PER", "O"]),
        (["in", "Rome"], ["O", "I-LOC"]),
        (["Ada", "Rome", "Rome"], ["I-PER", "I-LOC", "I-LOC"]),
    ]
    report = look({"train": rows}, task=TAGS)
    [warning] = [words for words in report.warnings if "BIO" in words]
    assert "train: 3 " in warning
    assert "I-LOC in line 2" in warning


def test_tags_are_counted_one_by_one(look: Looker) -> None:
    rows = [(["Ada", "is"], ["B-PER", "O"]), (["in", "Rome"], ["O", "B-LOC"])]
    report = look({"train": rows}, task=TAGS)
    assert rows_of(report, "tag_histogram") == [["O", 2], ["B-LOC", 1], ["B-PER", 1]]
    assert report.facts["labels"] == 5


@pytest.mark.parametrize(("long_text", "warned"), [("truncate", 1), ("window", 0)])
def test_long_texts_are_counted_whole_whatever_becomes_of_them(look: Looker, long_text: Any, warned: int) -> None:
    settings = TextClassificationSettings(max_length=8, long_text=long_text, stride=2)
    report = look({"train": [*GOOD[:3], ("the " * 20, "b")]}, with_base=True, task_settings=settings)
    assert measure(report, "over_length_share", "train") == 0.25
    assert rows_of(report, "text_lengths")[0][-1] == 22
    assert len([words for words in report.warnings if "long_text" in words]) == warned


def test_nothing_is_said_to_be_cut_of_whole_texts_that_are_read_in_windows(tmp_path: Path) -> None:
    write_tiny_writer(tmp_path / "base", kind="gpt2")
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps({"text": "a b " * count}) + "\n" for count in (1, 2, 40)), encoding="utf-8")
    (text,) = TASKS["text-generation"].targets
    inputs = Inputs(
        task=TaskChoice("text-generation", TextGenerationSettings(max_length=16, stride=2)),
        base=resolve_base(str(tmp_path / "base")),
        data={"train": read(Source(path=file.name), (text,), name="train", base=tmp_path, cache=tmp_path / "cache")},
    )
    run = Run(seed=1, device="cpu", folder=tmp_path / "run", target=tmp_path / "bundle", cache=tmp_path / "cache")
    report = INSPECT.run(InspectSettings(), inputs, run).report
    assert measure(report, "over_length_share", "train") == pytest.approx(1 / 3)
    assert not [words for words in report.warnings if "long_text" in words]


CHINESE = [("银行卡丢失", "a"), ("信用额度 card", "b")]


def test_a_base_that_does_not_know_the_language_is_told_once(look: Looker) -> None:
    report = look({"train": CHINESE, "test": [("卡丢失", "a")]}, with_base=True)
    assert measure(report, "unknown_share", "train") == pytest.approx(9 / 10)
    assert measure(report, "unknown_share", "test") == 1.0
    [warning] = report.warnings[-1:]
    assert all(part in warning for part in (str(look.base), "90.0% (train)", "100.0% (test)"))
    assert sum("90.0%" in words for words in report.warnings) == 1


def test_a_tokenizer_that_was_learned_from_such_texts_is_too_small_and_no_stranger_to_their_language(
    tmp_path: Path,
) -> None:
    words = [f"{'abcdefghij'[i % 10]}{'klmnopqrst'[i % 7]}{'uvwxyz'[i % 6]}" for i in range(210)]
    lines = [json.dumps({"text": f"{word} {word}", "label": "ab"[i % 2]}) + "\n" for i, word in enumerate(words)]
    (tmp_path / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    base = {"architecture": "dan", "embedding": 8, "hidden": 8, "tokenizer": {"vocab_size": 50}}
    recipe = {"version": 1, "task": TEXTS, "base": base, "stages": [{"kind": "finetune", "max_steps": 1}],
              "data": {"train": str(tmp_path / "train.jsonl"), "validation": "none"}}  # fmt: skip
    said = hone.run(recipe, out=tmp_path / "run").reports["inspect"].warnings
    [warning] = [words for words in said if "%" in words]
    assert "words, at most 50 tokens" in warning
    assert "vocab_size" in warning
    assert "LANGUAGE" not in warning


@pytest.mark.parametrize(("limit", "warned"), [(0.9, True), (0.91, False)])
def test_the_share_of_unknown_tokens_that_is_warned_of_is_a_setting(look: Looker, limit: float, warned: bool) -> None:
    assert bool(look({"train": CHINESE}, with_base=True, unknown_share=limit).warnings) is warned


def test_warnings_are_in_the_language_of_the_recipe(look: Looker) -> None:
    splits = {"train": [*CHINESE, ("", "a"), ("银行卡丢失", "b")], "test": [("信用额度 card", "b")]}
    said = look(splits, with_base=True, language="zh").warnings
    assert len(said) == len(look(splits, with_base=True).warnings) == 4
    assert all(any("\u4e00" <= c <= "\u9fff" for c in words) for words in said)
    assert any("基座模型" in words for words in said)


def test_token_lengths_count_every_text(look: Looker) -> None:
    report = look({"train": GOOD, "test": [("the " * 30, "a")]}, with_base=True)
    table = report.tables["token_lengths"]
    assert table.columns == ["tokens", "train", "test"]
    assert [sum(row[i] for row in table.rows) for i in (1, 2)] == [4, 1]  # type: ignore[misc, arg-type]
    assert len(table.rows) <= 25


def test_the_cost_is_that_of_the_recipe(look: Looker) -> None:
    import torch
    from safetensors.torch import load_file

    plan = FinetuneSettings(num_train_epochs=2.0, per_device_train_batch_size=3)
    report = look({"train": [("the card", "a"), ("a card", "b"), ("my card", "a"), ("new card", "b")]},
                  with_base=True, plan=plan)  # fmt: skip
    cost = {str(row[0]): row[1] for row in report.tables["cost"].rows}
    weights = load_file(look.base / "model.safetensors")
    assert cost["parameters"] == sum(torch.numel(weight) for weight in weights.values())
    assert cost["training_tokens"] == 4 * 4 * 2
    assert cost["steps"] == 4
    assert 0 < measure(report, "estimated_training_time") < 30
    assert 50 < measure(report, "estimated_memory") < 20_000


def test_a_base_in_fewer_bits_takes_the_memory_of_so_many(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.inspect.cost.held_bytes", lambda: 0)  # of this process, which grows
    taken = {}
    for bits in (8, 4):
        plan = FinetuneSettings.model_validate({"method": "lora", "base_bits": bits})
        taken[bits] = measure(look({"train": GOOD}, with_base=True, plan=plan), "estimated_memory")
    shapes = shapes_of(look.base)
    spared = spared_bytes(shapes, 4) - spared_bytes(shapes, 8)
    assert taken[8] - taken[4] == pytest.approx(spared / 1e6)
    assert spared > 0


def test_the_iterations_of_muon_take_their_time(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.inspect.cost.matrix_rate", lambda: (1.0, 1.0))  # an operation a second
    plan = FinetuneSettings(optim="muon", max_steps=1)
    flops = turning(shapes_of(look.base).linear.values())[0] / TURNS_REACHED
    taken = measure(look({"train": GOOD}, with_base=True, plan=plan), "estimated_training_time")
    assert flops <= taken <= 1.01 * flops
    frozen = plan.model_copy(update={"freeze_layers": 1})
    taken = measure(look({"train": GOOD}, with_base=True, plan=frozen), "estimated_training_time")
    assert taken == pytest.approx(flops / 2, rel=0.01)  # one of two layers
    biases = plan.model_copy(update={"method": {"name": "bitfit"}})
    assert measure(look({"train": GOOD}, with_base=True, plan=biases), "estimated_training_time") < flops / 100


def test_processes_that_divide_weights_each_take_less_memory(look: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hone.inspect.cost.held_bytes", lambda: 0)
    held = {}
    for parallel in (None, {"shard": "full"}, {"shard": "gradients"}):
        for count in (1, 8):
            monkeypatch.setattr(processes, "_mine", Place(0, count, 0))
            plan = FinetuneSettings.model_validate({"parallel": parallel, "gradient_accumulation_steps": 8})
            report = look({"train": GOOD}, with_base=True, plan=plan)
            held[str(parallel), count] = measure(report, "estimated_memory")
    assert held["None", 1] == held["None", 8] == held["{'shard': 'full'}", 1]
    assert max(held["{'shard': 'full'}", 8], held["{'shard': 'gradients'}", 8]) < held["None", 8]


@pytest.mark.parametrize(("method", "learned"), [("lora", 2048), ("head", 0), ({"name": "top-n", "layers": 1}, 8544)])
def test_what_learns_is_counted_by_the_method(look: Looker, method: Any, learned: int) -> None:
    costs = []
    for plan in ({}, {"method": method}):
        report = look({"train": GOOD}, with_base=True, plan=FinetuneSettings.model_validate(plan))
        costs.append({str(row[0]): row[1] for row in report.tables["cost"].rows})
    assert costs[0]["trained_parameters"] == costs[0]["parameters"]
    assert costs[1]["trained_parameters"] == pytest.approx(learned, rel=0.1)


def test_more_epochs_cost_more_and_max_steps_bound_the_steps(look: Looker) -> None:
    steps = {}
    for name, plan in {
        "one": FinetuneSettings(num_train_epochs=1.0, per_device_train_batch_size=1),
        "three": FinetuneSettings(num_train_epochs=3.0, per_device_train_batch_size=1),
        "bounded": FinetuneSettings(num_train_epochs=3.0, per_device_train_batch_size=1, max_steps=5),
        "accumulated": FinetuneSettings(
            num_train_epochs=3.0, per_device_train_batch_size=1, gradient_accumulation_steps=2
        ),
    }.items():
        report = look({"train": GOOD}, with_base=True, plan=plan)
        steps[name] = {str(row[0]): row[1] for row in report.tables["cost"].rows}["steps"]
    assert steps == {"one": 4, "three": 12, "bounded": 5, "accumulated": 6}


def test_without_a_base_there_is_nothing_of_tokens_or_cost(look: Looker) -> None:
    report = look({"train": GOOD}, plan=FinetuneSettings())
    assert report.measures == []
    assert not {"token_lengths", "cost"} & set(report.tables)


def test_a_single_class_is_refused(look: Looker) -> None:
    with pytest.raises(DataError) as caught:
        look({"train": [("x", "a"), ("y", "a")]})
    assert caught.value.code == "data.one-class"
    assert "'a'" in str(caught.value)


def test_a_label_that_train_never_shows_is_refused_with_its_line(look: Looker) -> None:
    with pytest.raises(DataError) as caught:
        look({"train": GOOD, "test": [("x", "a"), ("y", "z")]})
    assert caught.value.code == "data.label-unseen"
    assert [(fault.line, fault.field) for fault in caught.value.faults] == [(2, "label")]
    assert "'z'" in str(caught.value)
