"""Does a bundle write what plain transformers writes from its weights? And does a text depend on those beside it?

python benchmarks/generation/same.py BUNDLE FILE [--inputs 200] [--beams 5] [--most 80]
The folder of a bundle is loaded by transformers as any model is; both write the texts of the first rows of FILE
(jsonl), one by one, greedily and with beams, and every token is compared. Then 32 rows of unlike lengths are written
one at a time and all at once, in alternation: their texts are compared, and tokens a second. The result goes to
benchmarks/generation/same.json, under the bundle's task.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import transformers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine  # noqa: E402

import hone  # noqa: E402
from hone.predict.engine import WritingEngine  # noqa: E402
from hone.predict.generation.generate import generate  # noqa: E402
from hone.predict.predictor import Predictor  # noqa: E402
from hone.predict.writing import vocabulary_of  # noqa: E402
from hone.tasks.decoding import DecodingSettings  # noqa: E402
from hone.tasks.protocol import Writing  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402

BATCH = 32
Ids = list[list[int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--inputs", type=int, default=200)
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--most", type=int, default=80, help="max_new_tokens")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    predictor = hone.load(given.bundle, device="cpu")
    prompts = prompts_of(predictor, given.file, count=given.inputs)
    found: dict[str, Any] = {"bundle": predictor.bundle.digest, "inputs": len(prompts)}
    for name, beams in {"greedy": 1, f"beam {given.beams}": given.beams}.items():
        settings = DecodingSettings(num_beams=beams, max_new_tokens=given.most)
        found[name] = compared(
            ours(predictor, prompts, settings),
            theirs(given.bundle, prompts, settings, endings=cast(Writing, predictor.task).endings),
        )
        print(name, found[name], flush=True)
    greedy = DecodingSettings(max_new_tokens=given.most)
    found["batch"] = beside_one_another(predictor, prompts[:BATCH], greedy, repeats=given.repeats)
    print("batch", found["batch"], flush=True)
    file = HERE / "same.json"
    before = json.loads(file.read_text()) if file.is_file() else {}
    record = {**before, predictor.task.name: {**found, "threads": given.threads, "machine": machine()}}
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def prompts_of(predictor: Predictor, file: Path, *, count: int) -> Ids:
    """Token ids of the first inputs of a file."""
    with file.open(encoding="utf-8") as lines:
        read = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    task = predictor.task
    columns = {field.name: [row[field.name] for row in read] for field in task.inputs}
    return [prompt for (prompt,) in cast(Writing, task).prompts(Rows(task.encode(columns, purpose="predict")))]


def ours(predictor: Predictor, prompts: Ids, settings: DecodingSettings) -> Ids:
    """The best text's tokens for each prompt, all prompts at once."""
    writer, vocabulary = cast(WritingEngine, predictor.engine).writer, vocabulary_of(cast(Writing, predictor.task))
    return [list(each[0].ids) for each in generate(writer, prompts, settings, vocabulary=vocabulary)]


def theirs(bundle: Path, prompts: Ids, settings: DecodingSettings, *, endings: Sequence[int]) -> Ids:
    """What transformers writes, prompt by prompt: the tokens after the prompt, or after the decoder's first, without
    the one that ends them."""
    config = transformers.AutoConfig.from_pretrained(bundle)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model: Any = kind.from_pretrained(bundle).eval()
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            (row,) = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                num_beams=settings.num_beams,
                max_new_tokens=settings.max_new_tokens,
                do_sample=False,
            ).tolist()
        written = row[1 if config.is_encoder_decoder else len(prompt) :]
        found.append(written[:-1] if written[-1] in endings else written)
    return found


def compared(mine: Ids, other: Ids) -> dict[str, Any]:
    """How many texts are the same token for token, and the first that is not."""
    unlike = [i for i, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b]
    return {"same": len(mine) - len(unlike), "of": len(mine), "first_unlike": unlike[:1]}


def beside_one_another(
    predictor: Predictor, prompts: Ids, settings: DecodingSettings, *, repeats: int
) -> dict[str, Any]:
    """The same prompts one at a time and all at once, in alternation."""
    alone, together, seconds = [], [], dict[str, list[float]](alone=[], together=[])
    for _ in range(repeats + 1):  # the first warms up
        began = time.perf_counter()
        alone = [ours(predictor, [prompt], settings)[0] for prompt in prompts]
        between = time.perf_counter()
        together = ours(predictor, prompts, settings)
        seconds["alone"].append(between - began)
        seconds["together"].append(time.perf_counter() - between)
    tokens = sum(map(len, together))
    middle = {name: statistics.median(each[1:]) for name, each in seconds.items()}
    return {
        **compared(alone, together),
        "source_tokens": [min(map(len, prompts)), max(map(len, prompts))],
        "written_tokens": [min(map(len, together)), max(map(len, together))],
        "tokens_per_second": {name: round(tokens / each, 1) for name, each in middle.items()},
        "ratio": round(middle["alone"] / middle["together"], 2),
    }


if __name__ == "__main__":
    main()
