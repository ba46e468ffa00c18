"""An index made and searched as a user would, and what is said where that cannot be done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hone
from hone.cli.main import main
from hone.retrieval.settings import IndexSettings

CORPUS = [
    {"id": "a", "text": "the screen is broken"},
    {"id": "b", "text": "please refund my order"},
    {"id": "c", "text": "new password for my email"},
    {"id": "d", "text": "我的银行卡丢了"},
    {"id": "e", "text": ""},
]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def made(folder: Path, base: Path, task: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    values = {
        "version": 1,
        "task": task,
        "base": str(base),
        "data": {"train": str(lines(folder / "train.jsonl", rows)), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 1, "eval_strategy": "no", "keep": "last", "save_steps": None}],
    }
    bundle = hone.run(values, out=folder / "run").bundle
    assert bundle is not None
    return bundle.path


@pytest.fixture(scope="module")
def bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pairs = [{"text_a": row["text"], "text_b": f"{row['text']} now"} for row in CORPUS]
    return made(tmp_path_factory.mktemp("encoder"), tiny_base, {"name": "sentence-embedding"}, pairs)


@pytest.fixture(scope="module")
def folder(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index")
    corpus = lines(out / "corpus.jsonl", CORPUS)
    hone.index(bundle, corpus, out=out / "index", settings=IndexSettings(hnsw=True))
    return out / "index"


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def failed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert command(*arguments) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("by", ["exact", "hnsw", "bm25", "fused"])
def test_a_text_finds_itself(by: str, folder: Path) -> None:
    texts = [row["text"] for row in CORPUS[:4]]
    found = hone.load_index(folder).search(texts, k=2, by=by)
    assert [hits[0]["id"] for hits in found] == ["a", "b", "c", "d"]
    assert [hits[0]["text"] for hits in found] == texts


def test_scores_are_the_cosines_that_the_bundle_gives(bundle: Path, folder: Path) -> None:
    [hits] = hone.load_index(folder).search("my password", k=5)
    one = np.array(hone.load(bundle).predict("my password")[0]["embedding"])
    texts = [hit["text"] for hit in hits]
    cosines = [float(one @ np.array(answer["embedding"])) for answer in hone.load(bundle).predict(texts)]
    assert [hit["score"] for hit in hits] == pytest.approx(cosines, abs=1e-5)
    assert cosines == sorted(cosines, reverse=True)


def test_words_of_the_query_are_shown_where_they_stand(folder: Path) -> None:
    [[hit]] = hone.load_index(folder).search("a PASSWORD", k=1, by="bm25")
    assert [hit["text"][start:end] for start, end in hit["offsets"]] == ["password"]


def test_the_commands_answer_a_line_a_query(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the screen\nmy card\n", encoding="utf-8")
    assert command("index", bundle, corpus, "--out", tmp_path / "index", "precision=float16", "dimensions=8") == 0
    queries = lines(tmp_path / "queries.jsonl", [{"q": "my card"}, {"q": "the screen"}])
    capsys.readouterr()
    assert command("search", tmp_path / "index", queries, "-k", 1, "--column", "text=q") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["query"] for answer in answers] == ["my card", "the screen"]
    assert [answer["hits"][0]["id"] for answer in answers] == [1, 0]
    assert command("verify", tmp_path / "index") == 0
    assert "an index, no task" in capsys.readouterr().out


def test_a_long_query_is_a_query(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("search", folder, "my order " * 100, "-k", 1, "--by", "bm25") == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["id"] == "b"


def test_the_same_texts_give_the_same_index(bundle: Path, folder: Path, tmp_path: Path) -> None:
    again = hone.index(bundle, folder.parent / "corpus.jsonl", out=tmp_path / "i", settings=IndexSettings(hnsw=True))
    assert again.digest == hone.load_index(folder).opened.digest


def test_a_way_that_the_index_lacks_is_told(bundle: Path, folder: Path, tmp_path: Path) -> None:
    hone.index(bundle, folder.parent / "corpus.jsonl", out=tmp_path / "i", settings=IndexSettings(bm25=False))
    opened = hone.load_index(tmp_path / "i")
    assert opened.ways == ("exact",)
    for by in ("hnsw", "fused", "exakt"):
        with pytest.raises(hone.RecipeError) as caught:
            opened.search("x", k=1, by=by)
        assert caught.value.code == "search.by"
    assert "Did you mean 'exact'?" in str(caught.value)


def test_a_file_of_queries_that_is_not_there_is_no_query(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no file queries.jsonl" in failed(capsys, "search", folder, "queries.jsonl", "--by", "bm25")


def test_k_must_be_one_or_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "k is 0" in failed(capsys, "search", folder, "x", "-k", 0)


@pytest.mark.parametrize("by", ["exact", "hnsw", "fused"])
def test_an_index_of_fewer_texts_than_are_asked_for_gives_all(by: str, folder: Path) -> None:
    opened = hone.load_index(folder)
    [hits] = opened.search("my order", k=10, by=by)
    assert sorted(hit["row"] for hit in hits) == list(range(len(opened)))


def test_another_bundle_is_refused(
    bundle: Path, folder: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [{"text_a": "one", "text_b": "two"}, {"text_a": "three", "text_b": "four"}]
    other = made(tmp_path, tiny_base, {"name": "sentence-embedding", "temperature": 0.1}, pairs)
    message = failed(capsys, "search", folder, "x", "-k", 1, "--bundle", other)
    assert hone.load(bundle).bundle.digest in message


def test_a_bundle_that_is_gone_is_asked_for_and_words_need_none(
    bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(folder, tmp_path / "index")
    (moved / "attachments" / "bundle.txt").unlink()
    assert "--bundle" in failed(capsys, "search", moved, "x", "-k", 1)
    assert command("search", moved, "my order", "-k", 1, "--by", "bm25") == 0
    assert command("search", moved, "my order", "-k", 1, "--bundle", bundle) == 0


def test_a_bundle_without_embeddings_makes_no_index(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": "one", "label": "a"}, {"text": "two", "label": "b"}]
    other = made(tmp_path, tiny_base, {"name": "text-classification"}, rows)
    corpus = lines(tmp_path / "corpus.jsonl", CORPUS)
    assert "sentence-embedding" in failed(capsys, "index", other, corpus, "--out", tmp_path / "i")
    assert "is no index" in failed(capsys, "search", other, "x")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "an empty file"),
        ([{"txt": "x"}], "Did you mean 'txt'?"),
        ([{"text": "x"}, {"text": None}], "corpus.jsonl:2"),
    ],
)
def test_texts_that_cannot_be_read_make_no_index(
    rows: list[dict[str, Any]], said: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = lines(tmp_path / "corpus.jsonl", rows)
    assert said in failed(capsys, "index", bundle, corpus, "--out", tmp_path / "i")
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize("setting", ["dimensions=10000", "hsnw=true", "precision=int4"])
def test_settings_that_cannot_be_had_are_told(
    setting: str, bundle: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = failed(capsys, "index", bundle, folder.parent / "corpus.jsonl", "--out", tmp_path / "i", setting)
    assert setting.partition("=")[0] in message
    assert not (tmp_path / "i").exists()


def test_a_damaged_index_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = shutil.copytree(folder, tmp_path / "index")
    (damaged / "texts.utf8").write_bytes(b"other")
    assert "texts.utf8" in failed(capsys, "search", damaged, "x", "-k", 1)


def test_an_index_answers_nothing_as_a_bundle(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = lines(tmp_path / "texts.jsonl", CORPUS)
    assert "hone search" in failed(capsys, "predict", folder, texts)
