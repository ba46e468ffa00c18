"""The shipped fakes: random two-layer models with a small vocabulary, written to a folder in a blink.

Every unit test uses them in place of a download; so can yours. ``hone.models.tiny.write_tiny_base(folder)``, or for
tasks that write ``write_tiny_writer(folder)``, and then ``base: folder`` in a recipe.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Literal

import torch

from hone.core.settings import check_settings
from hone.models.architectures import ARCHITECTURES, NewBase
from hone.models.new_base import new_model
from hone.models.quiet import quiet_loading

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "the",
    "a",
    "an",
    "i",
    "my",
    "is",
    "it",
    "not",
    "to",
    "for",
    "and",
    "you",
    "of",
    "in",
    "on",
    "with",
    "this",
    "that",
    "please",
    "help",
    "can",
    "cannot",
    "order",
    "refund",
    "card",
    "password",
    "account",
    "reset",
    "late",
    "broken",
    "thanks",
    "where",
    "when",
    "how",
    "what",
    "good",
    "bad",
    "great",
    "love",
    "hate",
    "need",
    "want",
    "new",
    "old",
    "work",
    "does",
    "did",
    "was",
    "are",
    "be",
    "me",
    "we",
    "they",
    "screen",
    "laptop",
    "phone",
    "printer",
    "email",
    "bank",
    "money",
    "time",
    "day",
]
HANZI = "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天"


def write_tiny_base(folder: Path, *, seed: int = 0, width: int = 32, layers: int = 2, positions: int = 64) -> Path:
    """Write a random BERT base (uncased, about 30 thousand parameters at the default width) and return ``folder``.

    Args:
        folder: Made if missing.
        seed: Of the weights; torch's global generator is left as it was.
        width: Of the hidden states, a multiple of 4.
        layers: Number of transformer layers.
        positions: Most tokens a row may have.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    vocabulary = [*SPECIAL, *characters, *(f"##{c}" for c in characters), *sorted(set(WORDS) - {*characters}), *HANZI]
    ids = {token: i for i, token in enumerate(vocabulary)}
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=positions,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],  # as a BERT tokenizer has them
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=positions,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        BertModel(config, add_pooling_layer=True).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def write_tiny_writer(
    folder: Path,
    *,
    kind: Literal["bart", "gpt2", "rnn-seq2seq", "t5"] = "bart",
    seed: int = 0,
    width: int = 32,
    layers: int = 2,
    positions: int = 64,
) -> Path:
    """Write a random model that writes, with a byte-level tokenizer of some 560 tokens learned from `WORDS` and
    `HANZI`, and return ``folder``. Its weights are drawn wider than training would start from, for else it would write
    one token again and again.

    Args:
        folder: Made if missing.
        kind: Its architecture, a name of `hone.models.architectures.ARCHITECTURES`.
        seed, width, layers, positions: As of `write_tiny_base`; ``layers`` of encoder and decoder each.
    """
    sizes = {"hidden": width, "layers": layers, "max_length": positions}
    sizes |= {"embedding": width} if kind == "rnn-seq2seq" else {"inner": 2 * width}
    settings, faults = check_settings(ARCHITECTURES[kind].settings, sizes)
    if settings is None:
        raise ValueError(f"no such sizes: {faults}")
    texts = [" ".join(WORDS), HANZI]
    model, tokenizer = new_model(NewBase(kind, settings), [*texts, *texts], seed=seed)
    draw = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=2.0 if "positions" in name else 0.25, generator=draw)
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_loading():
        model.save_pretrained(folder)
        tokenizer.save(folder)
    return folder
