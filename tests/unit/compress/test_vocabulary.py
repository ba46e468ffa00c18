"""Vocabulary pruning: fewer tokens, the same answers on the given texts, for every kind of tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

import hone
from hone.bundle.bundle import Bundle
from hone.models.tokenizer import load_tokenizer
from hone.predict.predictor import load
from hone.report.report import Report

SENTENCES = [
    "my card is lost and i need a new one",
    "please reset the password",
    "where is my order",
    "it is broken",
] * 3
LABELS = ["card", "password", "order", "broken"] * 3
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]
CORPUS = [
    *SENTENCES,
    "whales swim in the cold ocean",
    "mountains of gold are rare",
    "quiet evenings by the fireplace",
    "ж",
] * 5


def tokenizer(kind: str) -> tokenizers.Tokenizer:
    """One of each kind, trained on more than the sentences."""
    if kind == "Unigram":
        made = tokenizers.Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer: Any = trainers.UnigramTrainer(vocab_size=160, special_tokens=SPECIAL, unk_token="<unk>")  # noqa: S106
    elif kind == "BPE":
        made = tokenizers.Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet)
    elif kind == "BPE and bytes":
        made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=SPECIAL)
    else:
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))  # noqa: S106
        made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
        trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL)
    made.train_from_iterator(CORPUS, trainer)
    made = with_bytes(made) if kind == "BPE and bytes" else made
    ids = [(token, made.token_to_id(token)) for token in ("<s>", "</s>")]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    return made


def with_bytes(made: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """One that spells in bytes what no piece of it does, as Llama 2 and Mistral have it."""
    state = json.loads(made.to_str())
    state["model"]["byte_fallback"] = True
    vocabulary = state["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    return tokenizers.Tokenizer.from_str(json.dumps(state))


def base(folder: Path, kind: str) -> Path:
    """A random base of the family that has such tokenizers."""
    backend = tokenizer(kind)
    family = {"WordPiece": "bert", "BPE": "roberta", "BPE and bytes": "roberta", "Unigram": "xlm-roberta"}[kind]
    config = AutoConfig.for_model(
        family, vocab_size=backend.get_vocab_size(), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=64, pad_token_id=0, type_vocab_size=1,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",  # noqa: S106
    ).save_pretrained(folder)  # fmt: skip
    return folder


def rows(path: Path) -> Path:
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(SENTENCES, LABELS, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def pruned(folder: Path, kind: str, **method: Any) -> tuple[Bundle, Bundle, Report]:
    """A bundle, and what pruning its vocabulary to its training texts makes of it."""
    file = str(rows(folder / "train.jsonl"))
    recipe = {
        "version": 1, "task": "text-classification", "base": str(base(folder / "base", kind)),
        "data": {"train": file, "validation": file},
        "stages": [
            {"kind": "finetune", "max_steps": 3, "save_steps": None},
            {"kind": "compress", "method": {"name": "vocabulary", **method}, "max_drop": 0.0},
        ],
    }  # fmt: skip
    result = hone.run(recipe, out=folder / "run")
    assert result.bundle is not None
    (parent,) = (folder / "run" / "stages").glob("*-finetune/bundle")
    return Bundle.open(parent), Bundle.open(result.bundle.path), result.reports["compress"]


@pytest.mark.parametrize("kind", ["WordPiece", "BPE", "BPE and bytes", "Unigram"])
def test_answers_on_the_given_texts_stay_and_the_table_shrinks(kind: str, tmp_path: Path) -> None:
    parent, child, report = pruned(tmp_path, kind)
    before, after = load(parent.path, device="cpu"), load(child.path, device="cpu")
    assert after.predict(SENTENCES) == before.predict(SENTENCES)
    one, other = load_tokenizer(parent.path), load_tokenizer(child.path)
    assert other.vocab_size < one.vocab_size
    assert report.facts["tokens_kept"] == other.vocab_size
    assert report.facts["tokens_before"] == one.vocab_size
    assert report.facts["fitted_to"] == "train, validation"
    for text in SENTENCES:
        tokens = [tok.pretrained.convert_ids_to_tokens(tok.encode([text])[0]) for tok in (one, other)]
        assert tokens[0] == tokens[1]
    agreement = next(measure for measure in report.measures if measure.name == "agreement")
    assert agreement.value == 1.0
    assert child.manifest.lineage.parents == (parent.digest,)


def test_the_table_of_sizes_says_what_lies_on_disk(tmp_path: Path) -> None:
    parent, child, report = pruned(tmp_path, "WordPiece", characters=False)
    sizes = {row[0]: row[1:] for row in report.tables["beside_parent"].rows}
    on_disk = [sum(path.stat().st_size for path in one.path.rglob("*")
                   if path.is_file() and "attachments" not in path.parts and path.name != "hone.json") / 1e6
               for one in (parent, child)]  # fmt: skip
    assert sizes["disk_mb"][:2] == pytest.approx(on_disk)
    assert sizes["disk_mb"][2] == pytest.approx(on_disk[1] / on_disk[0])
    assert set(sizes) == {"disk_mb", "weights_mb", "texts_per_s", "latency_p50", "latency_p99"}
    assert [row[0] for row in report.tables["measures_beside_parent"].rows][:1] == ["accuracy"]


def test_characters_keep_other_words_spelled_out(tmp_path: Path) -> None:
    unknown = {}
    for characters in (True, False):
        folder = tmp_path / str(characters)
        folder.mkdir()
        _, child, _ = pruned(folder, "WordPiece", characters=characters)
        tokens = load_tokenizer(child.path)
        unknown[characters] = (
            tokens.unk_id in tokens.encode(["mad"])[0]
        )  # only its characters are pieces of the sentences
    assert unknown == {True: False, False: True}


def test_bytes_spell_out_what_no_other_piece_does(tmp_path: Path) -> None:
    parent, child, _ = pruned(tmp_path, "BPE and bytes")
    one, other = load_tokenizer(parent.path), load_tokenizer(child.path)
    spelled = [each.pretrained.convert_ids_to_tokens(each.encode(["é\n"])[0]) for each in (one, other)]
    assert spelled[0] == spelled[1]
    assert {"<0xC3>", "<0xA9>", "<0x0A>"} <= {*spelled[1]}


@pytest.mark.parametrize("kind", ["WordPiece", "BPE and bytes"])
def test_characters_that_no_text_has_are_dropped(kind: str, tmp_path: Path) -> None:
    parent, child, _ = pruned(tmp_path, kind)
    assert "ж" in load_tokenizer(parent.path).vocabulary()
    assert "ж" not in load_tokenizer(child.path).vocabulary()


def test_transformers_alone_reads_the_pruned_folder(tmp_path: Path) -> None:
    _, child, _ = pruned(tmp_path, "WordPiece")
    model: Any = AutoModel.from_pretrained(child.path)
    assert model.get_input_embeddings().weight.shape[0] == load_tokenizer(child.path).vocab_size
    shutil.rmtree(child.path / "attachments", ignore_errors=True)
    assert Bundle.open(child.path).digest == child.digest
