"""Bundles that write, compressed: what they write, how large they are, and what is refused."""

from __future__ import annotations

from operator import eq
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, PhiConfig, PhiForCausalLM

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.compress.compare import answers, measures
from hone.compress.compress import compress
from hone.compress.distill_writing import _together
from hone.compress.settings import CompressSettings, find_faults
from hone.compress.shorter import depths_of, shortened
from hone.core.errors import GateNotMet, RecipeError
from hone.data.dataset import Dataset
from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.models.writers.cached import CausalWriter, SourceWriter
from hone.models.writers.make import writer_of
from hone.models.writers.quick import QuickWriter
from hone.predict.predictor import Predictor, open_bundle
from hone.predict.write import write_model
from hone.report.catalog import CATALOGS
from hone.report.report import Report
from hone.tasks.divergence import distance
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.table import SETTINGS

SOURCES = ["the card is broken", "my laptop", "where is the order please", "help me again"]
TARGETS = [" order the card", " please help me again now", " broken", " now"]
KINDS = ("gpt2", "bart", "t5")


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """A bundle of each kind, of random weights."""
    made = {}
    for kind in (*KINDS, "phi"):
        folder = tmp_path_factory.mktemp(kind)
        base = folder / "base"
        write_tiny_phi(base) if kind == "phi" else write_tiny_writer(base, kind=kind, width=64)  # type: ignore[arg-type]
        name = "text-generation" if kind in ("gpt2", "phi") else "translation"
        settings = SETTINGS[name].model_validate({"decoding": {"max_new_tokens": 8}})
        task = make_task(name, settings, labels=(), folder=base)
        lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
        made[kind] = write_model(folder / "bundle", build_model(base, task.head), task, lineage=lineage)
    return made


def write_tiny_phi(folder: Path) -> None:
    """A decoder whose output layer has a bias, of random weights."""
    config = AutoConfig.from_pretrained(write_tiny_writer(folder, kind="gpt2"))
    config = PhiConfig(
        vocab_size=config.vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = PhiForCausalLM(config)
        torch.nn.init.normal_(model.lm_head.bias)
    model.save_pretrained(folder)


def inputs_of(bundle: Bundle, *, times: int = 1) -> Inputs:
    task = open_bundle(bundle).task
    names = ("prompt", "text") if task.name == "text-generation" else ("source", "target")
    columns = dict(zip(names, (SOURCES * times, TARGETS * times), strict=True))
    data = {name: Dataset.from_columns(name, columns) for name in ("train", "validation")}
    return Inputs(task=TaskChoice(task.name, task.settings), base=None, data=data, bundle=bundle)


def compressed(bundle: Bundle, method: dict[str, Any], folder: Path, **more: Any) -> tuple[Predictor, Report]:
    settings = CompressSettings.model_validate({"method": method, **more})
    run = Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
    assert find_faults(settings, inputs_of(bundle)) == []
    outcome = compress(settings, inputs_of(bundle), run)
    assert outcome.bundle is not None
    return open_bundle(outcome.bundle), outcome.report


def ratio(report: Report, what: str) -> float:
    """The figure of the one over that of its parent."""
    return float(next(row[3] for row in report.tables["beside_parent"].rows if row[0] == what))  # type: ignore[arg-type]


def test_words_of_rows_are_measured_where_bundles_are_compared(parents: dict[str, Bundle]) -> None:
    predictor = open_bundle(parents["gpt2"])
    columns = {"prompt": SOURCES, "text": TARGETS, "bad_words": [["card"], [], ["help"], []]}
    found = {one.name: one for one in measures(predictor.task, answers(predictor, columns), columns)}
    assert found["satisfied"].value == 1.0
    plain = {name: column for name, column in columns.items() if name != "bad_words"}
    assert "satisfied" not in {one.name for one in measures(predictor.task, answers(predictor, plain), plain)}


@pytest.mark.parametrize(
    ("kind", "method", "most", "apart"),
    [
        ("gpt2", {"name": "int8", "activations": "static"}, 0.55, 0.1),
        ("bart", {"name": "int8", "activations": "dynamic"}, 0.55, 0.05),
        ("t5", {"name": "int8", "activations": "dynamic"}, 0.55, 0.05),
        ("gpt2", {"name": "weight-only", "bits": 8}, 0.55, 0.05),
        ("bart", {"name": "weight-only", "bits": 4}, 0.5, 0.5),
        ("t5", {"name": "weight-only", "bits": 4}, 0.5, 0.5),
    ],
)
def test_integers_say_nearly_the_same_and_take_less(
    kind: str, method: dict[str, Any], most: float, apart: float, parents: dict[str, Bundle], tmp_path: Path
) -> None:
    child, report = compressed(parents[kind], method, tmp_path)
    measured = {measure.name: measure for measure in report.measures}
    assert ratio(report, "weights_mb") < most
    assert ratio(report, "tokens_per_s") > 0
    assert measured["times_the_tokens"].low is not None
    had, has = next((row[1], row[4]) for row in report.tables["measures_beside_parent"].rows if row[0] == "perplexity")
    assert float(has) == pytest.approx(float(had), rel=apart)  # type: ignore[arg-type]
    texts = [[one["text"] for one in each.predict(SOURCES)] for each in (open_bundle(parents[kind]), child)]
    assert measured["agreement"].value == sum(map(eq, *texts)) / len(SOURCES)
    assert measured["token_agreement"].value is not None
    words = [*measured, *(str(row[0]) for row in report.tables["beside_parent"].rows)]
    assert [word for word in words if word not in CATALOGS["zh"]] == []


def test_a_table_that_stands_in_several_places_is_kept_once(parents: dict[str, Bundle], tmp_path: Path) -> None:
    child, _ = compressed(parents["bart"], {"name": "int8", "activations": "dynamic"}, tmp_path)
    backbone: Any = child.engine.model.backbone  # type: ignore[attr-defined]
    assert backbone.model.shared is backbone.model.encoder.embed_tokens
    assert backbone.model.shared is backbone.model.decoder.embed_tokens


def test_a_perplexity_that_rose_too_far_is_refused(parents: dict[str, Bundle], tmp_path: Path) -> None:
    with pytest.raises(GateNotMet) as raised:
        compressed(parents["gpt2"], {"name": "int8", "activations": "dynamic"}, tmp_path, max_drop=0.0)
    assert raised.value.code == "compress.lost"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("method", ["onnx", "prune", "sparse"])
def test_what_does_not_go_with_writing_is_refused_with_what_does(method: str, parents: dict[str, Bundle]) -> None:
    (fault,) = find_faults(CompressSettings.model_validate({"method": method}), inputs_of(parents["gpt2"]))
    assert fault.code == "compress.writes"
    assert "int8" in fault.expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_of_the_same_layers_would_be_its_teacher(kind: str, parents: dict[str, Bundle]) -> None:
    teacher: Any = open_bundle(parents[kind]).engine.model.backbone  # type: ignore[attr-defined]
    whole = {stack: range(count) for stack, count in depths_of(teacher.config).items()}
    one, other = teacher.state_dict(), shortened(teacher, whole).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    short = shortened(teacher, dict.fromkeys(whole, (1,)))
    assert set(depths_of(short.config).values()) == {1}
    assert sum(p.numel() for p in short.parameters()) < sum(p.numel() for p in teacher.parameters())


@pytest.mark.parametrize(("kind", "texts"), [("bart", "given"), ("gpt2", "written")])
def test_a_student_comes_nearer_to_what_its_teacher_says(
    kind: str, texts: str, parents: dict[str, Bundle], tmp_path: Path
) -> None:
    far = []
    for epochs in (0.25, 12):
        method = {"name": "distill", "layers": 1, "texts": texts, "own": 0.0, "num_train_epochs": epochs,
                  "per_device_train_batch_size": 4, "learning_rate": 3e-3, "save_steps": None}  # fmt: skip
        child, report = compressed(parents[kind], method, tmp_path / str(epochs))
        assert report.facts["texts"] == texts
        rows = Rows(child.task.encode(inputs_of(parents[kind]).data["validation"].slice(0, 4), purpose="learn"))
        batch = child.task.collate(rows, np.arange(4))
        both = [each.engine.forward(batch)["logits"] for each in (child, open_bundle(parents[kind]))]
        far.append(float(distance(*both, says="one", temperature=1.0)))
    assert far[1] < 0.8 * far[0]


def test_a_teacher_answers_in_conversations(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "base", kind="gpt2", width=64)
    settings = SETTINGS["dialogue"].model_validate({"decoding": {"max_new_tokens": 4, "bad_words": ["<unk>"]}})
    task = make_task("dialogue", settings, labels=(), folder=base)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    bundle = write_model(tmp_path / "bundle", build_model(base, task.head), task, lineage=lineage)
    turns = [{"role": role, "text": text} for role, text in
             (("user", "the card"), ("assistant", "my card"), ("user", "help me"), ("assistant", "now"))]  # fmt: skip
    data = {name: Dataset.from_columns(name, {"turns": [turns, turns]}) for name in ("train", "validation")}
    inputs = Inputs(task=TaskChoice("dialogue", settings), base=None, data=data, bundle=bundle)
    run = Run(seed=1, device="cpu", folder=tmp_path / "run", target=tmp_path / "new", cache=tmp_path / "cache")
    method = {"name": "distill", "layers": 1, "texts": "written", "num_train_epochs": 0.25, "save_steps": None}
    outcome = compress(CompressSettings.model_validate({"method": method}), inputs, run)
    assert outcome.report.facts["rows_taught"] == 4  # each answer


def test_what_is_written_from_is_gathered_over_data_sets() -> None:
    talk = [{"role": "user", "text": "help"}]
    both = _together({"train": {"turns": [talk]}, "unlabeled": {"messages": [talk], "bad_words": [["no"]]}})
    assert both == {"turns": [talk, talk], "bad_words": [[], ["no"]]}
    with pytest.raises(RecipeError, match="train with prompt and unlabeled with nothing to write from"):
        _together({"train": {"prompt": ["a"]}, "unlabeled": {}})


def test_a_student_that_cannot_be_is_refused_with_all_reasons(parents: dict[str, Bundle], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        compressed(parents["bart"], {"name": "distill", "layers": 7, "hidden": 1.0}, tmp_path)
    assert len(raised.value.faults) == 3


@pytest.mark.parametrize("kind", [*KINDS, "phi"])
def test_a_smaller_vocabulary_scores_the_tokens_that_are_left_the_same(
    kind: str, parents: dict[str, Bundle], tmp_path: Path
) -> None:
    child, report = compressed(parents[kind], {"name": "vocabulary", "characters": False}, tmp_path)
    parent = open_bundle(parents[kind])
    assert int(report.facts["tokens_kept"]) < int(report.facts["tokens_before"])  # type: ignore[call-overload]
    given = inputs_of(parents[kind]).data["validation"].slice(0, 4)
    found, names = [], []
    for each in (parent, child):
        rows = Rows(each.task.encode(given, purpose="learn"))
        batch = each.task.collate(rows, np.arange(4))
        found.append(each.engine.forward(batch)["logits"])
        names.append(each.task.tokenizer.words_of(batch["gold"].tolist()))
    assert names[0] == names[1]
    old = {word: i for i, word in enumerate(parent.task.tokenizer.words_of(range(found[0].shape[1])))}
    kept = [old[word] for word in child.task.tokenizer.words_of(range(found[1].shape[1]))]
    torch.testing.assert_close(found[0][:, kept], found[1], rtol=0, atol=1e-5)
    assert child.task.endings == (child.task.tokenizer.eos_id,)  # type: ignore[attr-defined]
    assert child.predict(SOURCES)


@pytest.mark.parametrize(
    ("kind", "method", "apart"),
    [
        ("gpt2", {"name": "int8"}, 0.1),  # an input near the middle of two integers becomes the one or the other
        ("gpt2", {"name": "weight-only"}, 1e-4),
        ("bart", {"name": "weight-only"}, 1e-4),
        ("t5", {"name": "weight-only", "bits": 4}, 1e-4),
    ],
)
def test_integers_are_written_quickly_as_transformers_passes_write_them(
    kind: str, method: dict[str, Any], apart: float, parents: dict[str, Bundle], tmp_path: Path
) -> None:
    child, _ = compressed(parents[kind], method, tmp_path)
    backbone: Any = child.engine.model.backbone  # type: ignore[attr-defined]
    quick = writer_of(backbone)
    assert isinstance(quick, QuickWriter)
    slow = (SourceWriter if backbone.config.is_encoder_decoder else CausalWriter)(backbone)
    ids = torch.randint(5, 60, (2, 6), generator=torch.Generator().manual_seed(1))
    found = []
    for writer in (quick, slow):
        state, scores = writer.begin(ids, torch.ones_like(ids))
        found.append([scores, *(writer.step(state, torch.tensor([token, token + 1])) for token in (7, 9, 11))])
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm() / other.norm()) < apart


def test_a_search_takes_the_lowest_perplexity_within_its_budget(parents: dict[str, Bundle], tmp_path: Path) -> None:
    steps = [[{"name": "weight-only", "bits": 4}, {"name": "weight-only", "bits": 8}]]
    _, report = compressed(parents["gpt2"], {"name": "search", "steps": steps, "max_size_mb": 100.0}, tmp_path)
    found = {str(row[0]): row[3] for row in report.tables["candidates"].rows}
    assert report.tables["candidates"].better == "lower"
    values = {measure.name: measure.value for measure in report.measures}
    assert values["perplexity"] == min(value for name, value in found.items() if not name.startswith("0"))
