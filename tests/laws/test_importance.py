"""Selection by importance: weights are the likelihood ratios that analysis gives, draws have the chances that drawing
without replacement has, and what is kept is more like the domain."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hone.core.errors import DataError
from hone.core.settings import check_settings
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.importance import Features, divergence, effective_size, gumbel_top, shares
from hone.data.corpus.settings import CorpusSettings

FEATURES = Features(buckets=1 << 16, ngrams=2)  # so many that none of a few n-grams meet


def test_texts_are_their_words_and_pairs_of_neighbors_whatever_the_case() -> None:
    found = Counter(FEATURES.of("a B a b C").tolist())
    assert sorted(found.values()) == [1, 1, 1, 2, 2, 2]  # c, ba, bc; a, b, ab
    assert np.array_equal(FEATURES.of("A b"), FEATURES.of("a  B"))
    assert set(FEATURES.of("a b").tolist()) & set(FEATURES.of("b a").tolist()) == set(FEATURES.of("a").tolist()) | set(
        FEATURES.of("b").tolist()
    )
    assert len(FEATURES.of("红楼梦")) == 3 + 2
    assert len(FEATURES.of("")) == 0
    assert len(Features(buckets=50, ngrams=3).of("a b c d")) == 4 + 3 + 2


def test_a_weight_is_the_ratio_of_likelihoods() -> None:
    """Of texts of two words, by hand: the corpus has 3 a and 1 b, the domain 1 a and 3 b, each 100 times."""
    features = Features(buckets=64, ngrams=1)
    corpus = shares(features.counts(["a a a b " * 100]))
    target = shares(features.counts(["a b b b"] * 100), prior=corpus)
    weight = np.log(target / corpus)[features.of("a b b")].sum()
    a, b = 301 / 464, 101 / 464  # each bucket once more
    p, q = (100 + 64 * a) / 464, (300 + 64 * b) / 464  # as if 64 n-grams of the corpus had come too
    assert weight == pytest.approx(math.log(p / a) + 2 * math.log(q / b))


def test_a_domain_of_no_text_weighs_nothing() -> None:
    corpus = shares(FEATURES.counts(["some words", "other words"]))
    assert np.log(shares(np.zeros(FEATURES.buckets), prior=corpus) / corpus) == pytest.approx(0)


def test_draws_have_the_chances_of_drawing_without_replacement() -> None:
    weights = np.array([1.0, 2.0, 3.0, 6.0])
    chance = dict.fromkeys(itertools.combinations(range(4), 2), 0.0)
    for first, second in itertools.permutations(range(4), 2):
        chance[min(first, second), max(first, second)] += weights[first] / 12 * weights[second] / (12 - weights[first])
    rng, times = np.random.default_rng(0), 6000
    found = Counter(tuple(gumbel_top(np.log(weights), 2, rng=rng).tolist()) for _ in range(times))
    for pair, probability in chance.items():
        assert abs(found[pair] - times * probability) < 4.5 * math.sqrt(times * probability * (1 - probability))


def test_the_effective_size_is_kishs() -> None:
    assert effective_size(np.full(7, -900.0)) == pytest.approx(7)
    assert effective_size(np.log([1.0, 2.0, 3.0])) == pytest.approx(36 / 14)
    assert effective_size(np.array([0.0, -1000.0])) == pytest.approx(1)


def test_the_divergence_is_kullbacks_and_leiblers() -> None:
    one, other = np.array([0.25, 0.75]), np.array([0.5, 0.5])
    assert divergence(one, other) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert divergence(one, one) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two kinds of text, a fifth of it about the sea; and other texts about the sea."""
    folder = tmp_path_factory.mktemp("domains")
    rng = np.random.default_rng(2)
    words = {"sea": ["tide", "ship", "pier", "wave", "salt", "crew"], "law": ["court", "writ", "judge", "plea", "bail"]}

    def text(kind: str) -> str:
        return " ".join(rng.choice([*words[kind], "the", "of", "and"], 12))

    kinds = ["sea" if i % 5 == 0 else "law" for i in range(300)]
    (folder / "all.txt").write_text("\n".join(f"{kind} {text(kind)}" for kind in kinds))
    (folder / "sea.jsonl").write_text("".join(json.dumps({"body": text("sea")}) + "\n" for _ in range(40)))
    return folder


def opened(folder: Path, *, seed: int = 0, **select: Any) -> Corpus:
    values = {"path": "all.txt", "parted": "lines", "select": {"like": "sea.jsonl", "text": "body", **select}}
    settings, faults = check_settings(CorpusSettings, values)
    assert settings is not None, faults
    return open_corpus(settings, base=folder, cache=folder / "cache", seed=seed)


def test_what_is_kept_is_like_the_domain(folder: Path) -> None:
    corpus = opened(folder, documents=50)
    kinds = Counter(document.text.split()[0] for document in corpus)
    assert kinds.total() == 50
    assert kinds["sea"] >= 48  # of the 60 that there are
    [found] = corpus.card.selected
    assert (found.like, found.seen, found.documents, corpus.card.documents) == (40, 300, 50, 50)
    assert found.after < 0.5 * found.before
    assert 1 <= found.effective <= 60


def test_a_seed_draws_the_same_and_another_seed_others(folder: Path) -> None:
    first, again, other = (opened(folder, share=0.1, seed=seed) for seed in (1, 1, 2))
    assert (first.digest, first.card) == (again.digest, again.card)
    assert first.digest != other.digest
    assert len(first) == len(other) == 30


def test_the_domain_is_read_as_its_corpus_is(folder: Path) -> None:
    (folder / "sea.rows").write_text("no json\n" + (folder / "sea.jsonl").read_text())
    values = {"path": "all.txt", "parted": "lines", "unreadable": "skip",
              "select": {"like": "sea.rows", "format": "jsonl", "text": "body", "documents": 50}}  # fmt: skip
    settings, faults = check_settings(CorpusSettings, values)
    assert settings is not None, faults
    corpus = open_corpus(settings, base=folder, cache=folder / "cache", seed=0)
    assert [one.like for one in corpus.card.selected] == [40]


def test_more_documents_than_there_are_cannot_be_selected(folder: Path) -> None:
    with pytest.raises(DataError, match="has 300 left") as caught:
        opened(folder, documents=301)
    assert (caught.value.code, caught.value.exit_code) == ("data.select", 2)


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ({"like": "a"}, "either a number of documents or a share"),
        ({"like": "a", "share": 0.1, "documents": 3}, "either"),
        ({"share": 0.1}, "like"),
    ],
)
def test_a_selection_that_says_too_much_or_too_little_is_refused(select: dict[str, Any], said: str) -> None:
    _, faults = check_settings(CorpusSettings, {"path": "a", "select": select})
    assert said in " ".join(map(str, faults))


def test_paths_of_the_domain_are_made_absolute_with_the_others() -> None:
    settings = CorpusSettings.model_validate(
        {"sources": {"x": {"path": "a", "select": {"like": ["b", "/c"], "share": 0.5}}, "y": {"path": "d"}}}
    ).under(Path("/root"))
    assert settings.sources["x"].select is not None
    assert (settings.sources["x"].path, settings.sources["x"].select.like) == ("/root/a", ["/root/b", "/c"])
    assert settings.sources["y"].select is None
