"""How many tokens a second do several clients get that ask one service's predictor at a time, each for one text after
another?

python benchmarks/generation/clients.py --clients 1 4 16
A random GPT-2, prompts of unlike lengths, texts of one length. ``together``: the clients share a loop, as in hone's
service; ``alone``: each has a loop to itself, in a thread of its own. One process, in alternation; all texts are
compared. The result goes to benchmarks/generation/clients.json: tokens a second of all clients (median), the ratio, and
the milliseconds that a client waits for a text.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from machine import machine  # noqa: E402
from speed import VOCABULARY, models  # noqa: E402

from hone.models.writers.make import writer_of  # noqa: E402
from hone.predict.generation.generate import TOKENS_AT_ONCE, generate  # noqa: E402
from hone.predict.generation.together import Together  # noqa: E402
from hone.predict.generation.written import Vocabulary  # noqa: E402
from hone.tasks.decoding import DecodingSettings  # noqa: E402

WORDS = Vocabulary(eos_token_ids=())
Prompts = list[list[int]]
Write = Callable[[Prompts], list[list[int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--texts", type=int, default=4, help="of each client, one after another")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    torch.set_num_threads(threads)
    writer, settings = writer_of(models()["gpt2"]), DecodingSettings(max_new_tokens=given.tokens)
    shared = Together(lambda: writer, threads=lambda: threads, room=lambda least: nullcontext(TOKENS_AT_ONCE))
    ways: dict[str, Write] = {
        "together": lambda prompts: [list(t[0].ids) for t in shared.write(prompts, settings, vocabulary=WORDS)],
        "alone": lambda prompts: [list(t[0].ids) for t in generate(writer, prompts, settings, vocabulary=WORDS)],
    }
    rows = []
    for clients in given.clients:
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        asked = prompts_of(clients, texts=given.texts)
        for repeat in range(given.repeats + 1):
            texts = {}
            for name, write in ways.items():
                taken, texts[name] = timed(write, asked)
                if repeat:  # the first is the warm-up
                    seconds[name].append(taken)
            if texts["together"] != texts["alone"]:
                raise RuntimeError("the texts are not the same")
        median = {name: statistics.median(some) for name, some in seconds.items()}
        ratio = statistics.median(a / t for a, t in zip(seconds["alone"], seconds["together"], strict=True))
        row = {"clients": clients, "ratio": round(ratio, 3)}
        for name, taken in median.items():
            row[f"{name}_tokens_per_s"] = round(clients * given.texts * given.tokens / taken)
            row[f"{name}_ms_a_text"] = round(1000 * taken / given.texts)
        rows.append(row)
        print(row, flush=True)
    told = {key: value for key, value in vars(given).items() if key != "clients"}
    (HERE / "clients.json").write_text(
        json.dumps({**told, "threads": threads, "rows": rows, "machine": machine()}, indent=1) + "\n"
    )


def prompts_of(clients: int, *, texts: int) -> list[Prompts]:
    """What each client asks."""
    noise = torch.Generator().manual_seed(7)

    def prompt() -> list[int]:
        length = int(torch.randint(8, 48, (1,), generator=noise))
        return torch.randint(3, VOCABULARY, (length,), generator=noise).tolist()

    return [[prompt() for _ in range(texts)] for _ in range(clients)]


def timed(write: Write, asked: list[Prompts]) -> tuple[float, list[list[list[int]]]]:
    """Seconds until every client has its texts, and these."""
    found: list[list[list[int]]] = [[] for _ in asked]

    def client(number: int) -> None:
        for prompt in asked[number]:
            found[number] += write([prompt])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(len(asked))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began, found


if __name__ == "__main__":
    main()
