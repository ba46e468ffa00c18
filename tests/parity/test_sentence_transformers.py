"""Embeddings and their losses against sentence-transformers, on the same bundle and the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hone
from hone.predict.predictor import load
from hone.tasks.embedding_losses import embedding_loss
from hone.tasks.settings import SentenceEmbeddingSettings

st = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

TEXTS = ["the screen is broken", "", "please refund my order today", "new"]


@pytest.fixture(scope="module", params=["mean", "cls"])
def bundle(request: pytest.FixtureRequest, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    rows = [{"text_a": text, "text_b": f"{text} now"} for text in ("my card", "the screen", "a refund", "new password")]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {
        "version": 1,
        "task": {"name": "sentence-embedding", "pooling": request.param},
        "base": str(tiny_base),
        "data": {"train": str(folder / "train.jsonl"), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "keep": "last", "save_steps": None}],
    }
    made = hone.run(values, out=folder / "run").bundle
    assert made is not None
    return made.path


def test_sentence_transformers_over_the_bundle_gives_the_same_embeddings(bundle: Path) -> None:
    predictor = load(bundle)
    from sentence_transformers.sentence_transformer import modules as models

    transformer = models.Transformer(str(bundle))
    pooling = models.Pooling(transformer.get_embedding_dimension(), pooling_mode=predictor.task.settings.pooling)  # type: ignore[attr-defined]
    theirs = st.SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu").encode(TEXTS)
    ours = np.array([answer["embedding"] for answer in predictor.predict(TEXTS)])
    assert np.allclose(ours, theirs, atol=1e-5)


class Given(torch.nn.Module):
    """Stands where a model would: gives the embeddings that it is handed."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return {"sentence_embedding": features["given"]}


def theirs(loss: str, texts: torch.Tensor, scores: torch.Tensor) -> float:
    from sentence_transformers.sentence_transformer import losses

    given: Any = Given()
    distance = losses.TripletDistanceMetric.COSINE
    made = {
        "contrastive": lambda: losses.MultipleNegativesRankingLoss(given, scale=20.0),
        "cosine": lambda: losses.CosineSimilarityLoss(given),
        "cosent": lambda: losses.CoSENTLoss(given, scale=20.0),
        "triplet": lambda: losses.TripletLoss(given, distance_metric=distance, triplet_margin=0.2),
    }[loss]()
    used = texts if loss in ("contrastive", "triplet") else texts[:, :2]
    return float(made([{"given": part} for part in used.unbind(1)], scores))


@pytest.mark.parametrize("loss", ["contrastive", "cosine", "cosent", "triplet"])
def test_the_loss_is_theirs(loss: str) -> None:
    torch.manual_seed(3)
    texts, scores = torch.randn(7, 3, 16), torch.rand(7)
    ends = {"lowest": 0.0, "highest": 1.0} if loss == "cosine" else {}
    settings = SentenceEmbeddingSettings.model_validate({"loss": loss, **ends})
    batch = {"names": torch.arange(21), "score": scores}
    ours = float(embedding_loss(texts, batch, settings=settings)) / 7
    assert ours == pytest.approx(theirs(loss, texts, scores), rel=1e-5)
