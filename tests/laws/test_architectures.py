"""What every architecture promises, and every task over each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from task_cases import Case, answered, columns_for, forwarded, learned

from hone.core.settings import check_settings
from hone.models.architectures import ARCHITECTURES, BaseSettings, NewBase
from hone.models.cost import size_of
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model, read_limit, save_model, stack_of
from hone.models.nets import class_for, read_config
from hone.models.new_base import make_base, write_base
from hone.models.quiet import quiet_loading
from hone.models.tokenizer import load_tokenizer
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.table import SETTINGS, TASKS

SMALL = {"hidden": 24, "max_length": 64}
TEXTS = [" ".join(map(str, text)) for text in columns_for(TASKS["token-classification"].shapes()[0])["tokens"]] * 2
DONE = [name for name in TASKS if TASKS[name].says != "tokens"]  # nets have no head over the vocabulary: refused
HEADS = {
    "sequence-cls": HeadSpec("sequence-cls", ("a", "b")),
    "sequence-mean": HeadSpec("sequence-mean", ("a", "b")),
    "token-linear": HeadSpec("token-linear", ("O", "B-x", "I-x")),
}
READERS = [name for name in ARCHITECTURES if ARCHITECTURES[name].stack == "encoder"]
WRITERS = [name for name in ARCHITECTURES if ARCHITECTURES[name].stack != "encoder"]
every_architecture = pytest.mark.parametrize("name", list(ARCHITECTURES))
every_reader = pytest.mark.parametrize("name", READERS)
every_writer = pytest.mark.parametrize("name", WRITERS)
every_head = pytest.mark.parametrize("head", list(HEADS))


def new(name: str, **changed: Any) -> NewBase:
    settings, faults = check_settings(ARCHITECTURES[name].settings, {**SMALL, **changed})
    assert settings is not None, faults
    return NewBase(name, settings)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small base of every architecture; the tiny base that other laws go over is a BERT too."""
    folder = tmp_path_factory.mktemp("bases")
    made = {name: folder / name for name in ARCHITECTURES}
    for name, place in made.items():
        place.mkdir()
        write_base(new(name), TEXTS, seed=0, folder=place)
    return made


def model_of(base: Path, head: HeadSpec) -> Model:
    torch.manual_seed(0)
    return build_model(base, head, dropout=0.0).eval()


def batch_of(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "word_positions": torch.ones(len(rows), 1, dtype=torch.int64)}


@every_architecture
def test_settings_construct_without_any_value_and_are_frozen(name: str) -> None:
    assert ARCHITECTURES[name].name == name
    settings = ARCHITECTURES[name].settings()
    assert isinstance(settings, BaseSettings)
    with pytest.raises(ValidationError):
        settings.hidden = 3


@every_architecture
def test_settings_explain_each_attribute(name: str) -> None:
    settings = ARCHITECTURES[name].settings
    for kind in (settings, settings.model_fields["tokenizer"].annotation):
        explained = " ".join(part.__doc__ or "" for part in kind.__mro__)
        assert [key for key in kind.model_fields if key not in explained] == []


@every_architecture
def test_settings_survive_the_decided_recipe(name: str) -> None:
    decided = new(name).decided()
    assert decided.pop("architecture") == name
    assert check_settings(ARCHITECTURES[name].settings, decided) == (new(name).settings, [])


@every_architecture
def test_the_same_texts_and_seed_make_the_same_base_and_others_another(name: str, tmp_path: Path) -> None:
    def digest(place: str, texts: list[str], seed: int) -> str:
        return make_base(new(name), lambda: texts, source=place, seed=seed, cache=tmp_path / place).digest

    first = digest("a", TEXTS, 1)
    assert digest("b", TEXTS[::-1], 1) == first
    assert digest("c", TEXTS, 2) != first
    assert digest("d", ["other words", "other words"], 1) != first


@every_reader
def test_sizes_are_what_the_settings_say(name: str, bases: dict[str, Path]) -> None:
    model = model_of(bases[name], HEADS["sequence-mean"])
    size = size_of(bases[name])
    assert size.width == model.backbone.config.hidden_size == 24
    assert bool(size.heads) == (name == "bert")  # of a net no product grows with the square of the length
    assert read_limit(bases[name]) == 64
    learning = sum(p.numel() for p in model.backbone.parameters())
    pooler = 24 * 24 + 24 if name == "bert" else 0  # which a mean does not read
    assert size.parameters == learning + pooler


@every_head
@every_reader
def test_a_model_reads_back_as_it_was_written(name: str, head: str, bases: dict[str, Path], tmp_path: Path) -> None:
    model = model_of(bases[name], HEADS[head])
    save_model(model, tmp_path)
    file = tmp_path / "head.safetensors"
    again = build_model(tmp_path, HEADS[head], head_from=file)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@every_head
@every_reader
def test_padding_changes_no_logit(name: str, head: str, bases: dict[str, Path]) -> None:
    model = model_of(bases[name], HEADS[head])
    rows = [[2, 9, 3], [2, 8, 9, 10, 11, 12, 13, 3], [2, 3]]
    with torch.inference_mode():
        together = model(batch_of(rows))["logits"]
        for i, row in enumerate(rows):
            assert torch.allclose(model(batch_of([row]))["logits"][0], together[i], atol=1e-6)


@every_head
@every_reader
def test_a_token_makes_a_difference_and_dropout_does_in_training_alone(
    name: str, head: str, bases: dict[str, Path]
) -> None:
    model = build_model(bases[name], HEADS[head], dropout=0.5)
    batch = batch_of([[2, 9, 10, 3]])
    with torch.no_grad():
        said = model.eval()(batch)["logits"]
        assert torch.equal(model(batch)["logits"], said)
        assert not torch.allclose(model(batch_of([[2, 11, 10, 3]]))["logits"], said, atol=1e-5)
        assert not torch.allclose(model.train()(batch)["logits"], said, atol=1e-5)


@every_writer
def test_a_writer_has_a_head_of_its_embeddings_over_the_vocabulary(name: str, bases: dict[str, Path]) -> None:
    model, info = opened(bases[name])
    assert info == {key: type(value)() for key, value in info.items()}  # nothing missing, nothing unexpected
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert len(model.get_input_embeddings().weight) == load_tokenizer(bases[name]).vocab_size


@every_writer
def test_the_size_of_a_writer_is_that_of_the_model_with_its_output(name: str, bases: dict[str, Path]) -> None:
    model, _ = opened(bases[name])
    size = size_of(bases[name])
    given = ARCHITECTURES[name].settings()
    both = ARCHITECTURES[name].stack == "encoder-decoder"
    unlearned = sum(buffer.numel() for key, buffer in model.named_buffers() if "logits_bias" in key)
    assert size.parameters - unlearned == sum(parameter.numel() for parameter in model.parameters())
    assert (size.embedding, size.width) == (0, 24)
    assert size.layers == given.layers * (2 if both else 1)
    assert size.heads == getattr(given, "heads", 0)
    assert read_limit(bases[name]) == 64


@every_writer
def test_dropout_of_a_writer_is_what_training_is_told(name: str, bases: dict[str, Path]) -> None:
    config: Any = build_model(bases[name], HEADS["sequence-mean"], dropout=0.33).backbone.config
    names = (
        "dropout",
        "dropout_rate",
        "embd_pdrop",
        "hidden_dropout_prob",
        "attention_dropout",
    )  # each family's for what sublayers give
    assert {getattr(config, key) for key in names if hasattr(config, key)} == {0.33}


@every_writer
def test_a_writer_and_its_tokenizer_agree_on_special_tokens(name: str, bases: dict[str, Path]) -> None:
    model, _ = opened(bases[name])
    tokenizer = load_tokenizer(bases[name])
    for config in filter(None, (model.config, getattr(model, "generation_config", None))):
        assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (
            tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id
        )  # fmt: skip
    started = ARCHITECTURES[name].stack == "encoder-decoder"
    assert getattr(model.config, "decoder_start_token_id", None) == (tokenizer.bos_id if started else None)
    assert tokenizer.suffix == ([tokenizer.eos_id] if started else [])
    assert tokenizer.prefix == []


@every_writer
def test_padding_changes_no_next_token_of_a_writer(name: str, bases: dict[str, Path]) -> None:
    model, _ = opened(bases[name])
    rows = [[9, 10, 2], [8, 9, 10, 11, 12, 13, 2]]
    written = {} if ARCHITECTURES[name].stack == "decoder" else {"decoder_input_ids": torch.tensor([[1, 20, 21]])}
    batch = batch_of(rows)
    del batch["word_positions"]
    with torch.inference_mode():
        many = {key: value.expand(2, -1) for key, value in written.items()}
        together = model(**batch, **many).logits
        for i, row in enumerate(rows):
            single = {"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=torch.int64)}
            alone = model(**single, **written).logits[0]
            assert torch.allclose(alone, together[i, : len(alone)], atol=1e-5)


def opened(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The writer in a folder as transformers opens it, and what it says of the weights it found."""
    config = read_config(folder)
    kind = class_for(config, "AutoModelForCausalLM" if stack_of(config) == "decoder" else "AutoModelForSeq2SeqLM")
    with quiet_loading():
        model, info = kind.from_pretrained(folder, config=config, output_loading_info=True)
    return model.eval(), info


def built(name: str, case: Case, bases: dict[str, Path]) -> tuple[Task, Model]:
    task = case.task(bases[name])
    return task, model_of(bases[name], task.head)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}-{case}")
        for case in [*map(Case, DONE), Case("token-classification", {"head": "crf"})]
        for name in ARCHITECTURES
        if ARCHITECTURES[name].stack == SETTINGS[case.name].stack and name != "bert"  # the tiny base is one
    ],
)
def test_every_task_learns_and_answers_over_it(name: str, case: Case, bases: dict[str, Path]) -> None:
    task, model = built(name, case, bases)
    rows = learned(task, case.columns())
    batch = task.collate(rows, np.arange(len(rows)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = task.loss(model(batch), batch, options=LossOptions())
        losses.append(float(loss.total.detach()))
        loss.total.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] * 0.9
    model.eval()
    together = forwarded(task, model, rows, np.arange(len(rows)))
    for i in (0, len(rows) - 1):
        alone = forwarded(task, model, rows, np.array([i]))[0]
        assert np.allclose(alone, together[i][: len(alone)], atol=1e-5)
    assert len(answered(task, model, case.inputs())) == len(next(iter(case.inputs().values())))
