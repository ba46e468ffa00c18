"""Vocabulary pruning of what a model reads beside the bare texts, and of the ids that its configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from starting import written

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Run
from hone.compress.given_rows import given_rows, tokens_of
from hone.compress.named_ids import renumber_ids
from hone.compress.settings import VocabularySettings
from hone.compress.start import Made, Start
from hone.compress.vocabulary import prune_vocabulary
from hone.core.errors import DataError
from hone.data.dataset import Dataset
from hone.models.chat_marks import ROLE_TOKENS
from hone.models.model import build_model
from hone.models.tiny import write_tiny_base, write_tiny_writer
from hone.predict.predictor import open_bundle, open_model
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

TALK = [{"role": "user", "text": "my laptop"}, {"role": "assistant", "text": "you"}]
ASKED = [*TALK, {"role": "user", "text": "bank"}]
RELATED = {
    "text": ["the screen is broken"],
    "head": [{"start": 4, "end": 10}],
    "tail": [{"start": 14, "end": 20}],
    "label": ["one"],
}
OWN_TEMPLATE = (
    "{% for m in messages %}{{ '</s>' + m['role'] + ' ' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '</s>assistant ' }}{% endif %}"
)


def without_roles(base: Path) -> Path:
    """The base ``base`` without tokens for who speaks, as one is that was made elsewhere."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (base / name).read_text(encoding="utf-8")
        for i, role in enumerate(ROLE_TOKENS.values()):
            text = text.replace(role, f"<|{i}|>")
        (base / name).write_text(text, encoding="utf-8")
    return base


def started(
    folder: Path, name: str, columns: dict[str, list[Any]], *, data: str = "train", template: str = "", **settings: Any
) -> Start:
    """A bundle of random weights, opened to be compressed by the rows ``columns``."""
    writes = name in ("dialogue", "text-generation")
    base = folder / "base"
    base = without_roles(write_tiny_writer(base, kind="gpt2", layers=1)) if writes else write_tiny_base(base, layers=1)
    labels = () if writes else ("one", "two")
    task = make_task(name, SETTINGS[name].model_validate(settings), labels=labels, folder=base)
    if writes:
        own = task.tokenizer.pretrained
        own.chat_template = template or None
        own.split_special_tokens = own.backend_tokenizer.encode_special_tokens = False
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        bundle = write_model(folder / "bundle", build_model(base, task.head), task, lineage=lineage)
    model, task = open_model(bundle)
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    return Start(bundle, model, task, {data: Dataset.from_columns(data, columns)}, run)


def words(task: Any, start: Start) -> list[list[str]]:
    """Every row of the given texts, as the vocabulary writes its tokens."""
    rows = [column.to_pylist() for part in given_rows(task, start.data) for column in tokens_of(part)]
    return [task.tokenizer.words_of(row) for column in rows for row in column]


def pruned(start: Start) -> Made:
    made = prune_vocabulary(VocabularySettings(characters=False), start)
    assert made.facts["tokens_kept"] < made.facts["tokens_before"]  # type: ignore[operator]
    return made


@pytest.mark.parametrize(
    ("name", "columns", "settings"),
    [
        ("dialogue", {"turns": [TALK]}, {}),
        ("dialogue", {"turns": [TALK]}, {"system": "please help"}),
        ("dialogue", {"turns": [TALK]}, {"template": OWN_TEMPLATE}),
        ("dialogue", {"turns": [ASKED]}, {}),
        ("text-generation", {"text": ["my laptop"], "order": ["good"]}, {"attributes": {"order": ["good"]}}),
        ("text-generation", {"prompt": ["my laptop"], "text": ["you"], "order": [["bank"]]}, {"keywords": "order"}),
        (
            "text-generation",
            {"prompt": ["my"], "chosen": ["laptop"], "rejected": ["bank"], "order": ["good"]},
            {"attributes": {"order": ["good"]}},
        ),
        ("relation-extraction", RELATED, {}),
    ],
    ids=["marks", "system", "template", "question", "attributes", "keywords", "pairs", "relation"],
)
def test_all_that_rows_hold_is_read_as_before(
    name: str, columns: dict[str, list[Any]], settings: dict[str, Any], tmp_path: Path
) -> None:
    start = started(tmp_path, name, columns, **settings)
    assert words(pruned(start).task, start) == words(start.task, start)


def test_texts_to_answer_keep_their_marks(tmp_path: Path) -> None:
    start = started(tmp_path, "dialogue", {"turns": [TALK, ASKED]}, data="unlabeled")
    found = words(pruned(start).task, start)
    assert found == words(start.task, start)
    assert len(found) == 2 * 2 + 1  # what is read before the answer of each, and the answer; and the one question


def test_marked_spans_are_answered_as_before(tmp_path: Path) -> None:
    start = started(tmp_path, "relation-extraction", RELATED)
    columns = {name: values for name, values in RELATED.items() if name != "label"}
    child = open_bundle(written(pruned(start), tmp_path / "child", parent=start.bundle))
    before, after = (one.predict_columns(columns)[0]["scores"] for one in (open_bundle(start.bundle), child))
    assert after == pytest.approx(before, abs=1e-6)
    assert "@" in child.task.tokenizer.vocabulary()


def test_texts_that_cannot_be_rows_are_named(tmp_path: Path) -> None:
    start = started(tmp_path, "text-generation", {"text": ["my"], "order": ["bad"]}, attributes={"order": ["good"]})
    with pytest.raises(DataError) as raised:
        pruned(start)
    assert raised.value.code == "data.attribute"


def test_lists_of_tokens_have_their_new_numbers(tmp_path: Path) -> None:
    start = started(tmp_path, "dialogue", {"turns": [TALK]})
    tokenizer = start.task.tokenizer
    says = start.model.backbone.generation_config
    gone, kept = (tokenizer.pretrained.convert_tokens_to_ids(token) for token in ("Ġprinter", "Ġlaptop"))
    also = tokenizer.pretrained.convert_tokens_to_ids("Ġthanks")
    says.eos_token_id, says.suppress_tokens = [tokenizer.eos_id, also], [gone, kept]
    says.bad_words_ids, says.sequence_bias = [[gone], [kept, gone], [kept]], [[[kept], 1.0], [[gone], 2.0]]
    made = pruned(start)
    new, says = made.task.tokenizer, made.model.backbone.generation_config  # type: ignore[union-attr]
    assert new.words_of(says.eos_token_id) == tokenizer.words_of([tokenizer.eos_id, also])  # one that ends texts stays
    moved = new.pretrained.convert_tokens_to_ids("Ġlaptop")
    assert (says.suppress_tokens, says.bad_words_ids, says.sequence_bias) == ([moved], [[moved]], [[[moved], 1.0]])
    assert Bundle.open(written(made, tmp_path / "child", parent=start.bundle).path)


def test_what_keeps_from_writing_tokens_that_are_gone_is_no_more() -> None:
    class Config:
        bad_words_ids = [[7], [3, 7]]
        force_words_ids = [[3], [[3, 4]]]

    config = Config()
    renumber_ids(config, {3: 0, 4: 1})
    assert config.bad_words_ids is None
    assert config.force_words_ids == [[0], [[0, 1]]]
