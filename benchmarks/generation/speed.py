"""How many tokens a second are written, beside transformers' ``generate`` and pipeline with the same weights?

python benchmarks/generation/speed.py --repeats 7
Random models of a few layers, prompts of unlike lengths, texts of one length (no token ends them, so that all systems
write the same tokens: that is checked, but for ties that rounding decides). One process, in alternation. ``one``: one
prompt after another; ``batch``: all of them at once, transformers' padded. Its text-generation pipeline stands beside
it for GPT-2 and Llama, which it has a pipeline for; ``ratio`` is to the quicker of both. --families measures some;
the others stay as the file has them, where that was measured likewise on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from machine import begun, machine  # noqa: E402

from hone.models.writers.cached import CausalWriter, SourceWriter  # noqa: E402
from hone.models.writers.make import writer_of  # noqa: E402
from hone.predict.generation.generate import generate  # noqa: E402
from hone.predict.generation.written import Vocabulary  # noqa: E402
from hone.tasks.decoding import DecodingSettings  # noqa: E402

LAYERS, WIDTH, HEADS, VOCABULARY, PAD = 3, 256, 8, 8000, 1
BATCH, ONES = 32, 4  # prompts of the batch, and of those that are written one by one
Ids = list[list[int]]
Work = Callable[[Ids], Ids]


def models() -> dict[str, Any]:
    ends = {"pad_token_id": PAD, "bos_token_id": 0, "eos_token_id": 2}
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": LAYERS, "attention_heads": HEADS, "ffn_dim": 4 * WIDTH}.items()
    }
    gpt2 = transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, **ends)
    bart = transformers.BartConfig(
        vocab_size=VOCABULARY, d_model=WIDTH, decoder_start_token_id=2, forced_eos_token_id=None, **sides, **ends
    )
    t5 = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=4 * WIDTH, num_layers=LAYERS, num_heads=HEADS,
        decoder_start_token_id=PAD, **ends,
    )  # fmt: skip
    llama = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS // 4, **ends,
    )  # fmt: skip
    torch.manual_seed(0)
    made = {
        "gpt2": transformers.GPT2LMHeadModel(gpt2),
        "bart": transformers.BartForConditionalGeneration(bart),
        "t5": transformers.T5ForConditionalGeneration(t5),
        "llama": transformers.LlamaForCausalLM(llama),  # the last, so that the others are what they were without it
    }
    for model in made.values():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and not any(table in name for table in ("shared", "wte", "embed_tokens")):
                torch.nn.init.normal_(weight, std=2 * weight.shape[0] ** -0.5)  # texts that do not repeat one token
        model.generation_config.eos_token_id = None
    return {name: model.eval() for name, model in made.items()}


def theirs(model: Any, *, beams: int, tokens: int) -> Work:
    left = not model.config.is_encoder_decoder  # what is continued has its padding before it

    def work(prompts: Ids) -> Ids:
        longest = max(map(len, prompts))
        pads = [[PAD] * (longest - len(prompt)) for prompt in prompts]
        rows = [pad + prompt if left else prompt + pad for prompt, pad in zip(prompts, pads, strict=True)]
        real = [[0] * len(pad) + [1] * len(prompt) for prompt, pad in zip(prompts, pads, strict=True)]
        mask = torch.tensor(real if left else [row[::-1] for row in real])
        found = model.generate(
            torch.tensor(rows), attention_mask=mask, num_beams=beams, max_new_tokens=tokens, do_sample=False
        )
        return found[:, -tokens:].tolist()

    return work


def pipeline(model: Any, *, beams: int, tokens: int) -> Work:
    """The text-generation pipeline, of texts whose words are the ids of their tokens."""
    words = Tokenizer(WordLevel({f"<{i}>": i for i in range(VOCABULARY)}))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token=f"<{PAD}>", padding_side="left")
    writes = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer, device="cpu")

    def work(prompts: Ids) -> Ids:
        texts = [" ".join(f"<{i}>" for i in prompt) for prompt in prompts]
        found = writes(
            texts, batch_size=len(texts), return_tensors=True, num_beams=beams, max_new_tokens=tokens, do_sample=False
        )
        return [each[0]["generated_token_ids"][-tokens:] for each in found]

    return work


def ours(writer: Any, *, beams: int, tokens: int) -> Work:
    settings = DecodingSettings(max_new_tokens=tokens, num_beams=beams)

    def work(prompts: Ids) -> Ids:
        found = generate(writer, prompts, settings, vocabulary=Vocabulary(eos_token_ids=()))
        return [list(texts[0].ids) for texts in found]

    return work


def timed(systems: dict[str, Work], calls: list[Ids], *, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for repeat in range(repeats):
        for name in systems if repeat % 2 == 0 else reversed(list(systems)):
            began = time.perf_counter()
            for prompts in calls:
                systems[name](prompts)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def measured(model: Any, calls: list[Ids], *, beams: int, tokens: int, repeats: int) -> dict[str, Any]:
    plain = SourceWriter(model) if model.config.is_encoder_decoder else CausalWriter(model)
    systems = {
        "hone": ours(writer_of(model), beams=beams, tokens=tokens),
        "hone_plain": ours(plain, beams=beams, tokens=tokens),
        "transformers": theirs(model, beams=beams, tokens=tokens),
    }
    if not model.config.is_encoder_decoder:
        systems["pipeline"] = pipeline(model, beams=beams, tokens=tokens)
    texts = {name: [row for prompts in calls for row in work(prompts)] for name, work in systems.items()}
    alike = sum(a == b for a, b in zip(texts["hone"], texts["transformers"], strict=True)) / len(texts["hone"])
    seconds = timed(systems, calls, repeats=repeats)
    count = tokens * sum(map(len, calls))
    speeds = {name: round(count / statistics.median(each), 1) for name, each in seconds.items()}
    spread = {name: [round(count / max(each), 1), round(count / min(each), 1)] for name, each in seconds.items()}
    peers = [seconds[name] for name in ("transformers", "pipeline") if name in seconds]
    ratio = min(statistics.median(b / a for a, b in zip(seconds["hone"], peer, strict=True)) for peer in peers)
    return {"tokens_per_second": speeds, "from_to": spread, "ratio": round(ratio, 2), "same_texts": alike}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--families", nargs="+", default=["gpt2", "bart", "t5", "llama"])
    parser.add_argument("--out", type=Path, default=HERE / "speed.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    noise = torch.Generator().manual_seed(1)
    lengths = torch.randint(8, 33, (BATCH,), generator=noise).tolist()
    prompts = [torch.randint(3, VOCABULARY, (length,), generator=noise).tolist() for length in lengths]
    shape = {"layers": LAYERS, "width": WIDTH, "vocabulary": VOCABULARY, "prompts": BATCH, "new_tokens": given.tokens}
    told = {"machine": machine(), "threads": given.threads, "repeats": given.repeats, "shape": shape}
    result = begun(given.out, told)
    found = result.setdefault("found", {})
    for family, model in models().items():
        if family not in given.families:
            continue
        for beams in (1, 4):
            for name, calls in {"one": [[prompt] for prompt in prompts[:ONES]], "batch": [prompts]}.items():
                what = f"{family}, {'greedy' if beams == 1 else 'beam 4'}, {name}"
                found[what] = measured(model, calls, beams=beams, tokens=given.tokens, repeats=given.repeats)
                print(what, found[what], flush=True)
        given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
