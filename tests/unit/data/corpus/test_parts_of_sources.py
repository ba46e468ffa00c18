"""What is held out, and a part, is drawn within each source: no source is lost whole, and small ones are measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.core.errors import DataError
from hone.core.settings import check_settings
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.corpus.settings import CorpusSettings


def opened(folder: Path, texts: dict[str, list[str]], **more: Any) -> Corpus:
    for name, own in texts.items():
        (folder / f"{name}.txt").write_text("\n\n".join(own), encoding="utf-8")
    sources = {name: {"path": f"{name}.txt"} for name in texts}
    settings, faults = check_settings(CorpusSettings, {"sources": sources, **more})
    assert settings is not None, faults
    return open_corpus(settings, base=folder, cache=folder / "cache")


def numbered(**counts: int) -> dict[str, list[str]]:
    return {name: [f"{name} {i}" for i in range(count)] for name, count in counts.items()}


def documents(corpus: Corpus) -> list[int]:
    return [size.documents for size in corpus.sizes]


def test_every_source_is_held_out_in_part_and_never_whole(tmp_path: Path) -> None:
    corpus = opened(tmp_path, numbered(large=200, small=5, two=2, one=1))
    for seed in range(60):
        rest, held = corpus.carve(0.1, seed=seed)
        large, small, two, one = documents(held)
        assert large > 1
        assert 1 <= small < 5
        assert (two, one) == (1, 0)
        assert sum(documents(rest)) + sum(documents(held)) == len(corpus)


def test_a_larger_share_holds_out_what_a_smaller_one_does(tmp_path: Path) -> None:
    corpus = opened(tmp_path, numbered(large=50, small=3))
    held = [{one.text for one in corpus.carve(share, seed=1)[1]} for share in (0.01, 0.3, 0.99)]
    assert held[0] < held[1] < held[2]
    assert len(held[2]) <= 51


def test_equal_documents_of_two_sources_are_never_both_learned_and_held_out(tmp_path: Path) -> None:
    corpus = opened(tmp_path, {name: ["same", f"other of {name}"] for name in ("a", "b")}, duplicates="keep")
    for seed in range(40):
        rest, held = corpus.carve(0.5, seed=seed)
        assert not {one.text for one in rest} & {one.text for one in held}


def test_what_one_source_keeps_is_no_bar_to_the_other_document_of_another(tmp_path: Path) -> None:
    corpus = opened(tmp_path, {"pair": ["same", "other"], "single": ["same"]}, duplicates="keep")
    for seed in range(20):
        rest, held = corpus.carve(0.1, seed=seed)
        assert [one.text for one in held] == ["other"]
        assert documents(rest) == [1, 1]


def test_sources_of_one_document_each_cannot_be_held_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too few documents") as caught:
        opened(tmp_path, numbered(a=1, b=1)).carve(0.1, seed=1)
    assert caught.value.code == "data.too-few-rows"


def test_a_part_has_something_of_every_source_and_is_within_a_larger_one(tmp_path: Path) -> None:
    corpus = opened(tmp_path, numbered(large=200, small=3, one=1))
    for seed in range(20):
        parts = [corpus.part(share, seed=seed) for share in (0.01, 0.1, 0.5)]
        assert all(min(documents(part)) >= 1 for part in parts)
        found = [{one.text for one in part} for part in parts]
        assert found[0] <= found[1] <= found[2]
