"""Bad rows end a command with 2 and are named by file, line and field; odd ones are counted, learned and answered."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hone.cli.main import main

TEXT, TAGS = "text-classification", "token-classification"
SCORES, PAIRS, SETS, RELATIONS, ANSWERS = (
    "text-regression", "text-pair-classification", "multi-label-classification", "relation-extraction",
    "question-answering")  # fmt: skip
PAIR_SCORES, EMBEDDING, ENTITIES, CHOICES = (
    "text-pair-regression", "sentence-embedding", "span-classification", "multiple-choice")  # fmt: skip
LONG_BYTES = 5_000_000


class Ended:
    """How a command ended."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Hone = Callable[..., Ended]


@pytest.fixture
def hone(capsys: pytest.CaptureFixture[str]) -> Iterator[Hone]:
    """Run the command in this process."""
    logger = logging.getLogger("hone")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return Ended(ended.value.code, *capsys.readouterr())

    yield call
    logger.handlers[:], logger.level, logger.propagate = before


def recipe(folder: Path, base: Path, task: str, **data: str) -> Path:
    """A small recipe over ``data``."""
    values = {"version": 1, "task": task, "base": str(base), "data": data, "stages": ["finetune"]}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


A, B = {"text": "a", "label": "x"}, {"text": "b", "label": "y"}
WORDS = {"tokens": ["Ada", "is"], "tags": ["B-PER", "O"]}

RELATED = {"text": "a cat in a box", "head": {"start": 2, "end": 5}, "tail": {"start": 11, "end": 14}, "label": "in"}


def related(**changes: Any) -> dict[str, Any]:
    return {**RELATED, **changes}


BAD: list[Any] = [
    # task, file, its content, (line, field) that are named
    (TEXT, "empty.jsonl", b"", [(None, "")]),
    (TEXT, "blank.jsonl", b"\n \n", [(None, "")]),
    (TEXT, "header.csv", b"text,label\n", [(None, "")]),
    (TEXT, "zip.csv", b"PK\x03\x04\x14\x00\x00\x00rest", [(None, "")]),
    (TEXT, "nul.csv", b"text,label\na,x\nb\0c,y\n", [(3, "")]),
    (TEXT, "utf16.csv", "text,label\na,x\n".encode("utf-16"), [(None, "")]),
    (TEXT, "no.parquet", b"text,label\na,x\nb,y\n", [(None, "")]),
    (TEXT, "ragged.csv", b"text,label\na,x\nb,y,z\nc\n", [(3, ""), (4, "")]),
    (TEXT, "open-quote.csv", b'text,label\na,x\n"b,y\nc,x\n', [(3, "")]),
    (TEXT, "twice.csv", b"text,label,text\na,x,b\n", [(1, "text")]),
    (TEXT, "twice.jsonl", jsonl(A) + b'{"text": "a", "label": "x", "label": "y"}\n', [(2, "label")]),
    (TEXT, "mixed.csv", "text,label\n我想退款,x\n忘记密码,y\n".encode() + "屏幕坏了,y\n".encode("gb18030"), [(4, "")]),
    (TEXT, "latin.csv", "text,label\na,x\ncafé olé,y\n".encode("latin-1"), [(3, "")]),
    (TEXT, "broken.jsonl", jsonl(A) + b'{"text": "b", \n' + jsonl(B) + b"nonsense\n", [(2, ""), (4, "")]),
    (TEXT, "list.jsonl", jsonl(A, ["b", "y"]), [(2, "")]),
    (TEXT, "deep.jsonl", jsonl(A) + b"[" * 100_000 + b"\n", [(2, "")]),
    (TEXT, "null.jsonl", jsonl(A, {"text": None, "label": "y"}), [(2, "text")]),
    (TEXT, "nan.jsonl", jsonl(A, {"text": math.nan, "label": "y"}), [(2, "text")]),
    (TEXT, "null.csv", b"text,label\na,x\n,y\n", [(3, "text")]),
    (TEXT, "number.jsonl", jsonl(A, {"text": 7, "label": "y"}), [(2, "text")]),
    (TEXT, "half.jsonl", jsonl(A) + b'{"text": "\\ud83d", "label": "y"}\n', [(2, "text")]),
    (TEXT, "label.jsonl", jsonl(A, {**B, "label": 1.5}, {**B, "label": ["y"]}), [(2, "label"), (3, "label")]),
    (TEXT, "label-null.jsonl", jsonl(A, {"text": "b", "label": None}), [(2, "label")]),
    (TEXT, "no-label.jsonl", jsonl(A, {"text": "b"}), [(2, "label")]),
    (TEXT, "other-names.csv", b"body,label\na,x\nb,y\n", [(2, "text")]),
    (TAGS, "length.jsonl", jsonl(WORDS, {"tokens": ["Ada", "is", "in"], "tags": ["O"]}), [(2, "tags")]),
    (TAGS, "scheme.jsonl", jsonl(WORDS, {"tokens": ["Ada"], "tags": ["S-PER"]}), [(2, "tags")]),
    (TAGS, "tag-kind.jsonl", jsonl(WORDS, {"tokens": ["Ada"], "tags": [3]}), [(2, "tags")]),
    (TAGS, "tokens.jsonl", jsonl(WORDS, {"tokens": "Ada is", "tags": ["O", "O"]}), [(2, "tokens")]),
    (TAGS, "none.jsonl", jsonl(WORDS, {"tokens": [], "tags": []}), [(2, "tokens"), (2, "tags")]),
    (SCORES, "scores.jsonl", jsonl({"text": "a", "score": 1}, {"text": "b", "score": math.nan}), [(2, "score")]),
    (SCORES, "infinite.jsonl", b'{"text": "a", "score": 1}\n{"text": "b", "score": Infinity}\n', [(2, "score")]),
    (SCORES, "words.csv", b"text,score\na,1.5\nb,good\n", [(3, "score")]),
    (PAIRS, "one-text.jsonl", jsonl({"text_a": "a", "label": "x"}), [(1, "text_b")]),
    (SETS, "half-label.jsonl", jsonl({"text": "a", "labels": ["x", 1.5]}), [(1, "labels")]),
    (SETS, "no-list.jsonl", jsonl({"text": "a", "labels": "x"}), [(1, "labels")]),
    (ANSWERS, "astray.jsonl", jsonl({"context": "a cat", "question": "q", "answers": [{"text": "dog", "start": 2}]}),
     [(1, "answers")]),
    (ANSWERS, "bare.jsonl", jsonl({"context": "a cat", "question": "q", "answers": "cat"}), [(1, "answers")]),
    (RELATIONS, "outside.jsonl", jsonl(RELATED, related(tail={"start": 11, "end": 15})), [(2, "tail")]),
    (RELATIONS, "other-text.jsonl", jsonl(related(head={"start": 2, "end": 5, "text": "dog"})), [(1, "head")]),
    (RELATIONS, "overlap.jsonl", jsonl(RELATED, related(tail={"start": 4, "end": 8})), [(2, "tail")]),
    (RELATIONS, "no-end.jsonl", jsonl(related(head={"start": 2})), [(1, "head")]),
    (PAIR_SCORES, "pair.jsonl", jsonl({"text_a": "a", "text_b": "b", "score": math.nan}), [(1, "score")]),
    (EMBEDDING, "near.jsonl", jsonl({"text_a": "a", "text_b": "b", "score": math.nan}), [(1, "score")]),
    (ENTITIES, "beyond.jsonl", jsonl({"text": "a cat", "entities": [{"start": 2, "end": 6, "label": "A"}]}),
     [(1, "entities")]),
    (CHOICES, "none-to-choose.jsonl", jsonl({"question": "q", "choices": [], "label": 0}), [(1, "choices")]),
    (CHOICES, "no-such-choice.jsonl", jsonl({"question": "q", "choices": ["a", "b"], "label": 2}), [(1, "label")]),
    (TAGS, "ragged.conll", b"Ada B-PER\nis VBZ O\n", [(2, "")]),
]  # fmt: skip


@pytest.mark.parametrize(("task", "name", "content", "places"), BAD, ids=[row[1] for row in BAD])
def test_bad_rows_end_a_run_and_are_named(
    task: str, name: str, content: bytes, places: list[tuple[int | None, str]], tmp_path: Path, hone: Hone
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = hone("run", recipe(tmp_path, tmp_path, task, train=name), "--out", tmp_path / "run")
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    lines = [line.strip() for line in ended.err.splitlines()]
    for line, field in places:
        place = f"{tmp_path / name}" + (f":{line}" if line else "") + (f": {field}" if field else "") + ": found "
        assert any(each.startswith(place) for each in lines), ended.err
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_named(tmp_path: Path, hone: Hone) -> None:
    ended = hone("run", recipe(tmp_path, tmp_path, TEXT, train="gone.jsonl"), "--out", tmp_path / "run")
    assert ended.code == 2
    assert "gone.jsonl: found" in ended.err


def test_bad_rows_of_several_sources_are_told_together(tmp_path: Path, hone: Hone) -> None:
    (tmp_path / "train.jsonl").write_bytes(jsonl(A, {"text": None, "label": "y"}))
    (tmp_path / "test.csv").write_bytes(b"text,label\na,x,y\n")
    ended = hone("run", recipe(tmp_path, tmp_path, TEXT, train="train.jsonl", test="test.csv"))
    assert ended.code == 2
    assert f"{tmp_path / 'train.jsonl'}:2: text: found" in ended.err
    assert f"{tmp_path / 'test.csv'}:2: found" in ended.err


@pytest.mark.parametrize("command", ["inspect", "finetune"])
def test_the_commands_of_one_stage_name_bad_rows_too(command: str, tmp_path: Path, tiny_base: Path, hone: Hone) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(jsonl(A, {"text": None, "label": "y"}))
    ended = hone(command, file, "--base", tiny_base, "--out", tmp_path / "out")
    assert ended.code == 2
    assert f"{file}:2: text: found" in ended.err


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("gone.jsonl", None, ""),
        ("empty.jsonl", b"", ""),
        ("zip.jsonl", b"PK\x03\x04rest", ""),
        ("null.jsonl", jsonl(A, {"text": None}), ":2: text"),
        ("broken.jsonl", jsonl(A) + b"{\n", ":2"),
        ("half.jsonl", b'{"text": "\\udc00"}\n', ":1: text"),
        ("ragged.csv", b"text\na\nb,c\n", ":3"),
        ("none.csv", b"body\na\n", ":2: text"),
    ],
)
def test_predict_names_bad_rows_and_leaves_no_answers(
    name: str, content: bytes | None, place: str, tmp_path: Path, text_bundle: Path, hone: Hone
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    ended = hone("predict", text_bundle, file, "--out", tmp_path / "answers.jsonl")
    assert ended.code == 2
    assert f"{file}{place}: found" in ended.err
    assert {path.name for path in tmp_path.iterdir()} <= {name}


@pytest.mark.parametrize(
    ("task", "rows", "label"),
    [
        (TEXT, [{"text": f"t{i}", "label": "spam"} for i in range(20)], "spam"),
        (TAGS, [{"tokens": [f"t{i}"], "tags": ["O"]} for i in range(20)], "O"),
    ],
)
def test_a_single_class_is_refused_by_its_name(
    task: str, rows: list[Any], label: str, tmp_path: Path, tiny_base: Path, hone: Hone
) -> None:
    (tmp_path / "train.jsonl").write_bytes(jsonl(*rows))
    ended = hone("run", recipe(tmp_path, tiny_base, task, train="train.jsonl"), "--out", tmp_path / "run")
    assert ended.code == 2
    assert f"'{label}'" in ended.err
    assert "train.jsonl" in ended.err


@pytest.mark.parametrize(
    ("task", "good", "bad", "label", "field"),
    [
        (TEXT, [A, B], {"text": "c", "label": "rare"}, "rare", "label"),
        (TAGS, [WORDS], {"tokens": ["Rome"], "tags": ["B-LOC"]}, "B-LOC", "tags"),
    ],
)
def test_a_test_label_that_training_never_shows_is_named_where_it_stands(
    task: str, good: list[Any], bad: Any, label: str, field: str, tmp_path: Path, tiny_base: Path, hone: Hone
) -> None:
    (tmp_path / "train.jsonl").write_bytes(jsonl(*(good * 10)))
    (tmp_path / "test.jsonl").write_bytes(jsonl(*good, bad))
    path = recipe(tmp_path, tiny_base, task, train="train.jsonl", test="test.jsonl", validation="none")
    ended = hone("run", path, "--out", tmp_path / "run")
    assert ended.code == 2
    assert f"{tmp_path / 'test.jsonl'}:{len(good) + 1}: {field}: found the label '{label}'" in ended.err


# Odd, but text all the same.

ODD = {
    "zero_width": "re\u200bfund my\ufeff order",
    "right_to_left": "\u202eשלום refund",
    "control": "refund\x07 my \x1b[31m order\x85",
    "only_punctuation": "?!... ——",
    "over_1_mb": "please refund my order now " * (LONG_BYTES // 27),
}
LONG_WORDS = ["x" * 249] * (LONG_BYTES // 250)  # 5 MB in 20 thousand words


def odd_rows(task: str) -> list[dict[str, Any]]:
    if task == TEXT:
        return [{"text": text, "label": "odd"} for text in ODD.values()]
    rows = [text.split() for kind, text in ODD.items() if kind != "over_1_mb"]
    return [{"tokens": words, "tags": ["O"] * len(words)} for words in [*rows, LONG_WORDS]]


@pytest.mark.parametrize("task", [TEXT, TAGS])
def test_odd_texts_are_counted_and_learned(
    task: str, tmp_path: Path, texts: dict[str, Path], tagged: dict[str, Path], tiny_base: Path, hone: Hone
) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_bytes((texts if task == TEXT else tagged)["train"].read_bytes() + jsonl(*odd_rows(task)))
    inspected = hone("inspect", file, "--task", task, "--base", tiny_base, "--json")
    assert inspected.code == 0
    counts = dict(json.loads(inspected.out)["tables"]["odd_texts"]["rows"])
    assert counts == {"empty": 0, **dict.fromkeys(ODD, 1)}
    out = tmp_path / "bundle"
    settings = ["num_train_epochs=1", "task.long_text=truncate"]
    trained = hone("finetune", file, *settings, "--out", out, "--task", task, "--base", tiny_base, "--json")
    assert trained.code == 0, trained.err
    assert hone("verify", out).code == 0


def predicted(hone: Hone, bundle: Path, file: Path) -> list[Any]:
    ended = hone("predict", bundle, file)
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_every_odd_text_gets_a_label(tmp_path: Path, text_bundle: Path, hone: Hone) -> None:
    file = tmp_path / "odd.jsonl"
    file.write_bytes(jsonl(*({"text": text} for text in [*ODD.values(), "", "\x00", "\u200b"])))
    answers = predicted(hone, text_bundle, file)
    assert len(answers) == len(ODD) + 3
    for answer in answers:
        assert answer["score"] == answer["scores"][answer["label"]] == max(answer["scores"].values())
        assert sum(answer["scores"].values()) == pytest.approx(1)
    assert [answer["truncated"] for answer in answers] == [*(kind == "over_1_mb" for kind in ODD), False, False, False]


@pytest.fixture(scope="module")
def cutting_bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger that cuts long texts."""
    folder = tmp_path_factory.mktemp("cutting")
    rows = [WORDS, {"tokens": ["No", "Ada"], "tags": ["O", "B-PER"]}] * 8
    (folder / "train.jsonl").write_bytes(jsonl(*rows))
    arguments = ["finetune", folder / "train.jsonl", "--out", folder / "bundle", "--task", TAGS, "--base", tiny_base]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "task.long_text=truncate", "num_train_epochs=1", "--validation", "none"])
    assert ended.value.code == 0
    return folder / "bundle"


def test_every_odd_text_gets_entities(tmp_path: Path, cutting_bundle: Path, hone: Hone) -> None:
    file = tmp_path / "odd.jsonl"
    given = [*ODD.values(), "", "\x00", "\u200b"]
    file.write_bytes(jsonl(*({"text": text} for text in given)))
    answers = predicted(hone, cutting_bundle, file)
    assert [answer["truncated"] for answer in answers] == [*(kind == "over_1_mb" for kind in ODD), False, False, False]
    for text, answer in zip(given, answers, strict=True):
        for entity in answer["entities"]:
            assert entity["text"] == text[entity["start"] : entity["end"]] != ""


def test_every_odd_token_gets_a_tag(tmp_path: Path, cutting_bundle: Path, hone: Hone) -> None:
    file = tmp_path / "odd.jsonl"
    rows = [*odd_rows(TAGS), {"tokens": ["\u200b", "", "\x00", " "]}]
    file.write_bytes(jsonl(*({"tokens": row["tokens"]} for row in rows)))
    answers = predicted(hone, cutting_bundle, file)
    assert [len(answer["tags"]) for answer in answers] == [len(row["tokens"]) for row in rows]
    assert [answer["truncated"] for answer in answers] == [False] * (len(ODD) - 1) + [True, False]


# Memory, in a process of its own: its high-water mark after each file in turn.

MEASURED = """
import json, resource, sys
from hone.cli.main import main

def predict(file):
    try:
        main(["predict", sys.argv[1], file, "--out", file + ".out"])
    except SystemExit as ended:
        assert ended.code == 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)

print(json.dumps([predict(file) for file in sys.argv[2:]]))
"""


def peaks_mb(bundle: Path, *files: Path) -> list[float]:
    """Most memory the process had held after predicting each file in turn."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(bundle), *map(str, files)], capture_output=True, text=True, check=True
    )
    peaks: list[float] = json.loads(done.stdout)
    return peaks


def answers_of(file: Path) -> list[Any]:
    return [json.loads(line) for line in Path(f"{file}.out").read_text(encoding="utf-8").splitlines()]


def numbered(file: Path, count: int) -> Path:
    texts = ["i want my money back", "forgot my password", "the screen is broken"]
    file.write_bytes(jsonl(*({"text": texts[i % 3]} for i in range(count))))
    return file


def test_a_long_file_is_answered_in_order_in_the_memory_of_a_short_one_and_a_long_text_in_little_more(
    tmp_path: Path, text_bundle: Path
) -> None:
    short, long = numbered(tmp_path / "short.jsonl", 5_000), numbered(tmp_path / "long.jsonl", 20_001)
    words, word = tmp_path / "words.jsonl", tmp_path / "word.jsonl"
    words.write_bytes(jsonl({"text": ODD["over_1_mb"]}))
    word.write_bytes(jsonl({"text": "a" * LONG_BYTES}))
    after_short, after_long, after_words, after_word = peaks_mb(text_bundle, short, long, words, word)
    assert after_long - after_short < 40  # the long file is 15 thousand rows, and their answers 3 MB, longer
    assert after_words - after_long < 60
    assert after_word - after_long < 500  # one word: it has no part that is a beginning
    answers = answers_of(long)
    assert len(answers) == 20_001
    assert [answer["label"] for answer in answers] == ["refund", "password", "broken"] * 6_667
    assert [answer["truncated"] for answer in answers_of(words)] == [True]


def test_a_tagger_reads_five_megabytes_through_windows_in_bounded_memory(tmp_path: Path, tag_bundle: Path) -> None:
    short, long = tmp_path / "short.jsonl", tmp_path / "long.jsonl"
    names = {"text": "Ada is in paris . " * 50}
    short.write_bytes(jsonl(names))
    long.write_bytes(jsonl({"text": " ".join([*LONG_WORDS, "Ada", "is", "in", "paris", "."])}, names))
    after_short, after_long = peaks_mb(tag_bundle, short, long)
    assert after_long - after_short < 200
    first, second = answers_of(long)
    assert [first["truncated"], second["truncated"]] == [False, False]
    alone = answers_of(short)[0]
    assert [each["text"] for each in second["entities"]] == [each["text"] for each in alone["entities"]]
    assert first["entities"][-1]["end"] > LONG_BYTES - 300
