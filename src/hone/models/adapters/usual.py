"""Which layers a method tunes where a recipe names none: those that peft has for the type of base, as a test holds
them to, and their like of types that peft does not know."""

from __future__ import annotations

QUERIES_AND_VALUES = ["query", "value"]
ENCODERS = ("bert", "roberta", "xlm-roberta", "camembert")
LLAMAS = ("gemma", "gemma2", "llama", "mistral", "qwen2", "qwen3")
LIKE_BART = ("mbart", "marian", "pegasus", "m2m_100")  # whose layers have BART's names
LORA_TARGETS = {
    "bert": QUERIES_AND_VALUES,
    "roberta": QUERIES_AND_VALUES,
    "xlm-roberta": QUERIES_AND_VALUES,
    "camembert": QUERIES_AND_VALUES,
    "distilbert": ["q_lin", "v_lin"],
    "electra": QUERIES_AND_VALUES,
    "layoutlm": QUERIES_AND_VALUES,
    "deberta": ["in_proj"],
    "deberta-v2": ["query_proj", "value_proj"],
    "bart": ["q_proj", "v_proj"],
    "t5": ["q", "v"],
    "mt5": ["q", "v"],
    "gpt2": ["c_attn"],
    "gpt_neo": ["q_proj", "v_proj"],
    "gpt_neox": ["query_key_value"],
    "opt": ["q_proj", "v_proj"],
    "bloom": ["query_key_value"],
    **{kind: ["q_proj", "v_proj"] for kind in (*LLAMAS, *LIKE_BART)},
}
SCALED = ["key", "value", "output.dense"]
IA3_TARGETS = {
    **dict.fromkeys(ENCODERS, SCALED),
    "gpt2": ["c_attn", "mlp.c_proj"],
    "t5": ["k", "v", "wo"],
    "opt": ["q_proj", "k_proj", "fc2"],
    **{kind: ["q_proj", "v_proj", "fc2"] for kind in ("bart", *LIKE_BART)},
    **{kind: ["k_proj" if kind in ("llama", "mistral") else "q_proj", "v_proj", "down_proj"] for kind in LLAMAS},
}
IA3_INNER = {
    **{kind: ["output.dense"] for kind in ENCODERS},
    "gpt2": ["mlp.c_proj"],
    "t5": ["wo"],
    "opt": ["fc2"],
    **{kind: ["fc2"] for kind in ("bart", *LIKE_BART)},
    **{kind: ["down_proj"] for kind in LLAMAS},
}
