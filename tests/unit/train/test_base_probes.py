"""A base is judged by what it is for: probes tell what its vectors hold, without teaching it anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hone.data.dataset import Dataset
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_writer
from hone.models.tokenizer import load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.train.base_probes import Probe
from hone.train.pretrain_settings import ProbeSettings
from hone.train.probe import PENALTY

CPU = torch.device("cpu")
WORDS = ["money", "password", "screen"]
TOPICS = {
    "text": [f"{WORDS[i % 3]} {'please ' * (i % 4)}now" for i in range(60)],
    "label": [str(i % 3) for i in range(60)],
}


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Model:
    torch.manual_seed(0)
    return build_model(tiny_base, HeadSpec("masked-tokens", ()))


def probe(base: Path, columns: dict[str, list[object]], *, seed: int = 1, max_rows: int = 4000) -> Probe:
    documents = Documents(load_tokenizer(base), max_tokens=16)
    settings = ProbeSettings(on="topics", max_rows=max_rows)
    return Probe(Dataset.from_columns("topics", columns), settings, documents, seed=seed)


def test_half_of_each_label_is_asked_and_the_seed_decides_which(tiny_base: Path, model: Model) -> None:
    first, again, other = (probe(tiny_base, TOPICS, seed=seed) for seed in (1, 1, 2))
    asked = first._labels[first._asked]
    assert torch.bincount(asked).tolist() == [10, 10, 10]
    assert torch.equal(first._asked, again._asked)
    assert not torch.equal(first._asked, other._asked)
    assert set(first._asked.tolist()).isdisjoint(first._fitted.tolist())


def test_labels_are_told_as_scikit_learn_tells_them(tiny_base: Path, model: Model) -> None:
    noisy = {**TOPICS, "label": [str((i * i) % 3 if i % 5 else 2) for i in range(60)]}
    one = probe(tiny_base, noisy)
    features = one._vectors(model, one._texts[0], device=CPU).numpy()
    fitted, asked, labels = one._fitted.numpy(), one._asked.numpy(), one._labels.numpy()
    scaler = StandardScaler().fit(features[fitted])
    reference = LogisticRegression(C=1 / (2 * PENALTY * len(fitted)), max_iter=5000, tol=1e-8)
    reference.fit(scaler.transform(features[fitted]), labels[fitted])
    right = reference.predict(scaler.transform(features[asked])) == labels[asked]
    assert one.tally(model, device=CPU)[:, 0].mean() == pytest.approx(right.mean(), abs=1.5 / len(asked))


def test_vectors_do_not_depend_on_what_else_is_read(tiny_base: Path, model: Model) -> None:
    one = probe(tiny_base, TOPICS)
    together = one._vectors(model, one._texts[0], device=CPU)
    alone = torch.cat([one._vectors(model, [text], device=CPU) for text in one._texts[0][:8]])
    torch.testing.assert_close(together[:8], alone, atol=1e-5, rtol=0)


def test_pairs_with_scores_need_no_fit(tiny_base: Path, model: Model) -> None:
    same = ["money", "password please", "broken screen"]
    columns = {"text_a": same * 2, "text_b": same + same[1:] + same[:1], "score": [5.0, 5, 5, 0, 0, 0]}
    one = probe(tiny_base, columns)
    found = one.measures(one.tally(model, device=CPU))["spearman"]
    assert found is not None
    assert found > 0.8


def test_pairs_with_labels_are_told_by_what_they_share(tiny_base: Path, model: Model) -> None:
    texts = TOPICS["text"]
    columns = {"text_a": texts, "text_b": [texts[i + i % 2 - 60] for i in range(60)],
               "label": ["same" if i % 2 == 0 else "other" for i in range(60)]}  # fmt: skip
    assert probe(tiny_base, columns).tally(model, device=CPU).mean() > 0.9


def test_of_many_rows_so_many_are_drawn_and_long_texts_are_counted(tiny_base: Path) -> None:
    long = {**TOPICS, "text": [*TOPICS["text"][:-1], "money " * 40]}
    assert len(probe(tiny_base, TOPICS, max_rows=20)._labels) == 20
    assert probe(tiny_base, long).cut == 1


@pytest.mark.parametrize(("kind", "head"), [("gpt2", "causal-language-model"), ("t5", "sequence-to-sequence")])
def test_models_that_write_have_vectors_too(kind: str, head: str, tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / kind, kind=kind)
    tally = probe(base, TOPICS).tally(build_model(base, HeadSpec(head, ())), device=CPU)
    assert tally.shape == (30, 1)
    assert set(np.unique(tally)) <= {0.0, 1.0}
