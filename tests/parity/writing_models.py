"""Random models that write, their weights wide enough that texts do not fall into one token, and random prompts."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers

VOCABULARY, EOS, PAD = 60, 2, 1
ALL_EOS = (EOS, 5, 13, 14, 30)
EMBEDDED = (VOCABULARY, 70, 72)  # rows of the tables of embeddings; BART adds 2 to its positions
ENDS = {"eos_token_id": EOS, "pad_token_id": PAD, "bos_token_id": 0}


def model_of(family: str) -> Any:
    """A model of one of ``FAMILIES``, ``KIN``, ``WINDOWED`` or ``UNPLACED``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = (FAMILIES | KIN | WINDOWED | UNPLACED)[family]().eval()
        model.lm_head = torch.nn.Linear(32, VOCABULARY, bias=False)  # with their embeddings, tokens would repeat
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                wide = 0.4 if "encoder_attn.out" in name or "EncDecAttention.o" in name else 2.2  # of sources
                torch.nn.init.normal_(weight, std=1.0 if len(weight) in EMBEDDED else wide * weight.shape[1] ** -0.5)
        return model


def _gpt2() -> Any:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 70}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCABULARY, **sizes, **ENDS))


def _llama(kind: str = "Llama", **more: Any) -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY, intermediate_size=64, max_position_embeddings=70, **sizes, **more, **ENDS
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def _bart(kind: str = "Bart") -> Any:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in SIDE.items()}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=VOCABULARY, d_model=32, max_position_embeddings=70, decoder_start_token_id=EOS,
        forced_eos_token_id=None, scale_embedding=kind != "Bart", activation_function=ACTS.get(kind, "gelu"), **sides,
        **ENDS,
    )  # fmt: skip
    return getattr(transformers, NAMES.get(kind, f"{kind}ForConditionalGeneration"))(config)


NAMES = {"Marian": "MarianMTModel"}
ACTS = {"Marian": "swish", "Pegasus": "relu"}
SIDE = {"layers": 2, "attention_heads": 4, "ffn_dim": 64}


def _t5(gated: bool = False) -> Any:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=PAD,
        feed_forward_proj="gated-gelu" if gated else "relu", **ENDS,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config)


def _bloom() -> Any:
    sizes = {"hidden_size": 32, "n_layer": 2, "n_head": 4}
    return transformers.BloomForCausalLM(transformers.BloomConfig(vocab_size=VOCABULARY, **sizes, **ENDS))


def _mpt() -> Any:
    sizes = {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 70}
    return transformers.MptForCausalLM(transformers.MptConfig(vocab_size=VOCABULARY, **sizes, **ENDS))


STRETCHED = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 16}
FAMILIES = {"gpt2": _gpt2, "llama": _llama, "bart": _bart, "t5": _t5}
KIN = {
    "mbart": partial(_bart, "MBart"),
    "marian": partial(_bart, "Marian"),
    "pegasus": partial(_bart, "Pegasus"),
    "gated t5": partial(_t5, True),
    "mistral": partial(_llama, "Mistral", sliding_window=None, head_dim=12),
    "qwen2": partial(_llama, "Qwen2"),
    "llama of stretched angles": partial(_llama, rope_parameters=STRETCHED),
}  # laid out as one of the families
WINDOWED = {
    "windowed mistral": partial(_llama, "Mistral", sliding_window=5),
    "windowed qwen2": partial(_llama, "Qwen2", use_sliding_window=True, sliding_window=5, max_window_layers=1),
}
UNPLACED = {"bloom": _bloom, "mpt": _mpt}  # they are not told where tokens stand


def prompts_of(count: int, *, seed: int = 0, longest: int = 12) -> list[list[int]]:
    """Prompts of unlike lengths without special tokens."""
    noise = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (count,), generator=noise).tolist()
    return [torch.randint(3, VOCABULARY, (length,), generator=noise).tolist() for length in lengths]


def theirs(model: Any, prompt: list[int], **options: Any) -> list[tuple[list[int], float | None]]:
    """What transformers writes for a prompt: its sequences without prompt, start, padding and end, and their scores."""
    given = torch.tensor([prompt])
    found = model.generate(
        input_ids=given,
        attention_mask=torch.ones_like(given),
        return_dict_in_generate=True,
        output_scores=True,
        **{"top_k": None, "eos_token_id": list(ALL_EOS), **options},
    )
    skipped = 1 if model.config.is_encoder_decoder else len(prompt)
    scores = found.sequences_scores.tolist() if "sequences_scores" in found else [None] * len(found.sequences)
    rows = [row[skipped:] for row in found.sequences.tolist()]
    ends = [next((i for i, token in enumerate(row) if token in ALL_EOS), len(row)) for row in rows]
    return [(row[:end], score) for row, end, score in zip(rows, ends, scores, strict=True)]
