"""Token ids that a model's configuration names, under new numbers where its vocabulary has become smaller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

NEEDED = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "cls_token_id",
    "sep_token_id",
    "mask_token_id",
    "unk_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "force_words_ids",
)  # a token, several, or words of several
UNWANTED = ("suppress_tokens", "begin_suppress_tokens")
UNWANTED_WORDS = ("bad_words_ids",)  # each a list of tokens
BIASED_WORDS = "sequence_bias"  # of each word its tokens and a number


def ids_needed(config: Any) -> set[int]:
    """The tokens that ``config`` begins, ends, pads or fills texts with: a smaller vocabulary keeps them."""
    return {i for key in NEEDED for i in _ids(getattr(config, key, None))}


def _ids(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _ids(each)


def renumber_ids(config: Any, renumbered: Mapping[int, int]) -> None:
    """Give what ``config`` names its new number. What is kept from being written and is gone is left out, for nothing
    can write it any more: a token, or a word with such a token."""
    for key in (*NEEDED, *UNWANTED):
        if getattr(config, key, None) is not None:
            setattr(config, key, _moved(getattr(config, key), renumbered))
    for key in UNWANTED_WORDS:
        if words := getattr(config, key, None):
            setattr(config, key, [_moved(word, renumbered) for word in words if _all_left(word, renumbered)] or None)
    if biased := getattr(config, BIASED_WORDS, None):
        left = [[_moved(word, renumbered), bias] for word, bias in biased if _all_left(word, renumbered)]
        setattr(config, BIASED_WORDS, left or None)


def _moved(value: Any, renumbered: Mapping[int, int]) -> Any:
    """The new number of a token, or of those of a list that are left."""
    if isinstance(value, int):
        return renumbered.get(value)
    moved = (_moved(each, renumbered) for each in value)
    return [each for each in moved if each is not None]


def _all_left(word: list[int], renumbered: Mapping[int, int]) -> bool:
    return all(token in renumbered for token in word)
