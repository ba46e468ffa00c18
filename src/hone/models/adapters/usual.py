"""Which layers a method tunes where a recipe names none: those that peft has for the type of base, as a test holds
them to, and their like of two types that peft does not know."""

from __future__ import annotations

QUERIES_AND_VALUES = ["query", "value"]
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
}
SCALED = ["key", "value", "output.dense"]
IA3_TARGETS = {"bert": SCALED, "roberta": SCALED, "xlm-roberta": SCALED, "camembert": SCALED}
IA3_INNER = {kind: ["output.dense"] for kind in IA3_TARGETS}
