"""Texts that go by what their rows say: attributes and keywords that are learned, words that the search keeps."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import hone
from hone.core.errors import DataError, RecipeError
from hone.predict.conversation import Conversation
from hone.predict.predictor import load
from hone.serve.app import make_app

TEXTS = [
    ("refund", "order", "please refund my order"),
    ("refund", "money", "i want my money back"),
    ("password", "reset", "reset the password please"),
    ("password", "forgot", "forgot my password"),
    ("broken", "screen", "the screen is broken"),
    ("broken", "laptop", "my laptop is broken"),
]
ROWS = [{"topic": topic, "about": [word], "text": text} for topic, word, text in TEXTS]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of texts with an attribute and keywords before them."""
    folder = tmp_path_factory.mktemp("controlled")
    data = str(written(folder / "rows.jsonl", ROWS))
    recipe = {
        "version": 1,
        "task": {"name": "text-generation", "attributes": ["topic"], "keywords": "about",
                 "decoding": {"max_new_tokens": 20}},
        "base": {"architecture": "gpt2", "layers": 1, "hidden": 64, "heads": 2, "inner": 64, "max_length": 96,
                 "dropout": 0.0},
        "data": {"train": data, "validation": "none", "test": data},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 80, "learning_rate": 3e-3, "per_device_train_batch_size": 6,
             "save_steps": None},
            {"kind": "evaluate", "bootstrap_resamples": 100},
        ],
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HONE_CACHE", str(tmp_path_factory.mktemp("controlled-cache")))
        return hone.run(recipe, out=folder / "run")


def asked(topic: str, word: str) -> dict[str, Any]:
    return {"topic": topic, "about": [word]}


def test_a_text_goes_by_its_attribute_and_its_keywords(made: Any) -> None:
    found = load(made.bundle.path).predict([asked(topic, word) for topic, word, _ in TEXTS])
    assert [one["text"] for one in found] == [text for *_, text in TEXTS]


def test_texts_that_hold_their_keywords_are_counted(made: Any) -> None:
    found = {measure.name: measure.value for measure in made.reports["evaluate"].measures}
    assert (found["keywords_held"], found["keyword_recall"]) == (1.0, 1.0)


def test_an_attribute_is_told_by_another_bundle(
    made: Any, text_bundle: Path, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data = written(tmp_path / "rows.jsonl", ROWS)
    code, out, said = command("evaluate", str(made.bundle.path), str(data), f"judge={text_bundle}", "--json")
    assert code == 0, said
    report = json.loads(out)
    judge = load(text_bundle)
    right = [judge.predict(text)[0]["label"] == topic for topic, _, text in TEXTS]
    measure = next(one for one in report["measures"] if one["name"] == "attribute_accuracy")
    assert measure["value"] == pytest.approx(sum(right) / 6)
    assert [row[0] for row in report["tables"]["attribute_by_value"]["rows"]] == ["broken", "password", "refund"]


def test_two_bundles_are_compared_by_a_judge(
    made: Any, text_bundle: Path, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data, bundle = written(tmp_path / "rows.jsonl", ROWS), str(made.bundle.path)
    code, out, said = command("compare", bundle, bundle, str(data), f"judge={text_bundle}", "--json")
    assert code == 0, said
    report = json.loads(out)
    (row,) = [row for row in report["tables"]["compared"]["rows"] if row[0] == "attribute_accuracy"]
    assert row[1] == row[2]
    assert row[3:5] == [0.0, 1.0]
    assert [row[0] for row in report["tables"]["signatures"]["rows"]] == ["BLEU", "chrF"]


def test_a_judge_has_to_know_the_values(
    made: Any, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data = written(tmp_path / "rows.jsonl", ROWS)
    code, _, said = command("evaluate", str(made.bundle.path), str(data), f"judge={made.bundle.path}")
    assert code == 2
    assert "a judgment by a bundle of text-generation" in said


def test_a_value_that_was_not_learned_is_told_with_its_line(
    made: Any, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data = written(tmp_path / "rows.jsonl", [asked("refund", "order"), asked("refunds", "order")])
    code, _, said = command("predict", str(made.bundle.path), str(data))
    assert code == 2
    assert f"{data}:2: topic: found the unknown topic 'refunds'" in said
    assert "Did you mean 'refund'?" in said


def test_a_request_says_what_the_text_is_like(made: Any) -> None:
    with TestClient(make_app(load(made.bundle.path))) as client:
        good = client.post("/predict", json={"inputs": asked("broken", "laptop")})
        odd = client.post("/predict", json={"inputs": asked("brokn", "laptop")})
        lacking = client.post("/predict", json={"inputs": "a text"})
    assert good.json()["predictions"][0]["text"] == "my laptop is broken"
    assert (odd.status_code, odd.json()["code"]) == (422, "data.attribute")
    assert lacking.status_code == 422


def test_rows_have_words_of_their_own(
    made: Any, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    wanted = [{**asked("broken", "laptop"), "required_words": ["money"]}, {**asked("broken", "laptop")},
              {**asked("broken", "laptop"), "bad_words": ["laptop"]}]  # fmt: skip
    predictor = load(made.bundle.path).decoding(num_beams=4)
    one, usual, other = predictor.predict(wanted)
    assert "money" in one["text"].split()
    assert one["satisfied"] is True
    assert usual["text"] == "my laptop is broken"
    assert "satisfied" not in usual
    assert "laptop" not in other["text"]
    assert predictor.predict(wanted[2]) == [other]  # alone as beside others


def test_words_of_rows_are_measured(made: Any, tmp_path: Path, command: Callable[..., tuple[object, str, str]]) -> None:
    rows = [{**row, "required_words": ["my"]} for row in ROWS]
    data = written(tmp_path / "rows.jsonl", rows)
    code, out, said = command("evaluate", str(made.bundle.path), str(data), "--decoding", "num_beams=3", "--json")
    assert code == 0, said
    found = next(one for one in json.loads(out)["measures"] if one["name"] == "satisfied")
    assert (found["value"], found["n"]) == (1.0, 6)


def test_words_that_a_search_cannot_keep_are_told_with_their_line(
    made: Any, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data = written(tmp_path / "rows.jsonl", [{**row, "required_words": ["my"]} for row in ROWS])
    for name in ("predict", "evaluate"):
        code, _, said = command(name, str(made.bundle.path), str(data))
        assert code == 2
        assert f"{data}:1: required_words: found required_words beside the decoding" in said


def test_words_that_the_base_cannot_write_are_told_before_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONE_CACHE", str(tmp_path / "cache"))
    rows = [{"prompt": "my", "text": " laptop"}] * 4
    train = written(tmp_path / "train.jsonl", rows)
    odd = "cafe\u0301"  # its last letter in two parts, which the tokenizer puts together
    test = written(tmp_path / "test.jsonl", [{**rows[0], "bad_words": ["now"]}, {**rows[1], "required_words": [odd]}])
    values: dict[str, Any] = {
        "version": 1, "task": {"name": "text-generation", "decoding": {"num_beams": 2}},
        "base": {"architecture": "gpt2", "layers": 1, "hidden": 16, "heads": 2, "inner": 16, "max_length": 32},
        "data": {"train": str(train), "validation": "none", "test": str(test)},
    }  # fmt: skip
    for decoding, at in (({}, (str(test), 2, "required_words")), ({"required_words": [odd]}, "stages.1.decoding")):
        stages = [{"kind": "finetune", "max_steps": 1}, {"kind": "evaluate", "decoding": decoding}]
        with pytest.raises(RecipeError) as caught:
            hone.run({**values, "stages": stages}, out=tmp_path / "run")
        (fault,) = caught.value.faults
        assert fault.code == "decoding.required-word"
        assert at in ((fault.file, fault.line, fault.field), fault.field)


def test_a_conversation_has_its_attributes(made: Any) -> None:
    predictor = load(made.bundle.path)
    talk = Conversation(predictor, controls={"topic": "password", "about": "reset"})
    assert "".join(talk.ask("please"))
    assert asked("password", "reset").items() <= json.loads(talk.row()).items()  # else it is no row to learn from
    with pytest.raises(RecipeError, match="Did you mean 'password'"):
        talk.control({"topic": "passwrd"})
    with pytest.raises(RecipeError, match="about: found nothing"):
        Conversation(predictor, controls={"topic": "password"})


def test_chat_goes_by_what_it_is_told_until_it_is_told_otherwise(
    made: Any, command: Callable[..., tuple[object, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def chat(lines: str, *controls: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        return command("chat", made.bundle.path, "--json", *(part for one in controls for part in ("--control", one)))

    lines = "please\n/control\n/control topic=broken\nplease\n/control about=my|laptop\n/control\nplease\n"
    code, out, said = chat(lines, "topic=refund", "about=order")
    assert code == 0, said
    told = [("refund", ["order"]), ("broken", ["order"]), ("broken", ["my", "laptop"])]
    rows = [{"prompt": "please", "topic": topic, "about": words} for topic, words in told]
    expected = [load(made.bundle.path).predict(row)[0]["text"] for row in rows]
    assert [json.loads(line)["text"] for line in out.splitlines()] == expected
    assert len({*expected}) > 1
    assert "topic=refund\nabout=order\n" in said
    assert "topic=broken\nabout=my|laptop\n" in said
    for controls, found in (
        (["topic=refund"], "about: found nothing"),
        (["topic=refnd", "about=order"], "Did you mean 'refund'?"),
        (["topic=refund", "about=order", "tone=good"], "unknown field 'tone'"),
        (["topic", "about=order"], "KEY=VALUE"),
        (["topic=refund", "topic=broken", "about=order"], "two values for --control 'topic'"),
    ):
        code, out, said = chat("please\n", *controls)
        assert (code, out) == (2, "")
        assert found in said


def test_a_text_to_learn_has_the_room_beside_its_attributes(made: Any) -> None:
    task: Any = copy.copy(load(made.bundle.path).task)
    task.settings = task.settings.model_copy(update={"long_target": "truncate"})
    long = {**{name: [value] for name, value in asked("refund", "order").items()}, "text": ["my order please " * 60]}
    rows = task.encode(long, purpose="learn")
    read, learned = (len(rows.column(name)[0]) for name in ("input_ids", "target_ids"))
    assert learned > 1
    assert read + learned == task.max_tokens


def test_keywords_that_fill_a_row_are_the_error(made: Any) -> None:
    task = load(made.bundle.path).task
    with pytest.raises(DataError, match="never left out"):
        task.encode({"topic": ["refund"], "about": [["order"] * 99], "text": ["my order"]}, purpose="learn")


def test_a_prompt_among_inputs_without_one_is_not_dropped(made: Any) -> None:
    with pytest.raises(DataError, match="in row 2, and others have more"):
        load(made.bundle.path).predict([{**asked("refund", "order"), "prompt": "please"}, asked("broken", "laptop")])


def test_of_pairs_there_is_nothing_to_judge(
    made: Any, text_bundle: Path, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    rows = [{**asked("refund", "order"), "prompt": "please", "chosen": " refund my order", "rejected": " reset it"}]
    code, _, said = command(
        "evaluate", str(made.bundle.path), str(written(tmp_path / "pairs.jsonl", rows)), f"judge={text_bundle}"
    )
    assert code == 2
    assert "has pairs of texts, nothing is written" in said


def test_rows_without_words_do_not_make_an_interval_narrower(made: Any) -> None:
    task: Any = load(made.bundle.path).task
    assert task.measuring(["text", "required_words"]).measure_specs["satisfied"].interval == "bootstrap"
    assert task.measure_specs["keywords_held"].interval == "bootstrap"
    assert task.measuring(["messages"]).measure_specs["exact_match"].interval == "bootstrap"
    assert task.measuring(["text"]).measure_specs["exact_match"].interval == "wilson"


def test_a_text_alone_is_no_input(made: Any) -> None:
    with pytest.raises(DataError, match="topic and about"):
        load(made.bundle.path).predict("a text")
