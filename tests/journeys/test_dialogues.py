"""Conversations through every stage: a base from nothing, finetune, evaluate, predict, serve."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import hone
from hone.cli.chat import Chat
from hone.predict.conversation import Conversation
from hone.predict.predictor import load
from hone.report.catalog import CATALOGS
from hone.serve.app import make_app

ANSWERS = {"red": "rot", "blue": "blau", "green": "grün"}
SMALL = {"layers": 1, "hidden": 64, "heads": 2, "inner": 64, "max_length": 48, "dropout": 0.0}
Command = Callable[..., tuple[object, str, str]]


def talks() -> list[dict[str, Any]]:
    """Nine conversations in the roles of MultiWOZ, with two questions each."""
    return [
        {"turns": [{"role": role, "text": text} for word in (a, b) for role, text in
                   (("user", word), ("system", ANSWERS[word]))]}
        for a in ANSWERS for b in ANSWERS
    ]  # fmt: skip


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("dialogue")
    data = str(write(folder / "rows.jsonl", talks()))
    stage = {"kind": "finetune", "num_train_epochs": 60, "per_device_train_batch_size": 4, "learning_rate": 3e-3,
             "eval_strategy": "no", "save_steps": None}  # fmt: skip
    recipe = {
        "version": 1,
        "task": {"name": "dialogue", "decoding": {"max_new_tokens": 8}},
        "base": {"architecture": "gpt2", **SMALL},
        "data": {"train": data, "validation": "none", "test": data},
        "stages": ["inspect", stage, "evaluate"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HONE_CACHE", str(tmp_path_factory.mktemp("dialogue-cache")))
        return hone.run(recipe, out=folder / "run")


def test_every_answer_of_a_conversation_is_learned_and_measured(result: Any) -> None:
    measures = {measure.name: measure.value for measure in result.reports["evaluate"].measures}
    assert measures["exact_match"] > 0.9
    assert measures["perplexity"] < 1.5
    assert result.reports["inspect"].tables["turns"].rows[0] == ["train", 9, 18, 4, 4, 0]


def test_answers_have_a_bleu_with_its_signature(result: Any) -> None:
    report = result.reports["evaluate"]
    measures = {measure.name: measure for measure in report.measures}
    assert measures["bleu"].value is not None  # of single words, which have no two in a row
    assert measures["chrf"].value > 90
    assert [row[0] for row in report.tables["signatures"].rows] == ["BLEU", "chrF"]


def test_every_word_of_its_reports_is_in_the_catalogs(result: Any) -> None:
    for report in result.reports.values():
        words = [measure.name for measure in report.measures]
        words += [name for name, grid in report.tables.items() if grid.rows]
        words += [column for grid in report.tables.values() if grid.rows for column in grid.columns]
        assert [word for word in words if word not in {*CATALOGS["zh"], "train", "test"}] == []


def test_the_next_answer_is_predicted_under_either_name(result: Any) -> None:
    predictor = load(result.bundle.path)
    turns = [{"role": "usr", "text": "red"}, {"role": "sys", "text": "rot"}, {"role": "usr", "text": "green"}]
    messages = [{"role": "user", "content": "blue"}]
    assert predictor.predict({"turns": turns})[0]["text"] == "grün"
    assert predictor.predict([{"messages": messages}])[0]["text"] == "blau"
    assert "".join(predictor.write({"messages": messages})) == "blau"


def test_it_is_served(result: Any) -> None:
    with TestClient(make_app(load(result.bundle.path))) as client:
        for name, key in (("turns", "text"), ("messages", "content")):
            answer = client.post("/predict", json={"inputs": {name: [{"role": "user", key: "red"}]}})
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"][0]["text"] == "rot"
        refused = client.post("/predict", json={"inputs": {"turns": [{"role": "assitant", "text": "a"}]}})
    assert refused.status_code == 422
    assert "Did you mean 'assistant'?" in refused.json()["message"]


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([("user", "red"), ("assitant", "rot")], "Did you mean 'assistant'?"),
        ([("system", "a"), ("system", "b"), ("user", "red"), ("assistant", "rot")], "two system texts"),
        ([("user", "red"), ("system", "a"), ("assistant", "rot")], "a system text at turn 2"),
        ([("user", "red"), ("assistant", " ")], "an empty text at turn 2"),
        ([("user", "red")], "no answer"),
        ([("user", "red"), ("assistant", "rot " * 60)], "answer 1, of "),
    ],
)
def test_what_cannot_be_learned_names_its_line(
    turns: list[tuple[str, str]], said: str, result: Any, tmp_path: Path, command: Command
) -> None:
    row = {"turns": [{"role": role, "text": text} for role, text in turns]}
    file = write(tmp_path / "rows.jsonl", [*talks(), row])
    code, _, err = command("inspect", file, "--task", "dialogue", "--base", result.bundle.path)
    assert code == 2
    assert "rows.jsonl:10: turns: found" in err
    assert said in err


def test_nothing_is_to_be_answered_after_an_answer(result: Any, tmp_path: Path, command: Command) -> None:
    code, _, err = command("predict", result.bundle.path, write(tmp_path / "rows.jsonl", talks()))
    assert code == 2
    assert "rows.jsonl:1: turns: found a last turn of the assistant" in err


def test_pairs_of_answers_are_measured(result: Any, tmp_path: Path, command: Command) -> None:
    wrong = dict(zip(ANSWERS, [*ANSWERS.values()][1:] + [*ANSWERS.values()][:1], strict=True))
    rows = [{"turns": [{"role": "user", "text": word}], "chosen": ANSWERS[word], "rejected": wrong[word]}
            for word in ANSWERS]  # fmt: skip
    code, out, err = command("evaluate", result.bundle.path, write(tmp_path / "pairs.jsonl", rows), "--json")
    assert code == 0, err
    assert {one["name"]: one["value"] for one in json.loads(out)["measures"]}["likelihood_accuracy"] == 1.0
    said = {name: write(tmp_path / f"{name}.jsonl", [{
        name: [{"role": "user", "content": row["turns"][0]["text"]}],
        "chosen": [{"role": "assistant", "content": row["chosen"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    } for row in rows]) for name in ("prompt", "messages")}  # fmt: skip
    for file in said.values():  # as TRL has them
        assert (
            json.loads(command("evaluate", result.bundle.path, file, "--json")[1])["measures"]
            == json.loads(out)["measures"]
        )


def test_it_learns_from_what_its_answers_are_worth(
    result: Any, text_bundle: Path, tmp_path: Path, command: Command
) -> None:
    asked = [{"messages": [{"role": "user", "content": word}]} for word in ANSWERS]
    given = ["reinforce", result.bundle.path, write(tmp_path / "rows.jsonl", asked), "--reward", text_bundle,
             "--label", "refund", "samples=2", "max_steps=1"]  # fmt: skip
    code, out, err = command(*given, "--out", tmp_path / "b", "--json")
    assert code == 0, err
    assert json.loads(out)["facts"]["rows"] == 3
    write(tmp_path / "rows.jsonl", [*asked, {"messages": [{"role": "user", "content": "red " * 60}]}])
    code, _, err = command(*given, "--out", tmp_path / "c")
    assert code == 2
    assert "rows.jsonl:4: messages" in err


class Terminal(io.StringIO):
    """Typed lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def chat(result: Any, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``hone chat`` on lines, from a pipe or typed."""

    def call(lines: str, *options: object, typed: bool = False) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.stdin", Terminal(lines) if typed else io.StringIO(lines))
        return command("chat", result.bundle.path, *options)

    return call


def test_lines_are_answered_with_nothing_else_on_standard_output(chat: Command) -> None:
    assert chat("red\n\ngreen\n") == (0, "rot\n\ngrün\n", "")  # a blank answer to a blank line
    assert chat("red\n/exit\ngreen\n") == (0, "rot\n", "")


def test_each_answer_is_an_object_where_json_is_asked_for(chat: Command) -> None:
    _, out, _ = chat("red\nblue\n", "--json", "--decoding", "max_new_tokens=8")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["rot", "blau"]


def test_a_conversation_is_saved_as_a_row_to_learn_from(chat: Command, tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    code, _, err = chat(f"red\n/system short\nblue\n/save {file}\n/reset\n/system\n")
    assert code == 0
    assert err.splitlines()[-1] == "short"  # it outlives what was said
    said = json.loads(file.read_text(encoding="utf-8"))["messages"]
    assert [turn["text"] for turn in said][:2] == ["short", "blue"]
    assert [turn["role"] for turn in said] == ["system", "user", "assistant"]
    assert chat(f"/save {file}\n")[0] == 2  # it is there already


def test_a_file_that_cannot_be_written_ends_no_conversation(
    chat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, err = chat("red\n/save ~/notes/talk.jsonl\n/save ~/talk.jsonl\nblue\n", typed=True)
    assert code == 0
    assert "found ~/notes/talk.jsonl, which cannot be written: " in err
    assert "blau" in out
    assert "rot" in (tmp_path / "talk.jsonl").read_text(encoding="utf-8")
    code, out, err = chat(f"red\n/save {tmp_path}/notes/talk.jsonl\nblue\n")
    assert (code, out) == (2, "rot\n")
    assert "standard input:2: found " in err


def test_turns_that_no_longer_fit_are_told_once(chat: Command) -> None:
    _, out, err = chat("red\n" * 9)
    assert len(out.splitlines()) == 9
    assert err.count("The oldest turns no longer fit") == 1


def test_it_speaks_chinese(chat: Command) -> None:
    _, out, err = chat("/help\nred\n/system\n", "--language", "zh", typed=True)
    assert "忘记之前的对话" in err
    assert err.splitlines()[-1] == "没有系统文本。"
    assert "rot" in out
    assert chat("red\n", "--language", "de")[0] == 2


def test_an_unknown_command_ends_a_pipe_and_is_told_on_a_terminal(chat: Command) -> None:
    code, _, err = chat("red\n/rest\nred\n")
    assert code == 2
    assert "standard input:2: found the unknown command /rest" in err
    assert "Did you mean '/reset'?" in err
    code, out, err = chat("/rest\nred\n", typed=True)
    assert code == 0
    assert "Did you mean '/reset'?" in err
    assert "rot" in out


def test_an_interrupt_ends_an_answer_and_not_the_conversation(
    result: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(Conversation):
        def ask(self, text: str) -> Iterator[str]:
            pieces = super().ask(text)
            if text == "red":
                yield next(pieces)
                raise KeyboardInterrupt
            yield from pieces

    talk = Interrupted(load(result.bundle.path))
    monkeypatch.setattr("sys.stdin", Terminal("red\nblue\n"))
    Chat(talk, seen=True, as_json=False).run()
    assert "Stopped; the question is forgotten." in capsys.readouterr().err
    assert [turn["text"] for turn in talk.turns] == ["blue", "blau"]


def test_bytes_that_are_no_text_are_told_with_their_line(
    result: Any, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red\n\xff\n"), encoding="utf-8"))
    code, out, err = command("chat", result.bundle.path)
    assert (code, out) == (2, "rot\n")
    assert "standard input:2: found bytes that are not UTF-8" in err


def test_other_bundles_take_part_in_no_conversation(text_bundle: Path, command: Command) -> None:
    code, _, err = command("chat", text_bundle)
    assert code == 2
    assert "takes part in no conversation" in err
