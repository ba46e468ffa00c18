"""Counts of BLEU and chrF: by hand, of parts, and what is refused."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import sacrebleu.utils

from hone.core.errors import DeviceError, MissingExtra
from hone.metrics.bleu import Bleu, Chrf
from hone.metrics.intervals import bootstrap

GOLD = [["the cat sat on the mat", "a cat sat there"], ["it rained all day"]]
SAID = ["the the cat sat on", "it rained"]


def test_the_counts_of_bleu_are_those_counted_by_hand() -> None:
    counts = Bleu().tally(GOLD, SAID)
    # lengths 5 and 4 (the nearest to 5 of 6 and 4 is the shorter), then matches and n-grams of 1 to 4 tokens
    assert counts.tolist() == [[5, 4, 5, 3, 2, 1, 5, 4, 3, 2], [2, 4, 2, 1, 0, 0, 2, 1, 0, 0]]
    expected = math.exp(sum(math.log(p) for p in (7 / 7, 4 / 5, 2 / 3, 1 / 2)) / 4 + 1 - 8 / 7)
    assert Bleu().score(counts) == pytest.approx(100 * expected)


@pytest.mark.parametrize("measure", [Bleu(), Chrf(), Chrf(word_order=2)])
def test_the_score_of_some_texts_is_that_of_their_counts(measure: Bleu | Chrf) -> None:
    counts = measure.tally(GOLD, SAID)
    assert counts.shape == (2, measure.columns)
    assert measure.score(counts[1:]) == measure.score(measure.tally(GOLD[1:], SAID[1:]))
    assert measure.score(counts.sum(axis=0, keepdims=True)) == measure.score(counts)


def test_the_bootstrap_draws_texts_by_their_counts() -> None:
    measure = Bleu()
    counts = measure.tally(GOLD * 6, SAID * 6)
    value = measure.score(counts)
    assert value is not None
    bounds = bootstrap(counts, lambda part: {"bleu": measure.score(part)}, additive=True, resamples=50)["bleu"]
    assert bounds is not None
    assert bounds[0] < value < bounds[1]


def test_no_texts_have_no_score() -> None:
    for measure in (Bleu(), Chrf()):
        assert measure.tally([], []).shape == (0, measure.columns)
        assert measure.score(np.zeros((0, measure.columns))) is None


def test_texts_without_a_match_score_nothing() -> None:
    for measure in (Bleu(), Chrf()):
        assert measure.score(measure.tally([["abc"], ["de"]], ["", "xyz"])) == 0


@pytest.mark.parametrize(("gold", "said"), [([["a"]], []), ([["a"], []], ["a", "b"])])
def test_texts_without_references_are_refused(gold: list[list[str]], said: list[str]) -> None:
    with pytest.raises(ValueError, match="text"):
        Bleu().tally(gold, said)


def test_signatures_say_how_many_references_there_were() -> None:
    measure = Bleu()
    assert measure.signature([["a"], ["b"]]).startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert measure.signature(GOLD).startswith("nrefs:var|")
    assert Chrf(word_order=2).signature([["a", "b"]]).startswith("nrefs:2|case:mixed|eff:yes|nc:6|nw:2|space:no|")


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'ja-mecab'"):
        Bleu("ja-mecap")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokenizer", "module", "extra"),
    [("ja-mecab", "MeCab", "ja"), ("ko-mecab", "mecab_ko", "ko"), ("flores200", "sentencepiece", "flores")],
)
def test_a_tokenizer_that_is_not_installed_names_its_extra(
    tokenizer: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hone.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=rf"{module}.*\n.*hone\[{extra}\]"):
        Bleu(tokenizer)  # type: ignore[arg-type]


def test_without_sacrebleu_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingExtra, match=r"chrF needs the package sacrebleu.*\n.*hone\[bleu\]"):
        Chrf()


def test_a_tokenizer_model_is_not_downloaded_in_passing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hone.core.extras.find_spec", lambda name: object())
    monkeypatch.setattr(sacrebleu.utils, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(DeviceError) as raised:
        Bleu("flores200")
    assert raised.value.code == "bleu.tokenizer-model-missing"
