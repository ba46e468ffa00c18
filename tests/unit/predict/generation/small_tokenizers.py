"""Small tokenizers of each kind, with a token ``</s>`` that ends texts."""

from __future__ import annotations

import string

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from hone.models.spellings import spellings_of
from hone.predict.generation.written import Vocabulary

TEXTS = [
    'a name, a "city" and {"age": 31, "tags": ["x", "y"]} of true or false words in 2024-11-27',
    "naïve café: 2.5 €, 机器 学习 the cat sat on the mat, catalog",
]
END = "</s>"
CHARACTERS = [*string.ascii_letters, *string.digits, *'{}[]":,.-_ ']


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=[END], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    pieces = [*CHARACTERS[:-1], *(f"##{c}" for c in CHARACTERS[:-1]), "cat", "##alog", "name", "true"]
    names = {name: i for i, name in enumerate(["[UNK]", END, *pieces])}
    tokenizer = Tokenizer(models.WordPiece(names, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("[UNK]", END)])
    return tokenizer


def metaspace() -> Tokenizer:
    pieces = [*(c.replace(" ", "▁") for c in CHARACTERS), "▁cat", "▁the", "name", "true", '":', "▁▁"]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), (END, 0.0), *((piece, -1.0) for piece in pieces)], 0, False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", END)])
    return tokenizer


def byte_fallback() -> Tokenizer:
    pieces = [*(c.replace(" ", "▁") for c in CHARACTERS), "▁cat", "na", "tr", "ue"]
    names = ["<unk>", END, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, [], byte_fallback=True))
    mark = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(mark)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", END)])
    return tokenizer


KINDS = {one.__name__: one for one in (byte_level, word_piece, metaspace, byte_fallback)}


def vocabulary_for(tokenizer: Tokenizer) -> Vocabulary:
    """What its tokens mean."""
    spelled = spellings_of(tokenizer)
    return Vocabulary(
        (tokenizer.token_to_id(END),),
        encode=lambda texts: [row.ids for row in tokenizer.encode_batch(list(texts), add_special_tokens=False)],
        decode=lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)),
        spellings=lambda: spelled,
    )
