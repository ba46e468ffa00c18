"""`hone predict`: what it reads, what it prints or writes, what it refuses."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from ended import Hone

import hone


def test_predict_answers_a_file_line_by_line(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    ended = run("predict", text_bundle, texts["test"])
    assert ended.code == 0
    rows = [json.loads(line)["text"] for line in texts["test"].read_text().splitlines()]
    assert [answer["label"] for answer in ended.lines()] == [a["label"] for a in hone.load(text_bundle).predict(rows)]
    assert list(ended.lines()[0]) == ["label", "score", "scores", "truncated"]


@pytest.mark.parametrize(
    "lines",
    [
        "please refund my order\nforgot my password\n",
        '{"text": "please refund my order"}\n{"text": "forgot my password"}\n',
    ],
)
@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_predict_answers_standard_input(
    run: Hone, text_bundle: Path, monkeypatch: pytest.MonkeyPatch, lines: str, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    ended = run("predict", text_bundle, *arguments)
    assert [answer["label"] for answer in ended.lines()] == ["refund", "password"]


def test_predict_reads_tokens_and_texts_with_a_tagging_bundle(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.jsonl").write_text('{"tokens": ["Ada", "is"]}\n')
    (tmp_path / "texts.jsonl").write_text('{"text": "Ada is"}\n')
    [by_tokens] = run("predict", tag_bundle, tmp_path / "tokens.jsonl").lines()
    [by_text] = run("predict", tag_bundle, tmp_path / "texts.jsonl").lines()
    assert by_tokens["entities"] == by_text["entities"]
    assert len(by_tokens["tags"]) == 2


def test_predict_tells_what_a_tagging_bundle_reads(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"body": "Ada is"}\n')
    ended = run("predict", tag_bundle, tmp_path / "odd.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert str(tmp_path / "odd.jsonl") in ended.err


def test_predict_names_the_faulty_line_of_a_tagging_file(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"tokens": ["Ada"]}\n{"tokens"\n')
    ended = run("predict", tag_bundle, tmp_path / "in.jsonl")
    assert ended.code == 2
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err


def test_predict_refuses_half_a_character_with_its_line(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n{"text": "\\ud83d"}\n')
    ended = run("predict", text_bundle, tmp_path / "in.jsonl")
    assert (ended.code, ended.out) == (2, "")
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err


def test_predict_of_blank_lines_answers_nothing(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n\n")
    ended = run("predict", tag_bundle, tmp_path / "in.jsonl")
    assert (ended.code, ended.out) == (0, "")


def test_predict_keeps_characters_as_they_are(run: Hone, tag_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Zoë 在巴黎\n", encoding="utf-8")
    run("predict", tag_bundle, tmp_path / "in.txt", "--out", tmp_path / "out.jsonl")
    written = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert json.loads(written) == hone.load(tag_bundle).predict("Zoë 在巴黎")[0]
    assert "\\u" not in written


def test_predict_writes_a_file_that_appears_when_it_is_complete(
    run: Hone, text_bundle: Path, tmp_path: Path, texts: dict[str, Path]
) -> None:
    (tmp_path / "answers").mkdir()
    ended = run("predict", text_bundle, texts["test"], "--out", tmp_path / "answers" / "a.jsonl")
    assert (ended.code, ended.out) == (0, "")
    assert [p.name for p in (tmp_path / "answers").iterdir()] == ["a.jsonl"]
    assert len((tmp_path / "answers" / "a.jsonl").read_text().splitlines()) == 24
    assert (tmp_path / "answers" / "a.jsonl").stat().st_mode & 0o777 == 0o644


def test_predict_that_fails_leaves_the_old_answers(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n{"text": 5}\n')
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers" / "a.jsonl").write_text("old")
    ended = run("predict", text_bundle, tmp_path / "in.jsonl", "--out", tmp_path / "answers" / "a.jsonl")
    assert ended.code == 2
    assert f"{tmp_path / 'in.jsonl'}:2" in ended.err
    assert {p.name: p.read_text() for p in (tmp_path / "answers").iterdir()} == {"a.jsonl": "old"}


def test_predict_writes_into_a_pipe_that_is_there(
    run: Hone, text_bundle: Path, tmp_path: Path, texts: dict[str, Path]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # holds what is written until it is read
    try:
        ended = run("predict", text_bundle, texts["test"], "--out", pipe)
        assert (ended.code, ended.out) == (0, "")
        assert len(os.read(reader, 1 << 16).splitlines()) == 24
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_predict_to_standard_output_by_its_name(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    ended = run("predict", text_bundle, texts["test"], "--out", "/dev/stdout")
    assert (ended.code, len(ended.lines())) == (0, 24)


def test_predict_to_a_device_leaves_it_one(run: Hone, text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("forgot my password\n")
    reader, terminal = os.openpty()
    try:
        ended = run("predict", text_bundle, tmp_path / "in.txt", "--out", os.ttyname(terminal))
        assert (ended.code, ended.out) == (0, "")
        assert json.loads(os.read(reader, 1 << 16))["label"] == "password"
    finally:
        os.close(reader)
        os.close(terminal)


def test_predict_of_nothing_answers_nothing(run: Hone, text_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    ended = run("predict", text_bundle)
    assert ended.out == ""


def test_predict_refuses_a_device_that_is_not_there(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    ended = run("predict", text_bundle, texts["test"], "--device", "tpu")
    assert ended.code == 2
    assert "'tpu'" in ended.err


@pytest.mark.parametrize("named", ["bf16", "int4"])
def test_predict_serve_and_bench_refuse_a_precision_that_is_not_there(
    run: Hone, text_bundle: Path, texts: dict[str, Path], named: str
) -> None:
    for arguments in (
        ("predict", text_bundle, texts["test"]),
        ("serve", text_bundle),
        ("bench", text_bundle, texts["test"]),
    ):
        ended = run(*arguments, "--device", "cpu", "--precision", named)
        assert (ended.code, ended.out) == (2, "")
        assert repr(named) in ended.err
        assert "a CUDA GPU" in ended.err or "float32, bf16, fp16" in ended.err


def test_float32_may_be_named(run: Hone, text_bundle: Path, texts: dict[str, Path]) -> None:
    named = run("predict", text_bundle, texts["test"], "--precision", "float32")
    assert named.code == 0
    assert named.out == run("predict", text_bundle, texts["test"]).out
