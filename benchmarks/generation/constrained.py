"""Does a JSON schema hold of everything that a small model writes, and what does it cost?

HONE_DATA=... python benchmarks/generation/constrained.py
A GPT-2 of two layers learns from nothing, for a few minutes, to write a JSON record of a bank's customer's question
(its intent and its length, Banking77): too little for it to write only valid records. Then it writes 200 records of
test questions, with the schema and without, greedily and by draws, and validates them with the package ``jsonschema``.
Speed: tokens a second of the process's own time, one thread, the same prompts with and without in alternation. The
model takes little, so what the constraint takes weighs as much as it ever does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from machine import machine  # noqa: E402

import hone  # noqa: E402

PROMPTS, LEARNED = 200, 3000
SEARCHES: dict[str, dict[str, Any]] = {"greedy": {}, "sample": {"do_sample": True, "temperature": 1.3, "seed": 1}}


def questions(name: str) -> list[tuple[str, str]]:
    with (Path(os.environ["HONE_DATA"]) / "intent" / "banking77" / f"{name}.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [(row["text"].replace("\n", " "), row["label"]) for row in rows]


def record(text: str, intent: str) -> str:
    return " " + json.dumps({"intent": intent, "words": len(text.split()), "asks": text.endswith("?")})


def schema_of(intents: Sequence[str]) -> dict[str, Any]:
    kinds = {"intent": {"enum": sorted(set(intents))}, "words": {"type": "integer", "minimum": 1, "maximum": 500},
             "asks": {"type": "boolean"}}  # fmt: skip
    return {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}


def trained(folder: Path, rows: Sequence[tuple[str, str]], *, steps: int) -> Any:
    data = folder / "train.jsonl"
    lines = [json.dumps({"prompt": f"{text}\n", "text": record(text, intent)}) for text, intent in rows]
    data.write_text("\n".join(lines), encoding="utf-8")
    base = {"architecture": "gpt2", "layers": 2, "hidden": 128, "heads": 4, "inner": 256, "max_length": 192}
    stage = {"kind": "finetune", "max_steps": steps, "learning_rate": 2e-3, "per_device_train_batch_size": 32,
             "save_steps": None}  # fmt: skip
    recipe = {"version": 1, "task": {"name": "text-generation", "max_length": 192}, "base": base,
              "data": {"train": str(data), "validation": "none"}, "stages": [stage]}  # fmt: skip
    return hone.load(hone.run(recipe, out=folder / "run").bundle.path)


def is_valid(text: str, schema: dict[str, Any]) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True


def measured(predictor: Any, prompts: list[str], schema: dict[str, Any], *, repeats: int) -> dict[str, Any]:
    ways = {"free": predictor, "constrained": predictor.decoding(json_schema=schema)}
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, dict[str, Any]] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.process_time()
            answers = way.predict(prompts)
            tokens = sum(answer["tokens"] for answer in answers)
            speeds[name].append(tokens / (time.process_time() - began))
            valid = sum(is_valid(answer["text"], schema) for answer in answers)
            found[name] = {"valid": valid / len(prompts), "tokens": tokens, "example": answers[0]["text"]}
            if name == "constrained":
                found[name]["satisfied"] = sum(answer["satisfied"] for answer in answers) / len(prompts)
    ratios = [one / other for one, other in zip(speeds["constrained"], speeds["free"], strict=True)]
    for name, each in speeds.items():
        found[name]["tokens_per_s"] = round(statistics.median(each))
    return {
        **found,
        "speed_ratio": {"median": round(statistics.median(ratios), 3), "each": [round(r, 3) for r in ratios]},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows, tested = questions("train"), questions("test")
    schema = schema_of([intent for _, intent in rows])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HONE_CACHE"] = str(Path(folder) / "cache")
        predictor = trained(Path(folder), rows[:: len(rows) // LEARNED], steps=asked.steps).decoding(max_new_tokens=60)
        prompts = [f"{text}\n" for text, _ in tested[:: len(tested) // PROMPTS][:PROMPTS]]
        one = {"batch": prompts, "one": prompts[:20]}
        result: dict[str, Any] = {"machine": machine(), "steps": asked.steps, "prompts": len(prompts), "searches": {}}
        for name, settings in SEARCHES.items():
            own = predictor.decoding(**settings)
            result["searches"][name] = measured(own, one["batch"], schema, repeats=asked.repeats)
            print(name, json.dumps(result["searches"][name], ensure_ascii=False), file=sys.stderr, flush=True)
        for way in ("free", "constrained"):
            chosen = predictor if way == "free" else predictor.decoding(json_schema=schema)
            began = time.process_time()
            tokens = sum(chosen.predict([prompt])[0]["tokens"] for prompt in one["one"])
            result.setdefault("one_at_a_time_tokens_per_s", {})[way] = round(tokens / (time.process_time() - began))
    (HERE / "constrained.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
