"""What does it save to keep what was written for the next request of a conversation?

python benchmarks/generation/conversation.py
A random GPT-2, a conversation of several turns, each of which comes after all that was said before; greedy texts of
one length, in alternation on one thread, by the process's own time. ``nothing``: everything is read each time;
``prompts``: what was read of prompts is kept; ``all``: what was written, too. The texts are checked to be the same.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from machine import machine  # noqa: E402
from prefix import VOCABULARY, WORDS, model  # noqa: E402

from hone.models.writers.make import writer_of  # noqa: E402
from hone.models.writers.prefix import PrefixWriter  # noqa: E402
from hone.predict.generation.generate import generate  # noqa: E402
from hone.tasks.decoding import DecodingSettings  # noqa: E402

TURNS, ASKED, REPEATS = 8, 20, 5


class OfPrompts(PrefixWriter):
    """Keeps nothing of what is written."""

    def step(self, state: Any, tokens: torch.Tensor) -> torch.Tensor:
        return self._writer.step(state, tokens)


def conversation(writer: Any, asked: list[list[int]], *, written: int) -> tuple[float, list[int]]:
    settings = DecodingSettings(max_new_tokens=written)
    said: list[int] = []
    began = time.process_time()
    for words in asked:
        said += words
        said += generate(writer, [said], settings, vocabulary=WORDS)[0][0].ids
    return time.process_time() - began, said


def main() -> None:
    torch.set_num_threads(1)
    plain, numbers = writer_of(model()), torch.Generator().manual_seed(1)
    kinds = {"nothing": lambda: plain, "prompts": lambda: OfPrompts(plain), "all": lambda: PrefixWriter(plain)}
    result: dict[str, Any] = {"machine": machine(), "turns": TURNS, "asked": ASKED}
    for written in (16, 80):
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(REPEATS):
            asked = torch.randint(3, VOCABULARY, (TURNS, ASKED), generator=numbers).tolist()
            texts = []
            for name, make in kinds.items():
                took, said = conversation(make(), asked, written=written)
                seconds[name].append(took)
                texts.append(said)
            assert texts[0] == texts[1] == texts[2]
        told = {
            name: [round(a / b, 2) for a, b in zip(seconds[name], seconds["all"], strict=True)]
            for name in ("nothing", "prompts")
        }
        medians = {name: statistics.median(each) for name, each in told.items()}
        result[f"{written} written"] = {"all_is_times_as_fast_as": medians, "each": told}
        print(written, medians, told, file=sys.stderr, flush=True)
    (HERE / "conversation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
