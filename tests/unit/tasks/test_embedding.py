"""What an embedding task says of its answers: ranks, mistakes, losses that know which texts are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hone.tasks.embedding import SentenceEmbedding, unit
from hone.tasks.embedding_losses import contrastive, cosent, embedding_loss, triplet
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions, Prediction
from hone.tasks.rows import Rows
from hone.tasks.settings import SentenceEmbeddingSettings


@pytest.fixture(scope="module")
def task(tiny_base: Path) -> SentenceEmbedding:
    made = make_task("sentence-embedding", SentenceEmbeddingSettings(), labels=(), folder=tiny_base)
    assert isinstance(made, SentenceEmbedding)
    return made


def pair(one: list[float], other: list[float]) -> Prediction:
    return {"similarity": float(np.dot(one, other)), "embeddings": [one, other], "truncated": False}


def test_a_pair_whose_text_is_not_found_first_shows_what_was(task: SentenceEmbedding) -> None:
    predictions = [pair([1.0, 0.0], [0.6, 0.8]), pair([0.0, 1.0], [0.8, 0.6])]
    columns = {"text_a": ["east", "north"], "text_b": ["north by east", "east by north"]}
    scored = task.scored(predictions, columns)
    assert scored.said == ["east by north", "north by east"]
    assert scored.badness.tolist() == [0.5, 0.5]
    assert task.measures(task.tally(predictions, columns))["mrr"] == 0.5


def test_pairs_with_scores_have_no_ranks(task: SentenceEmbedding) -> None:
    predictions = [pair([1.0, 0.0], [1.0, 0.0]), pair([0.0, 1.0], [1.0, 0.0])]
    columns = {"text_a": ["a", "b"], "text_b": ["c", "d"], "score": [5.0, 1.0]}
    measures = task.measures(task.tally(predictions, columns))
    assert measures["spearman"] == pytest.approx(1.0)
    assert measures["mrr"] is None


def test_equal_negatives_leave_nothing_to_tell_apart() -> None:
    unit = torch.nn.functional.normalize(torch.randn(2, 2, 4), dim=2)
    assert float(contrastive(unit, torch.tensor([[0, 1], [2, 1]]), temperature=0.1)) == pytest.approx(0.0, abs=1e-6)


def test_a_triplet_that_is_far_enough_apart_costs_nothing() -> None:
    unit = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert float(triplet(unit, margin=0.2)) == 0.0
    assert float(triplet(unit, margin=1.5)) == pytest.approx(0.5)


def test_pairs_of_equal_scores_are_in_no_order() -> None:
    assert float(cosent(torch.randn(3, 2, 4), torch.ones(3), temperature=0.1)) == 0.0


def test_the_loss_of_several_sizes_is_their_mean() -> None:
    torch.manual_seed(1)
    texts, batch = torch.randn(4, 2, 8), {"names": torch.arange(8)}
    sizes = [
        float(embedding_loss(texts[:, :, :size], batch, settings=SentenceEmbeddingSettings())) for size in (2, 4, 8)
    ]
    whole = float(embedding_loss(texts, batch, settings=SentenceEmbeddingSettings(matryoshka=[2, 4])))
    assert whole == pytest.approx(sum(sizes) / 3, rel=1e-5)


def test_equal_texts_bear_one_name_and_negatives_may_serve_twice(task: SentenceEmbedding) -> None:
    columns = {"text_a": ["my card", "refund"], "text_b": ["refund", "the screen"], "negative": ["new", "new"]}
    rows = Rows(task.encode(columns, purpose="learn"))
    assert task.once(rows, 0)[1] == task.once(rows, 1)[0]
    assert len({*task.once(rows, 0), *task.once(rows, 1)}) == 3


def test_texts_of_a_row_are_read_apart(task: SentenceEmbedding) -> None:
    rows = Rows(task.encode({"text_a": ["my card"], "text_b": ["the screen is broken"]}, purpose="learn"))
    alone = Rows(task.encode({"text": ["my card", "the screen is broken"]}, purpose="predict"))
    together = task.collate(rows, np.array([0]))
    assert torch.equal(together["input_ids"], task.collate(alone, np.arange(2))["input_ids"])
    assert together["texts"].tolist() == [2]


def labeled(task: SentenceEmbedding, *labels: str) -> Rows:
    return Rows(task.encode({"text": [f"text {i}" for i in range(len(labels))], "label": labels}, purpose="learn"))


def test_a_batch_of_labeled_texts_has_two_of_each_label_that_two_have(task: SentenceEmbedding) -> None:
    rows = labeled(task, *"abcdabcdz")
    assert task.drawing(rows) == 2
    for seed in range(20):
        batch = task.draw(rows, np.array([0, 1, 8]), rng=np.random.default_rng(seed))
        _, counts = np.unique(batch["names"].numpy(), return_counts=True)
        assert sorted(counts.tolist()) == [1, 2, 2]
        assert batch["texts"].tolist() == [1] * 5


def test_of_pairs_nothing_is_drawn(task: SentenceEmbedding) -> None:
    assert task.drawing(Rows(task.encode({"text_a": ["a"], "text_b": ["b"]}, purpose="learn"))) == 0


def test_texts_of_one_label_are_no_negatives_of_one_another(task: SentenceEmbedding) -> None:
    rows = labeled(task, "a", "a")
    batch = task.collate(rows, np.arange(2))
    assert float(task.loss({"logits": torch.randn(2, 8)}, batch, options=LossOptions()).total) == pytest.approx(0.0)


def alone(*vector: float) -> Prediction:
    return {"embedding": list(vector), "truncated": False}


def test_labeled_texts_are_measured_by_the_nearest_of_their_label(task: SentenceEmbedding) -> None:
    predictions = [alone(1.0, 0.0), alone(0.8, 0.6), alone(0.6, 0.8), alone(0.0, 1.0), alone(-1.0, 0.0)]
    columns = {"text": ["e", "ene", "nne", "n", "w"], "label": ["east", "east", "north", "north", "west"]}
    measures = task.measures(task.tally(predictions, columns))
    assert measures["recall_at_1"] == 0.5  # ene is nearer to nne than to e, and nne to ene than to n
    assert measures["recall_at_10"] == 1.0
    assert measures["mrr"] == 0.75
    scored = task.scored(predictions, columns)
    assert scored.said == ["east", "north", "east", "north", "west"]  # west alone has nothing to find
    assert scored.badness.tolist() == [0.0, 0.5, 0.5, 0.0, 0.0]


def nested(task: SentenceEmbedding, *sizes: int) -> SentenceEmbedding:
    settings = SentenceEmbeddingSettings(matryoshka=list(sizes))
    return SentenceEmbedding(settings, labels=(), tokenizer=task.tokenizer, model_limit=64)


def test_each_size_that_was_trained_for_is_measured(task: SentenceEmbedding) -> None:
    """What the first numbers tell is what a bundle of these alone would be measured by."""
    draw = np.random.default_rng(5)
    vectors = unit(draw.normal(size=(24, 8)).astype(np.float32)).tolist()
    columns = {"text_a": [f"a{i}" for i in range(12)], "text_b": [f"b{i}" for i in range(12)]}
    tables = (
        nested(task, 4, 2, 16)
        .scored([pair(*both) for both in zip(vectors[::2], vectors[1::2], strict=True)], columns)
        .tables
    )
    found = tables["by_size"]
    assert found.columns == ["dimensions", "ndcg_at_10", "mrr", "recall_at_1", "recall_at_10"]
    assert [row[0] for row in found.rows] == [2, 4, 8]
    for size, *values in found.rows:
        assert isinstance(size, int)
        short = unit(np.array(vectors, dtype=np.float32)[:, :size]).tolist()
        own = task.measures(task.tally([pair(*both) for both in zip(short[::2], short[1::2], strict=True)], columns))
        assert values == pytest.approx([own[name] for name in found.columns[1:]], abs=1e-6)


def test_sizes_of_labeled_texts_and_of_scores_are_measured_too(task: SentenceEmbedding) -> None:
    texts = [alone(*vector) for vector in np.random.default_rng(1).normal(size=(6, 4)).tolist()]
    told = nested(task, 2).scored(texts, {"text": list("abcdef"), "label": list("xxyyzz")}).tables["by_size"]
    assert "mrr" in told.columns
    pairs = [pair([1.0, 0.0, 0.0], [0.6, 0.8, 0.0]), pair([0.0, 1.0, 0.0], [0.0, 0.8, 0.6])]
    scored: dict[str, list[Any]] = {"text_a": ["a", "b"], "text_b": ["c", "d"], "score": [1.0, 2.0]}
    assert nested(task, 2).scored(pairs, scored).tables["by_size"].columns == ["dimensions", "spearman", "pearson"]
    assert "by_size" not in task.scored(pairs, scored).tables
