"""Languages of mBART, mBART-50 and NLLB: tokens, loss and what is written equal transformers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import hone
from hone.models.model import Model, build_model, save_model
from hone.models.tiny import HANZI, WORDS
from hone.models.writers.make import writer_of
from hone.predict.generation.generate import generate
from hone.predict.writing import vocabulary_of
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.translation import Translation
from hone.tasks.writing_settings import TranslationSettings

SOURCES = ["the card is broken", "my laptop", "where is the order please"]
TARGETS = ["order the card", "please help me again now", "broken"]
SIDE = {"layers": 2, "attention_heads": 4, "ffn_dim": 64}
SIZES = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in SIDE.items()}


class Kind(NamedTuple):
    """A family: its tokenizer and model, two of its languages, and what its texts begin with in `generate`."""

    tokenizer: str
    model: str
    source: str
    target: str
    given: str


KINDS = {
    "mbart": Kind("MBartTokenizer", "MBart", "en_XX", "de_DE", "decoder_start_token_id"),
    "mbart50": Kind("MBart50Tokenizer", "MBart", "en_XX", "de_DE", "forced_bos_token_id"),
    "nllb": Kind("NllbTokenizer", "M2M100", "eng_Latn", "deu_Latn", "forced_bos_token_id"),
}


class Made(NamedTuple):
    """A base of random weights, and the task and model over it."""

    kind: Kind
    folder: Path
    task: Translation
    model: Model


def tokenizer_of(name: str) -> Any:
    """One of the class ``name`` that knows some words."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = [f"▁{word}" for word in WORDS] + ["▁", *"abcdefghijklmnopqrstuvwxyz", *sorted(set(HANZI))]
    if name == "NllbTokenizer":
        learner = Tokenizer(models.BPE(unk_token="<unk>"))
        learner.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
        learner.train_from_iterator([" ".join(WORDS)] * 2, trainers.BpeTrainer(special_tokens=special, vocab_size=200))
        learned = json.loads(learner.to_str())["model"]
        return transformers.NllbTokenizer(
            vocab=learned["vocab"], merges=[tuple(m) for m in learned["merges"]],
            extra_special_tokens=["deu_Latn", "eng_Latn", "fra_Latn"],
        )  # fmt: skip
    codes = [] if name == "MBart50Tokenizer" else ["de_DE", "en_XX", "ro_RO"]
    vocabulary = [(piece, 0.0) for piece in special]
    vocabulary += [(piece, -float(i)) for i, piece in enumerate(dict.fromkeys(words))]
    return getattr(transformers, name)(vocab=[*vocabulary, *((code, 0.0) for code in codes)])


@pytest.fixture(scope="module", params=sorted(KINDS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    kind = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "base"
    tokenizer = tokenizer_of(kind.tokenizer)
    config = getattr(transformers, f"{kind.model}Config")(
        vocab_size=len(tokenizer), d_model=32, max_position_embeddings=64, decoder_start_token_id=2, eos_token_id=2,
        pad_token_id=1, bos_token_id=0, forced_eos_token_id=None, activation_function="gelu", **SIZES,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = getattr(transformers, f"{kind.model}ForConditionalGeneration")(config)
        for weight in model.parameters():
            if weight.ndim == 2:
                torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = TranslationSettings(source_language=kind.source, target_language=kind.target)
    task = make_task("translation", settings, labels=(), folder=folder)
    assert isinstance(task, Translation)
    return Made(kind, folder, task, build_model(folder, task.head, dropout=0.0).eval())


def theirs(made: Made, **options: Any) -> Any:
    """transformers' tokenizer, told of the same languages."""
    return transformers.AutoTokenizer.from_pretrained(
        made.folder, src_lang=made.kind.source, tgt_lang=made.kind.target, **options
    )


def test_rows_are_the_tokens_of_transformers(made: Made) -> None:
    rows = Rows(made.task.encode({"source": SOURCES, "target": TARGETS}, purpose="learn"))
    their = theirs(made)
    labels = their(text_target=TARGETS)["input_ids"]
    if made.kind.model == "MBart" and made.kind.given == "decoder_start_token_id":
        ends = {row.pop() for row in labels}  # which the model puts first
        assert ends == {their.convert_tokens_to_ids(made.kind.target)}
    for i, (source, target) in enumerate(zip(their(SOURCES)["input_ids"], labels, strict=True)):
        assert rows.row("input_ids", i).tolist() == source
        assert rows.row("target_ids", i).tolist() == target
    assert made.task.tokenizer.decode(labels) == TARGETS


def test_the_loss_is_that_of_transformers(made: Made) -> None:
    rows = Rows(made.task.encode({"source": SOURCES, "target": TARGETS}, purpose="learn"))
    batch = made.task.collate(rows, np.arange(3))
    mine = made.task.loss(made.model(batch), batch, options=LossOptions())
    labels = torch.full_like(batch["target_ids"], -100)
    given = dict(theirs(made)(SOURCES, return_tensors="pt", padding=True))
    for row, count in enumerate(batch["counts"].tolist()):
        labels[row, :count] = batch["target_ids"][row, :count]
    start = made.model.backbone.config.decoder_start_token_id
    before = torch.cat([labels.new_full((3, 1), start), labels[:, :-1].clamp(min=1)], dim=1)
    loss = made.model.backbone(**given, labels=labels, decoder_input_ids=before).loss
    assert float(mine.total.detach() / mine.weight) == pytest.approx(float(loss.detach()), rel=1e-5)


def test_what_is_written_is_what_transformers_writes(made: Made, tmp_path: Path) -> None:
    rows = Rows(made.task.encode({"source": SOURCES}, purpose="predict"))
    settings = made.task.settings.decoding.model_copy(update={"max_new_tokens": 12, "num_beams": 2})
    prompts = [prompt for (prompt,) in made.task.prompts(rows)]
    mine = generate(writer_of(made.model.backbone), prompts, settings, vocabulary=vocabulary_of(made.task))
    their = theirs(made)
    code = their.convert_tokens_to_ids(made.kind.target)
    plain = getattr(transformers, f"{made.kind.model}ForConditionalGeneration").from_pretrained(made.folder).eval()
    save_model(made.model, tmp_path)
    saved = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    for i, source in enumerate(SOURCES):
        given, options = their([source], return_tensors="pt"), {"max_new_tokens": 12, "num_beams": 2}
        out = plain.generate(**given, **options, **{made.kind.given: code})[0, 1:].tolist()
        again = saved.generate(**given, **options)[0, 1:].tolist()  # a bundle tells transformers the same
        ids = list(mine[i][0].ids)
        assert out[: len(ids)] == again[: len(ids)] == ids
        assert [token for token in out[len(ids) :] if token not in (1, 2)] == []


@pytest.mark.parametrize(("code", "hint"), [("de", "Did you mean 'de"), ("german", "Known: "), (None, "Known: ")])
def test_a_language_that_the_base_lacks_is_refused_with_the_nearest(made: Made, code: str | None, hint: str) -> None:
    settings = TranslationSettings(source_language=made.kind.source, target_language=code)
    with pytest.raises(hone.RecipeError, match=hint) as raised:
        make_task("translation", settings, labels=(), folder=made.folder)
    assert [fault.field for fault in raised.value.faults] == ["task.target_language"]


def test_a_base_without_languages_takes_none(tmp_path: Path) -> None:
    from hone.models.tiny import write_tiny_writer

    settings = TranslationSettings(source_language="en", target_language="de")
    with pytest.raises(hone.RecipeError) as raised:
        make_task("translation", settings, labels=(), folder=write_tiny_writer(tmp_path / "bart"))
    assert [fault.code for fault in raised.value.faults] == ["task.no-languages"] * 2
