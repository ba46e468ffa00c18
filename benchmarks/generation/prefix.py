"""What does it save to read once what prompts begin with alike?

python benchmarks/generation/prefix.py
A random GPT-2, 32 prompts that begin with the same tokens and have some of their own, greedy texts of one length; with
`PrefixWriter` and without in alternation, one thread, by the process's own time. ``batch``: all at once; ``one``: one
after another, as a service is asked. The texts are checked to be the same.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from machine import machine  # noqa: E402

from hone.models.writers.make import writer_of  # noqa: E402
from hone.models.writers.prefix import PrefixWriter  # noqa: E402
from hone.predict.generation.generate import generate  # noqa: E402
from hone.predict.generation.written import Vocabulary  # noqa: E402
from hone.tasks.decoding import DecodingSettings  # noqa: E402

PROMPTS, OWN, WRITTEN, VOCABULARY, REPEATS = 32, 20, 16, 8000, 5
WORDS = Vocabulary(())


def model() -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=256, n_layer=4, n_head=8, n_positions=1024)
    made = transformers.GPT2LMHeadModel(config).eval()
    for name, weight in made.named_parameters():
        if weight.ndim == 2 and "wte" not in name:
            torch.nn.init.normal_(weight, std=2 * weight.shape[0] ** -0.5)  # texts that do not repeat one token
    return made


def timed(writer: Any, prompts: list[list[int]], *, way: str) -> tuple[float, list[tuple[int, ...]]]:
    settings = DecodingSettings(max_new_tokens=WRITTEN)
    parts = [prompts] if way == "batch" else [[prompt] for prompt in prompts]
    began = time.process_time()
    found = [text[0].ids for part in parts for text in generate(writer, part, settings, vocabulary=WORDS)]
    return time.process_time() - began, found


def main() -> None:
    torch.set_num_threads(1)
    plain, numbers = writer_of(model()), torch.Generator().manual_seed(1)
    result: dict[str, Any] = {"machine": machine(), "prompts": PROMPTS, "own_tokens": OWN, "written": WRITTEN}
    for shared in (64, 256):
        for way in ("batch", "one"):
            ratios, same = [], []
            for _ in range(REPEATS):
                begin = torch.randint(3, VOCABULARY, (shared,), generator=numbers).tolist()
                ends = torch.randint(3, VOCABULARY, (PROMPTS, OWN), generator=numbers).tolist()
                prompts = [begin + end for end in ends]
                without, expected = timed(plain, prompts, way=way)
                took, found = timed(PrefixWriter(plain), prompts, way=way)
                ratios.append(round(without / took, 2))
                same.append(sum(a == b for a, b in zip(found, expected, strict=True)) / PROMPTS)
            told = {"times_as_fast": statistics.median(ratios), "each": ratios, "same_texts": min(same)}
            result[f"{shared} shared, {way}"] = told
            print(shared, way, told, file=sys.stderr, flush=True)
    (HERE / "prefix.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
