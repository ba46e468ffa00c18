"""Masks whose token has the blank before it, as RoBERTa's and XLM-R's have: fillings stand where the mask did."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from hone.tasks.fill_mask import BEGINS, UNKNOWN
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.settings import FillMaskSettings

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = ["Paris", "is", "the", "capital", "of"]
Kind = Literal["byte-level", "sentencepiece"]


def backend(kind: Kind) -> Tokenizer:
    """Letters and, where it begins a word, the mark before them; some words whole."""
    mark = BEGINS[kind == "sentencepiece"]
    if kind == "byte-level":
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        whole = [mark + word for word in WORDS]
        steps = [(word[:i], word[i]) for word in whole for i in range(1, len(word))]
        made = [one + other for one, other in steps]
        tokens = dict.fromkeys([*SPECIAL, *letters, *made])
        found = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, list(dict.fromkeys(steps))))
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found.decoder = decoders.ByteLevel()
    else:
        letters = [mark, *sorted(set("".join(WORDS)) | set(".s首都巴黎是。"))]
        scores = [(token, -9.0) for token in [*SPECIAL, *letters]] + [(mark + word, -1.0) for word in WORDS]
        found = Tokenizer(models.Unigram(scores, unk_id=3))
        found.pre_tokenizer = pre_tokenizers.Metaspace()
        found.decoder = decoders.Metaspace()
    ends = (("</s>", 2), ("<s>", 0))
    found.post_processor = processors.RobertaProcessing(*ends, add_prefix_space=False)
    return found


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece"])
def task(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("base")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend(request.param),
        bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    transformers.RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=66).save_pretrained(folder)
    return make_task("fill-mask", FillMaskSettings(), labels=(), folder=folder)


def filled(task: Any, text: str, *tokens: str) -> dict[str, Any]:
    """The place of the mask of ``text``, filled with these tokens."""
    rows = Rows(task.encode({"text": [text]}, purpose="predict"))
    ids = task.tokenizer.pretrained.convert_tokens_to_ids(list(tokens))
    scores = np.array([[UNKNOWN, 0.0, 0.0, *ids, *[-1.0] * len(ids)]], dtype=np.float32)
    [answer] = task.join({"text": [text]}, rows, [scores], constants={})
    [place] = answer["masks"]
    return dict(place)


def marked(task: Any, word: str) -> str:
    tokens = task.tokenizer.vocabulary()
    return next(mark + word for mark in BEGINS if mark + word in tokens)


def test_a_word_stands_after_the_blank_and_a_piece_without_it(task: Any) -> None:
    text = "Paris is the <mask>."
    place = filled(task, text, marked(task, "capital"), "s")
    assert (text[place["start"] : place["end"]], place["start"]) == ("<mask>", 13)
    assert [one["text"] for one in place["fillings"]] == ["Paris is the capital.", "Paris is thes."]


def test_a_mask_without_a_blank_before_it_is_filled_in_its_place(task: Any) -> None:
    place = filled(task, "<mask> is", marked(task, "Paris"), "P")
    assert place["start"] == 0
    assert [one["text"] for one in place["fillings"]] == ["Paris is", "P is"]


def test_tokens_that_are_measured_stand_without_blanks(task: Any) -> None:
    text = "Paris is the capital"
    rows = Rows(task.encode({"text": [text]}, purpose="predict"))
    found = [text[a:b] for a, b in zip(rows.row("starts", 0).tolist(), rows.row("ends", 0).tolist(), strict=True)]
    assert found[-3:] == ["is", "the", "capital"]
