"""What every objective of pretraining promises: its loss before any training is what chance says, draws follow from the
seed alone, and nothing crosses from one document to another."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing

from hone.core.choice import decided
from hone.core.settings import check_settings
from hone.models.addressed import by_head
from hone.models.architectures import ARCHITECTURES, NewBase
from hone.models.model import Model, build_model
from hone.models.new_base import write_base
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.tasks.make import make_task
from hone.tasks.masking import drawn
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.joint import Joint
from hone.tasks.objectives.pretraining import Pretraining
from hone.tasks.objectives.rewriting import Denoising, SpanCorruption
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Batch, Rows
from hone.tasks.settings import TextClassificationSettings

WORDS = "the tide comes in twice a day and goes out again. nobody knows why. we watched it from the pier, all of us! "
TEXTS = [(WORDS * 3)[start : start + 150] for start in range(0, 96, 3)]
ARCHITECTURE = {"encoder": "bert", "decoder": "gpt2", "encoder-decoder": "bart"}
every_objective = pytest.mark.parametrize("name", list(OBJECTIVES))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small base of every kind, made from nothing as a recipe makes it."""
    made = {}
    for stack, name in ARCHITECTURE.items():
        settings, faults = check_settings(ARCHITECTURES[name].settings, {"hidden": 32, "layers": 2, "max_length": 64})
        assert settings is not None, faults
        made[stack] = tmp_path_factory.mktemp(name)
        write_base(NewBase(name, settings), TEXTS, seed=0, folder=made[stack])
    return made


def learning_of(base: Path, *names: Any) -> Pretraining:
    documents = Documents(load_tokenizer(base), max_tokens=64)
    return Pretraining([decided(name, OBJECTIVES) for name in names], documents)


def rows_of(learning: Pretraining) -> Rows:
    return Rows(learning.encode({"text": TEXTS}, purpose="learn"))


def model_of(base: Path, learning: Pretraining, *, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build_model(base, learning.head, others=learning.others).eval()


def chance(name: str, learning: Pretraining, batch: Batch) -> float:
    """The loss of one that knows nothing: of every token of the vocabulary alike, of yes and no alike, or of every text
    of the batch alike. Of ``rtd`` it is the generator's and that of yes and no, which counts 50 times. Of ``vae`` that
    of the tokens, and for every text a quarter of a bit for each of 64 numbers, which is free: codes begin by the prior
    (see `tests/laws/test_autoencoders.py`); of ``aae`` the discriminator's yes and no beside it for every text, which
    counts once for itself and once for the reader."""
    vocabulary = math.log(learning.tokenizer.vocab_size)
    tokens = len(batch.get("gold", ())) or 1
    others = {"nsp": math.log(2), "sop": math.log(2), "contrastive": math.log(len(TEXTS)),
              "rtd": vocabulary + 50 * math.log(2),
              "vae": vocabulary + 64 * 0.25 * math.log(2) * len(TEXTS) / tokens,
              "aae": vocabulary + 2 * math.log(2) * len(TEXTS) / tokens}  # fmt: skip
    return others.get(name, vocabulary)


@every_objective
def test_the_loss_before_training_is_that_of_chance(bases: dict[str, Path], name: str) -> None:
    """On average over heads: on few texts one of them has drawn a guess that fits, another one that does not."""
    base = bases[OBJECTIVES[name].stack]
    learning = learning_of(base, {"name": name, "temperature": 1000.0} if name == "contrastive" else name)
    rows, found = rows_of(learning), []
    batch = learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(0))
    for seed in range(8):
        with torch.no_grad():
            loss = learning.loss(model_of(base, learning, seed=seed)(batch), batch, options=LossOptions())
        found.append(float(loss.total) / loss.weight)
    assert np.mean(found) == pytest.approx(chance(name, learning, batch), rel=0.02)


@every_objective
def test_what_is_drawn_follows_from_the_seed(bases: dict[str, Path], name: str) -> None:
    learning = learning_of(bases[OBJECTIVES[name].stack], name)
    rows, index = rows_of(learning), np.arange(8)
    one, same, other = (learning.draw(rows, index, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    if name not in ("clm", "contrastive"):  # which draw nothing
        assert any(one[key].shape != other[key].shape or not torch.equal(one[key], other[key]) for key in one)


@every_objective
def test_a_tally_of_held_out_rows_counts_each_and_measures_what_the_loss_says(
    bases: dict[str, Path], name: str
) -> None:
    base = bases[OBJECTIVES[name].stack]
    learning = learning_of(base, {"name": name, "free_bits": 0.0} if name == "vae" else name)
    rows, model = rows_of(learning), model_of(base, learning)
    index = np.arange(12)
    batch = learning.collate(rows, index)
    with torch.no_grad():
        outputs = model(batch)
        loss = learning.loss(outputs, batch, options=LossOptions())
    tally = learning.settled([learning.tally(outputs, batch)], index)
    assert tally.shape[0] == len(index)
    measures = learning.measures(tally)
    assert measures.keys() == learning.measure_specs.keys()
    said = float(loss.total) / loss.weight
    if name == "rtd":  # whose generator is not measured
        said = (said - float(torch.nn.functional.cross_entropy(outputs["generated"], batch["gold"]))) / 50
    told = tally[:, 0].sum() / tally[:, 1].sum()
    if name == "vae":
        told += tally[:, 3].sum() / tally[:, 1].sum()  # the divergence
    if name == "aae":  # whose adversaries are measured by what they tell apart
        said = float(torch.nn.functional.cross_entropy(outputs["logits"], batch["gold"]))
    assert said == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("name", ["mlm", "nsp", "sop", "contrastive"])
def test_as_many_tokens_are_read_as_are_counted(bases: dict[str, Path], name: str) -> None:
    learning = learning_of(bases[OBJECTIVES[name].stack], name)
    rows, index = rows_of(learning), np.arange(12)
    mask = learning.draw(rows, index, rng=np.random.default_rng(0))["attention_mask"]
    read = int(mask.sum()) - 3 * len(mask)  # without special tokens
    assert read == pytest.approx(learning.drawing(rows) * rows.lengths[index].sum(), rel=0.2)


def test_no_two_objectives_have_a_measure_of_one_name() -> None:
    names = [measure for name in OBJECTIVES for measure in OBJECTIVES[name].kind.specs()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("names", "watched"),
    [(["sop", "mlm"], "order_accuracy"), (["mlm", "sop"], "masked_perplexity"), (["vae"], "vae_bits_per_token")],
)
def test_the_first_objective_that_is_named_is_watched(bases: dict[str, Path], names: list[str], watched: str) -> None:
    learning = learning_of(bases["encoder"], *names)
    assert learning.main_measure == next(iter(learning.measure_specs)) == watched
    index = np.arange(4)
    rows, model = rows_of(learning), model_of(bases["encoder"], learning)
    batch = learning.collate(rows, index)
    with torch.no_grad():
        measures = learning.measures(learning.settled([learning.tally(model(batch), batch)], index))
    assert list(measures) == list(learning.measure_specs)


def test_documents_are_cut_into_pieces_that_end_within_them(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder"], "mlm")
    columns = {"text": ["one two\nthree", WORDS * 4]}
    rows = Rows(learning.encode(columns, purpose="learn"))
    whole = learning.tokenizer.encode(["one two\nthree", WORDS * 4])
    pieces = learning.documents.pieces(rows, np.arange(len(rows)))
    assert pieces[0].tolist() == whole[0]
    assert np.concatenate(pieces[1:]).tolist() == whole[1]
    assert rows.scalar("first").tolist() == [1, 1] + [0] * (len(rows) - 2)
    assert rows.scalar("last").tolist() == [1] + [0] * (len(rows) - 2) + [1]
    assert max(map(len, pieces)) <= learning.documents.room


@pytest.mark.parametrize("masking", ["tokens", "words", "spans"])
def test_masking_hides_the_share_asked_for(bases: dict[str, Path], masking: str) -> None:
    learning = learning_of(bases["encoder"], {"name": "mlm", "masking": masking, "mlm_probability": 0.3})
    rows = rows_of(learning)
    counts = [
        learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(seed))["counts"].sum().item()
        for seed in range(8)
    ]
    assert np.mean(counts) / rows.lengths.sum() == pytest.approx(0.3, abs=0.03)


def test_several_objectives_add_their_weighted_means(bases: dict[str, Path]) -> None:
    base, names = bases["encoder"], ["sop", "mlm", "contrastive"]
    weights = dict(zip(names, (0.5, 1.0, 2.0), strict=True))
    learning = learning_of(base, *({"name": name, "weight": weight} for name, weight in weights.items()))
    rows, model = rows_of(learning), model_of(base, learning)
    batch = learning.draw(rows, np.arange(6), rng=np.random.default_rng(0))
    with torch.no_grad():
        outputs = model(batch)
    total = learning.loss(outputs, batch, options=LossOptions())
    assert learning.head.kind == "masked-tokens"  # a class of transformers' own carries the others' heads
    scores, given = by_head(outputs), by_head(batch)
    means = {part.name: part.loss(scores[place], given[place]) for place, part in learning.parts.items()}
    expected = sum(weights[name] * float(loss.total) / loss.weight for name, loss in means.items())
    assert float(total.total) / total.weight == pytest.approx(expected, rel=1e-6)
    assert [own.shape[0] for own in learning.tally(outputs, batch)] == [6, 6, 6]


def test_a_corrupted_text_and_what_was_taken_out_are_the_text(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder-decoder"], "span-corruption")
    part, mask = learning.parts[""], learning.tokenizer.mask_id
    assert isinstance(part, SpanCorruption)
    for count in (1, 2, 7, 40):
        ids = np.arange(100, 100 + count)
        source, target = part.rewritten(ids, np.array([0]), rng=np.random.default_rng(count))
        lost = [list(group) for is_mask, group in itertools.groupby(target, lambda t: t == mask) if not is_mask]
        whole = [token for one in source for token in (lost.pop(0) if one == mask else [one])]
        assert whole == ids.tolist()


@pytest.mark.parametrize(("ratio", "mean"), [(0.3, 3.0), (0.9, 1.0), (0.05, 20.0), (0.5, 1e-3)])
def test_denoising_hides_its_share_to_the_token_and_never_reads_more_than_a_row(
    bases: dict[str, Path], ratio: float, mean: float
) -> None:
    settings = {"name": "denoising", "permute_sentences": False, "mask_ratio": ratio, "poisson_lambda": mean}
    learning = learning_of(bases["encoder-decoder"], settings)
    part, mask = learning.parts[""], learning.tokenizer.mask_id
    assert isinstance(part, Denoising)
    for seed, count in enumerate([*[learning.documents.room] * 30, 1, 2, 7, 40]):
        ids = np.arange(100, 100 + count)
        source, target = part.rewritten(ids, np.array([0]), rng=np.random.default_rng(seed))
        told = [token for token in source if token != mask]
        assert target == ids.tolist()
        assert told == sorted(told)
        assert len(source) <= learning.documents.room
        assert count - len(told) == max(1, round(count * ratio))
        assert mask in source


def test_swapped_parts_are_labeled_so(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder"], "sop")
    rows, sep = rows_of(learning), learning.tokenizer.suffix[0]
    batch = learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(3))
    assert set(batch["label"].tolist()) == {0, 1}
    for ids, label, piece in zip(
        batch["input_ids"], batch["label"], learning.documents.pieces(rows, np.arange(len(rows))), strict=True
    ):
        one, other = (part[part != 0] for part in np.split(ids.numpy()[1:], [ids.tolist().index(sep) - 1]))
        one, other = one[one != sep], other[(other != sep) & (other != learning.tokenizer.pad_id)]
        assert np.array_equal(np.concatenate([other, one] if label else [one, other]), piece)


def test_a_joint_loss_is_the_tasks_and_the_weighted_mean_of_the_objectives(bases: dict[str, Path]) -> None:
    base = bases["encoder"]
    task = make_task("text-classification", TextClassificationSettings(), labels=("a", "b"), folder=base)
    learning = learning_of(base, {"name": "mlm", "weight": 3.0})
    model = build_model(base, task.head, others={"mlm": learning.head}).eval()
    joint = Joint(task, learning, rows_of(learning), weight=0.5, schedule="falling")
    joint.timed(model.noise, steps=10)
    rows = Rows(task.encode({"text": TEXTS[:6], "label": ["a", "b"] * 3}, purpose="learn"))
    model.noise.start(seed=0, step=4)
    batch = joint.draw(rows, np.arange(6), rng=np.random.default_rng(0))
    with torch.no_grad():
        outputs = model(batch)
    scores, given = by_head(outputs), by_head(batch)
    own = task.loss(scores[""], given[""], options=LossOptions())
    beside = learning.parts[""].loss(scores["mlm"], given["mlm"])
    found = joint.loss(outputs, batch, options=LossOptions())
    expected = float(own.total) / own.weight + 0.5 * 0.6 * 3.0 * float(beside.total) / beside.weight
    assert float(found.total) / found.weight == pytest.approx(expected, rel=1e-6)
    plain = joint.collate(rows, np.arange(6))
    with torch.no_grad():
        before = model(plain)["logits"]
        model.shed()
        assert torch.allclose(model(plain)["logits"], before, atol=1e-6)


def test_what_comes_from_elsewhere_is_of_another_document_and_as_long(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder"], "nsp")
    documents = [" ".join([word] * 122) for word in ("tide", "pier", "twice")]  # each of two full rows
    rows = Rows(learning.encode({"text": documents}, purpose="learn"))
    index = np.flatnonzero(rows.scalar("last") == 0)
    assert len(index) == len(documents)
    batch = learning.draw(rows, np.tile(index, 8), rng=np.random.default_rng(0))
    labels = []
    for ids, second, real, label in zip(
        batch["input_ids"], batch["token_type_ids"].bool(), batch["attention_mask"].bool(), batch["label"], strict=True
    ):
        one, other = set(ids[~second & real][1:-1].tolist()), set(ids[second][:-1].tolist())
        assert one.isdisjoint(other) == bool(label)
        labels.append((int(label), int(real.sum())))
    assert {length for label, length in labels if label} == {length for label, length in labels if not label}


def test_words_are_hidden_alike_wherever_a_piece_stands_in_its_document() -> None:
    words = np.array([[0, 0, 1, 2, -1], [3, 4, 4, 5, 5]])
    late = np.where(words < 0, -1, words + 2**40)  # whose numbers would fill any memory
    one, other = (drawn(value, share=0.5, whole=True, rng=np.random.default_rng(4)) for value in (words, late))
    assert np.array_equal(one, other)
    assert one.any(axis=1).all()


def test_marks_of_t5_take_the_place_of_a_mask(bases: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bases["encoder-decoder"], tmp_path / "base")
    tokenizer = load_tokenizer(tmp_path / "base").pretrained
    tokenizer.mask_token = None
    tokenizer.add_tokens([f"<extra_id_{i}>" for i in range(4)], special_tokens=True)
    tokenizer.save_pretrained(tmp_path / "base")
    learning = learning_of(tmp_path / "base", {"name": "span-corruption", "noise_density": 0.5})
    assert learning.tokenizer.mask_id is None
    part, marks = learning.parts[""], tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(4)])
    assert isinstance(part, SpanCorruption)
    source, target = part.rewritten(np.arange(100, 140), np.array([0]), rng=np.random.default_rng(0))
    assert [token for token in source if token in marks] == marks  # and no fifth span, which none would tell apart
    assert [token for token in target if token in marks] == marks


def test_texts_of_unknown_tokens_alone_teach_a_generator_nothing(bases: dict[str, Path]) -> None:
    learning = learning_of(bases["encoder"], "rtd")
    rows = Rows(learning.encode({"text": ["\u0416"]}, purpose="learn"))
    model = model_of(bases["encoder"], learning)
    batch = learning.draw(rows, np.arange(1), rng=np.random.default_rng(0))
    assert len(batch["gold"]) == 0
    with torch.no_grad():
        loss = learning.loss(model(batch), batch, options=LossOptions())
    assert math.isfinite(float(loss.total))


@pytest.mark.parametrize("name", ["nsp", "sop"])
def test_two_parts_fit_where_the_tokenizer_has_a_template_for_single_texts_alone(
    bases: dict[str, Path], name: str
) -> None:
    pretrained = load_tokenizer(bases["encoder"]).pretrained
    special = [(token, pretrained.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    pretrained.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    tokenizer = Tokenizer(pretrained)
    assert (tokenizer.middle, len(tokenizer.suffix)) == (None, 1)
    learning = Pretraining([decided(name, OBJECTIVES)], Documents(tokenizer, max_tokens=24))
    rows = rows_of(learning)
    batch = learning.draw(rows, np.arange(len(rows)), rng=np.random.default_rng(0))
    assert batch["input_ids"].shape[1] == 24
