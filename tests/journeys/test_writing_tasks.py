"""Tasks that write, through every stage: a base from nothing, finetune, evaluate, predict, serve."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import hone
from hone.predict.predictor import load
from hone.report.catalog import CATALOGS
from hone.serve.app import make_app

WORDS = {"one": "eins", "dog": "Hund", "cat": "Katze", "runs": "rennt"}
SMALL = {"layers": 1, "hidden": 64, "heads": 2, "inner": 64, "max_length": 48, "dropout": 0.0}


def rows(task: str) -> list[dict[str, Any]]:
    """16 rows in which every word has one that is written for it, in the same order."""
    names = list(WORDS)
    pairs = [(f"{a} {b}", f"{WORDS[a]} {WORDS[b]}") for a in names for b in names]
    if task == "text-generation":
        return [{"prompt": one, "text": f" = {other}"} for one, other in pairs]
    return [{"source": one, "target": other} for one, other in pairs]


def write(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    return path


def recipe(folder: Path, task: str, made: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    data = str(write(folder / "rows.jsonl", made))
    return {
        "version": 1,
        "task": {"name": task, "decoding": {"max_new_tokens": 12}},
        "base": {"architecture": "gpt2" if task == "text-generation" else "bart", **SMALL},
        "data": {"train": data, "validation": data, "test": data},
        "stages": [
            {
                "kind": "finetune",
                "num_train_epochs": 60,
                "per_device_train_batch_size": 4,
                "learning_rate": 3e-3,
                "eval_strategy": "steps",
                "eval_steps": 60,
                "save_steps": None,
                **more,
            },
            "evaluate",
        ],
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each task's run came to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HONE_CACHE", str(tmp_path_factory.mktemp("writing-cache")))
        return {
            task: hone.run(recipe(folder := tmp_path_factory.mktemp(task), task, rows(task)), out=folder / "run")
            for task in ("translation", "text-generation")
        }


def value(result: Any, name: str) -> float:
    found = next(m.value for m in result.reports["evaluate"].measures if m.name == name)
    assert found is not None
    return float(found)


def test_a_translation_learns_and_its_bundle_writes_what_it_learned(made: dict[str, Any]) -> None:
    result = made["translation"]
    assert value(result, "exact_match") > 0.9
    assert value(result, "perplexity") < 1.5
    answers = load(result.bundle.path).predict([{"source": "one dog"}, {"source": "cat cat"}])
    assert [answer["text"] for answer in answers] == ["eins Hund", "Katze Katze"]
    assert {answer["ended"] for answer in answers} == {"stop"}


def test_what_comes_after_a_prompt_is_learned_alone(made: dict[str, Any]) -> None:
    result = made["text-generation"]
    assert value(result, "exact_match") > 0.9
    assert load(result.bundle.path).predict("one cat")[0]["text"] == " = eins Katze"


def test_validation_is_watched_by_perplexity_and_writes_nothing(made: dict[str, Any]) -> None:
    measure = made["translation"].reports["finetune"].measures[0]
    assert (measure.name, measure.better) == ("perplexity", "lower")


def test_every_word_of_the_reports_is_in_the_catalogs(made: dict[str, Any]) -> None:
    for result in made.values():
        report = result.reports["evaluate"]
        words = [measure.name for measure in report.measures]
        words += [name for name, grid in report.tables.items() if grid.rows]
        words += [column for grid in report.tables.values() if grid.rows for column in grid.columns]
        assert [word for word in words if word not in CATALOGS["zh"]] == []


def test_it_is_served(made: dict[str, Any]) -> None:
    with TestClient(make_app(load(made["translation"].bundle.path))) as client:
        answer = client.post("/predict", json={"inputs": ["one dog"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0]["text"] == "eins Hund"


def test_several_texts_of_a_prompt_come_best_first(made: dict[str, Any]) -> None:
    predictor = load(made["translation"].bundle.path)
    answer = predictor.decoding(num_beams=3, num_return_sequences=3).predict([{"source": "dog runs"}])[0]
    scores = [one["score"] for one in answer["texts"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert answer["text"] == answer["texts"][0]["text"] == "Hund rennt"
    assert "texts" not in predictor.predict([{"source": "dog runs"}])[0]  # the bundle's own stay


def test_a_text_comes_in_pieces_and_then_as_predict_answers_it(made: dict[str, Any]) -> None:
    predictor = load(made["translation"].bundle.path)
    stream = predictor.write("dog runs")
    assert "".join(stream) == "Hund rennt"  # written meanwhile: in one piece for who asks late
    assert [stream.prediction] == predictor.predict("dog runs")


def test_a_stream_that_is_closed_ends_without_an_answer(made: dict[str, Any]) -> None:
    stream = load(made["translation"].bundle.path).write("dog runs")
    assert next(stream) in ("Hund", "Hund rennt")
    stream.close()
    assert list(stream) == []
    assert stream.prediction is None


def test_the_command_takes_settings_of_decoding(
    made: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    bundle, data = made["translation"].bundle.path, write(tmp_path / "rows.jsonl", [{"source": "dog runs"}])
    code, out, err = command(
        "predict", bundle, data, "--decoding", "max_new_tokens=2", "--decoding", "min_new_tokens=2"
    )
    assert code == 0, err
    assert [json.loads(out)] == load(bundle).decoding(max_new_tokens=2, min_new_tokens=2).predict("dog runs")
    code, _, err = command("predict", bundle, data, "--decoding", "num_beam=2")
    assert code == 2
    assert "Did you mean 'num_beams'?" in err


def test_what_is_written_keeps_to_a_constraint(made: dict[str, Any]) -> None:
    predictor = load(made["translation"].bundle.path).decoding(regex="(Katze|Hund)( [a-z]+)?", num_beams=2)
    answers = predictor.predict(["one dog", "dog runs"])
    assert [answer["satisfied"] for answer in answers] == [True, True]
    assert answers[1]["text"] == "Hund rennt"
    assert answers[0]["text"].startswith(("Katze", "Hund"))


def refused(values: dict[str, Any], folder: Path, command: Callable[..., tuple[object, str, str]]) -> str:
    """What is said of a recipe that cannot be used."""
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(values), encoding="utf-8")
    code, _, said = command("run", file, "--out", folder / "out")
    assert code == 2
    return said


def test_a_constraint_that_cannot_be_read_is_a_fault_of_the_recipe(
    tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    values = recipe(tmp_path, "translation", rows("translation"))
    values["task"]["decoding"] = {"json_schema": {"type": "integr"}, "regex": "(a"}
    said = refused(values, tmp_path, command)
    assert "task.decoding.json_schema" in said
    assert "task.decoding.regex" in said
    assert "unclosed group" in said


def test_a_bundle_is_measured_with_other_settings_of_decoding(
    made: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    bundle, data = made["translation"].bundle.path, write(tmp_path / "rows.jsonl", rows("translation")[:4])
    asked = ("--decoding", "bad_words=[Hund]", "--decoding", "max_new_tokens=6")
    code, out, err = command("evaluate", bundle, data, "--json", *asked)
    assert code == 0, err
    found = {measure["name"]: measure for measure in json.loads(out)["measures"]}
    assert found["satisfied"]["value"] == 1.0
    assert found["exact_match"]["value"] < 1.0
    code, _, err = command("evaluate", bundle, data, "--decoding", "num_beam=2")
    assert code == 2
    assert "decoding.num_beam: found" in err


def test_settings_of_decoding_that_cannot_be_used_are_named(made: dict[str, Any]) -> None:
    predictor = load(made["translation"].bundle.path)
    with pytest.raises(hone.RecipeError, match="num_beam'"):
        predictor.decoding(num_beam=3)
    with pytest.raises(hone.RecipeError, match="top_p"):
        predictor.decoding(top_p=0.5)


@pytest.mark.parametrize(
    ("row", "task", "field"),
    [
        ({"source": "one", "target": "  "}, "translation", "target"),
        ({"source": "one", "target": "eins " * 60}, "translation", "target"),
        ({"text": ""}, "text-generation", "text"),
        ({"prompt": "one", "text": " eins" * 60}, "text-generation", "text: found"),
    ],
)
def test_what_cannot_be_learned_names_file_line_and_field(
    row: dict[str, Any], task: str, field: str, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    kept = [{name: one[name] for name in row} for one in rows(task)]
    values = recipe(tmp_path, task, [*kept, row])
    said = refused(values, tmp_path, command)
    assert f"rows.jsonl:{len(kept) + 1}" in said
    assert field in said


def test_how_many_texts_are_too_long_is_told_before_training(
    tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    long = [{"source": f"one {i}", "target": "eins " * 60} for i in range(4)]
    values = recipe(tmp_path, "translation", [*rows("translation"), *long])
    said = refused(values, tmp_path, command)
    assert "longer than allowed, and long_target is 'refuse': 4 of 20 (20.0%)" in said
    assert "rows.jsonl:20: target: found" in said
    assert "finetune" not in said


def test_what_is_cut_is_told_before_training_and_in_the_reports(
    tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    long = [{"source": f"one {i}", "target": "eins " * 60} for i in range(4)]
    values = recipe(tmp_path, "translation", [*rows("translation"), *long], max_steps=1, eval_strategy="no",
                    num_train_epochs=1, eval_steps=None, keep="last")  # fmt: skip
    values["task"]["long_target"] = "truncate"
    values["stages"].pop()
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps({"name": "cut", **values}), encoding="utf-8")
    code, out, said = command("run", file, "--out", tmp_path / "out", "--json")
    assert code == 0, said
    sentence = "20.0% of the texts to write of train (4) are cut"
    assert sentence in said
    for stage in ("inspect", "finetune"):
        assert any(sentence in one for one in json.loads(out)["reports"][stage]["warnings"])


@pytest.mark.parametrize(("split", "more"), [("test", {}), ("validation", {"metric_for_best_model": "chrf"})])
def test_words_that_greedy_search_cannot_keep_are_told_before_training(
    split: str, more: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    values = recipe(tmp_path, "translation", rows("translation"), **more)
    asked = [*rows("translation"), {"source": "one", "target": "eins", "required_words": ["eins"]}]
    values["data"][split] = str(write(tmp_path / "asked.jsonl", asked))
    said = refused(values, tmp_path, command)
    assert "asked.jsonl:17: required_words: found required_words beside the decoding" in said
    assert "finetune" not in said


def test_what_measures_texts_is_missed_before_training(
    tmp_path: Path, command: Callable[..., tuple[object, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    said = refused(recipe(tmp_path, "summarization", rows("translation")), tmp_path, command)
    assert "pip install 'hone[bleu]'" in said
    assert "finetune" not in said


def test_a_base_that_reads_does_not_write(
    tiny_base: Path, tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    values = {**recipe(tmp_path, "translation", rows("translation")), "base": str(tiny_base)}
    said = refused(values, tmp_path, command)
    assert "encoder-decoder" in said


def test_an_adapter_merges_into_what_it_was_tuned_on(
    made: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    values = recipe(tmp_path, "translation", rows("translation"), method="lora", num_train_epochs=1, eval_strategy="no",
                    eval_steps=None)  # fmt: skip
    del values["data"]["validation"]
    values["data"]["validation"] = "none"
    tuned = hone.run({**values, "base": str(made["translation"].bundle.path)}, out=tmp_path / "lora")
    code, out, err = command("merge", tuned.bundle.path, "--out", tmp_path / "merged", "--json")
    assert code == 0, err
    told = {measure["name"]: measure["value"] for measure in json.loads(out)["measures"]}
    assert told["max_logit_difference"] < 1e-4
    answers = [load(path).predict([{"source": "one dog"}])[0] for path in (tuned.bundle.path, tmp_path / "merged")]
    assert answers[0]["text"] == answers[1]["text"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"method": "head"}, "nothing would learn"), ({"class_weights": "balanced"}, "takes no weights of labels")],
)
def test_what_teaches_nothing_is_refused(
    settings: dict[str, Any], said: str, made: dict[str, Any], tmp_path: Path,
    command: Callable[..., tuple[object, str, str]],
) -> None:  # fmt: skip
    values = recipe(tmp_path, "translation", rows("translation"), **settings)
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps({**values, "base": str(made["translation"].bundle.path)}), encoding="utf-8")
    code, _, err = command("run", file, "--out", tmp_path / "out")
    assert code == 2
    assert said in err


def test_it_is_compressed_by_what_goes_with_writing(
    made: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    data = write(tmp_path / "rows.jsonl", rows("translation"))
    given = ["compress", made["translation"].bundle.path, data, "--validation", data, "--out", tmp_path / "c", "--json"]
    code, out, err = command(*given, "--method", "int8")
    assert code == 0, err
    told = {measure["name"]: measure["value"] for measure in json.loads(out)["measures"]}
    assert told["agreement"] > 0.8
    assert load(tmp_path / "c").predict([{"source": "one dog"}])[0]["text"] == "eins Hund"
    code, _, err = command(*given, "--method", "prune")
    assert code == 2
    assert "int8" in err


def test_a_line_of_plain_text_is_a_source(
    made: dict[str, Any], tmp_path: Path, command: Callable[..., tuple[object, str, str]]
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("one dog\ncat runs\n", encoding="utf-8")
    code, out, _ = command("predict", made["translation"].bundle.path, lines)
    assert code == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["eins Hund", "Katze rennt"]
