"""A base that a recipe has made: its faults, what its tokenizer is learned from, and the bundle that comes of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from small_recipes import Said

import hone
from hone.bundle.bundle import Bundle
from hone.core.errors import HoneError, RecipeError
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.models.base import Base
from hone.models.tokenizer import load_tokenizer
from hone.pipeline.base import Spread, find_base
from hone.pipeline.recipe import Recipe, load_recipe, make_recipe
from hone.pipeline.yaml_file import parse_yaml

DAN: dict[str, Any] = {"architecture": "dan", "embedding": 24, "hidden": 24}


def recipe(base: Any, task: str = "text-classification", **more: Any) -> Recipe:
    values = {"version": 1, "task": task, "base": base, "data": {"train": "t.jsonl"}, "stages": ["finetune"], **more}
    return make_recipe(values, folder=Path())


def made(**texts: list[str]) -> Base:
    data = {name: Dataset.from_columns(name, {"text": values, "label": ["a"] * len(values)})
            for name, values in texts.items()}  # fmt: skip
    return find_base(recipe(DAN), data, Silent())


@pytest.mark.parametrize(
    ("base", "code", "field"),
    [
        ({"architecture": "textcn"}, "recipe.unknown-architecture", "base.architecture"),
        ({"architecture": "dan", "heads": 2}, "recipe.unknown-key", "base.heads"),
        ({"architecture": "bert", "hidden": 30, "heads": 4}, "recipe.value-error", "base"),
        ({"architecture": "bert", "tokenizer": {"vocab_size": 3}}, "recipe.greater-than-equal",
         "base.tokenizer.vocab_size"),
        ({"architecture": "gpt2"}, "recipe.architecture-task", "base.architecture"),
        ({"architecture": "t5"}, "recipe.architecture-task", "base.architecture"),
        ({"architecture": "bart", "tokenizer": {"kind": "words"}}, "recipe.literal-error", "base.tokenizer.kind"),
        ({"architecture": "bert", "tokenizer": {"kind": "bpe", "vocab_size": 200}}, "recipe.value-error",
         "base.tokenizer"),
        ({"layers": 3}, "recipe.wrong-type", "base"),
        (3, "recipe.wrong-type", "base"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_made_is_a_fault_of_the_recipe(base: Any, code: str, field: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(base)
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [(code, field)]


def test_what_does_the_task_is_told_where_the_architecture_does_not() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe({"architecture": "bart"})
    [fault] = caught.value.faults
    assert fault.found == "bart, an encoder-decoder, and text-classification, which takes an encoder"
    assert fault.expected == "one of bert, bilstm, dan, textcnn"


def test_faults_of_the_base_have_their_line_and_the_nearest_name(tmp_path: Path) -> None:
    lines = ["version: 1", "task: text-classification", "base:", "  architecture: bert", "  tokenizer:",
             "    vocab_sise: 90", "data: {train: t.jsonl}", "stages: [finetune]"]  # fmt: skip
    (tmp_path / "r.yaml").write_text("\n".join(lines))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    [fault] = caught.value.faults
    assert (fault.line, fault.fix) == (6, "Did you mean 'vocab_size'?")


def test_the_decided_recipe_has_every_setting_and_reads_back_as_itself() -> None:
    first = recipe(DAN)
    decided = first.decided()["base"]
    assert decided == {**DAN, "layers": 2, "max_length": 512, "dropout": 0.3, "word_dropout": 0.3,
                       "tokenizer": {"train": True, "kind": "words", "vocab_size": 30000, "min_frequency": 2,
                                     "lowercase": True}}  # fmt: skip
    again = make_recipe(parse_yaml(first.to_yaml(), file="r")[0], folder=Path())
    assert again.decided()["base"] == decided


def test_a_tokenizer_is_learned_from_train_and_unlabeled_and_from_nothing_else() -> None:
    base = made(train=["red red"], unlabeled=["blue blue"], validation=["green green"], test=["gold gold"])
    known = load_tokenizer(base.folder).pretrained.get_vocab()
    assert {"red", "blue"} <= set(known)
    assert not {"green", "gold"} & set(known)


def test_a_base_is_made_once_and_again_where_it_was_damaged() -> None:
    first = made(train=["red red"])
    weights = first.folder / "model.safetensors"
    written = weights.stat().st_mtime_ns
    assert made(train=["red red"]).digest == first.digest
    assert weights.stat().st_mtime_ns == written
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x3f")
    assert made(train=["red red"]).digest == first.digest
    weights.unlink()
    assert made(train=["red red"]).digest == first.digest
    assert made(train=["blue blue"]).digest != first.digest


def test_a_cache_that_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bases").write_text("a file where a folder should be")
    monkeypatch.setenv("HONE_CACHE", str(tmp_path))
    with pytest.raises(HoneError) as caught:
        made(train=["red red"])
    assert caught.value.code == "cache.not-writable"


def test_words_of_tagging_rows_teach_the_tokenizer() -> None:
    data = {"train": Dataset.from_columns("train", {"tokens": [["我", "爱"], ["我", "爱"]], "tags": [["O"] * 2] * 2})}
    base = find_base(recipe(DAN, "token-classification"), data, Silent())
    assert {"我", "爱"} <= set(load_tokenizer(base.folder).pretrained.get_vocab())


def test_a_field_that_no_row_has_teaches_the_tokenizer_nothing() -> None:
    data = {"train": Dataset.from_columns("train", {"text_a": ["refund please"] * 2, "text_b": ["my refund"] * 2})}
    base = find_base(recipe(DAN, "sentence-embedding"), data, Silent())
    assert {"refund", "my"} <= set(load_tokenizer(base.folder).pretrained.get_vocab())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, list[str]]:
    folder = tmp_path_factory.mktemp("new-base")
    rows = [{"text": f"{word} number {i}", "label": word} for word in ("late", "broken") for i in range(20)]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"kind": "finetune", "num_train_epochs": 10, "learning_rate": 1e-2, "per_device_train_batch_size": 4}
    values = {"version": 1, "task": {"name": "text-classification", "pooling": "cls"}, "base": DAN,
              "data": {"train": str(folder / "t.jsonl")}, "stages": [stage]}  # fmt: skip
    result = hone.run(values, out=folder / "run")
    assert result.bundle is not None
    return result.bundle, [row["text"] for row in rows]


def test_a_bundle_over_a_new_base_answers(trained: tuple[Bundle, list[str]]) -> None:
    bundle, texts = trained
    said = [answer["label"] for answer in hone.load(bundle.path).predict(texts)]
    assert said == [text.split()[0] for text in texts]


def test_its_manifest_says_where_the_base_came_from_and_that_transformers_cannot_open_it(
    trained: tuple[Bundle, list[str]],
) -> None:
    manifest = trained[0].manifest
    assert manifest.plain.gives == "nothing"
    told = manifest.lineage.recipe["base"]
    assert (told["architecture"], told["seed"], told["embedding"]) == ("dan", 13, 24)
    assert len(told["texts"]) == 64


class Telling(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, words: str) -> None:
        self.lines.append(words)


def test_a_tokenizer_that_reads_a_part_reads_it_from_all_over_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"train": [f"begin{i % 7}" for i in range(2000)], "unlabeled": [f"more{i // 200}" for i in range(2000)]}
    data = {name: Dataset.from_columns(name, {"text": values}) for name, values in texts.items()}
    whole, part = Telling(), Telling()
    find_base(recipe(DAN), data, whole)
    assert len(whole.lines) == 1
    monkeypatch.setattr("hone.models.learned_tokenizer.READ", 6000)
    base = find_base(recipe({**DAN, "embedding": 20}), data, part)
    assert "of 4,000 rows" in part.lines[-1]
    assert {f"more{i}" for i in range(10)} | {"begin0"} <= set(load_tokenizer(base.folder).vocabulary())


def test_texts_are_spread_and_each_comes_once() -> None:
    one = Dataset.from_columns("train", {"text": [str(i) for i in range(3000)]})
    two = Dataset.from_columns("corpus", {"text": [f"c{i}" for i in range(500)], "pair": ["p"] * 500})
    spread = Spread([(one, ["text"]), (two, ["text", "pair"])])
    texts = list(spread())
    assert sorted(texts) == sorted([*one.column("text"), *two.column("text"), *["p"] * 500])
    assert (spread.rows, spread.all_rows, spread.characters) == (3500, 3500, sum(map(len, texts)))
    begun = texts[:700]
    numbers = sorted(int(text) for text in begun if text.isdecimal())
    assert max(after - before for before, after in itertools.pairwise([0, *numbers, 3000])) < 150
    assert any(text.startswith("c") for text in begun)


@pytest.mark.parametrize(("least", "told"), [(2, "2 tokens are added"), (99, "NOTHING IS ADDED")])
def test_by_how_much_a_base_is_extended_is_said(tiny_base: Path, least: int, told: str) -> None:
    data = {"train": Dataset.from_columns("train", {"text": ["lowtide newlow"] * 5, "label": ["a"] * 5})}
    extends = recipe({"extends": str(tiny_base), "min_frequency": least})
    for _ in range(2):  # made, then found
        said = Said()
        find_base(extends, data, said)
        assert any(told in words for words in said.words)
