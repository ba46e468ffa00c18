"""Entities of one bundle, their pairs through another one."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import hone
from hone.bundle.manifest import Lineage
from hone.core.errors import BundleError, DataError, RecipeError
from hone.models.model import build_model
from hone.predict import relations as module
from hone.predict.predictor import Predictor, load
from hone.predict.relations import RelationPredictor, nearest_pairs
from hone.predict.write import write_model
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS

LABELS = ("Other", "lives in", "not in")
TEXTS = ["Ada is in paris .", "nothing here", "Zoë 🎈 and Ada Fox is not in rome . Bob is in paris .", ""]
NONE_LEFT_OUT = {"overlapping": 0, "beyond_limit": 0, "without": 0}


def random_bundle(
    base: Path,
    folder: Path,
    *,
    task_name: str = "relation-extraction",
    labels: tuple[str, ...] = LABELS,
    **settings: Any,
) -> Path:
    """A bundle of random weights."""
    task = make_task(task_name, SETTINGS[task_name].model_validate(settings), labels=labels, folder=base)
    torch.manual_seed(5)
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    return write_model(folder, build_model(base, task.head), task, lineage=lineage).path


@pytest.fixture(scope="module")
def relating(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tiny_base, tmp_path_factory.mktemp("relations") / "bundle")


@pytest.fixture(scope="module")
def alone(relating: Path) -> Predictor:
    return load(relating, device="cpu")


@pytest.fixture(scope="module")
def both(relating: Path, tag_bundle: Path) -> RelationPredictor:
    return hone.load_relations(relating, entities=tag_bundle, device="cpu")


def test_entities_are_those_of_their_bundle(both: RelationPredictor, tag_bundle: Path) -> None:
    for answer, alone in zip(both.predict(TEXTS), load(tag_bundle, device="cpu").predict(TEXTS), strict=True):
        assert answer["entities"] == alone["entities"]
        assert list(answer) == ["entities", "relations", "left_out", "truncated"]


def test_every_ordered_pair_is_labeled_as_by_its_bundle_alone(both: RelationPredictor, alone: Predictor) -> None:
    for text, answer in zip(TEXTS, both.predict(TEXTS), strict=True):
        found = answer["entities"]
        pairs = list(itertools.permutations(range(len(found)), 2))
        assert [(one["head"], one["tail"]) for one in answer["relations"]] == pairs
        assert answer["left_out"] == NONE_LEFT_OUT
        for one in answer["relations"]:
            spans = {name: {end: found[one[name]][end] for end in ("start", "end")} for name in ("head", "tail")}
            [wanted] = alone.predict({"text": text, **spans})
            assert {name: one[name] for name in ("label", "truncated")} == {
                n: wanted[n] for n in ("label", "truncated")
            }
            assert one["scores"] == pytest.approx(wanted["scores"], abs=1e-5)
    assert len(both.predict(TEXTS[2])[0]["relations"]) >= 6


def test_labels_that_name_the_direction_are_asked_about_once(tiny_base: Path, tag_bundle: Path, tmp_path: Path) -> None:
    directed = random_bundle(tiny_base, tmp_path / "b", labels=("Other", "Cause(e1,e2)", "Cause(e2,e1)"))
    [answer] = hone.load_relations(directed, entities=tag_bundle, device="cpu").predict(TEXTS[2])
    places = [(one["head"], one["tail"]) for one in answer["relations"]]
    assert places == list(itertools.combinations(range(len(answer["entities"])), 2))


def test_pairs_beyond_the_limit_are_counted(relating: Path, tag_bundle: Path) -> None:
    few = hone.load_relations(relating, entities=tag_bundle, most_pairs=2, device="cpu")
    [answer] = few.predict(TEXTS[2])
    count = len(answer["entities"])
    assert len(answer["relations"]) == 4
    assert answer["left_out"] == {**NONE_LEFT_OUT, "beyond_limit": count * (count - 1) // 2 - 2}


def test_relations_of_a_label_to_do_without_are_counted(
    both: RelationPredictor, relating: Path, tag_bundle: Path
) -> None:
    every = [one for answer in both.predict(TEXTS) for one in answer["relations"]]
    label = every[0]["label"]
    told = hone.load_relations(relating, entities=tag_bundle, without=label, device="cpu").predict(TEXTS)
    assert [one["label"] for a in told for one in a["relations"]] == [o["label"] for o in every if o["label"] != label]
    assert sum(answer["left_out"]["without"] for answer in told) == sum(one["label"] == label for one in every) > 0


def test_a_stream_answers_in_order_whatever_is_encoded_together(
    both: RelationPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [TEXTS[i % 4] for i in range(23)]
    wanted = both.predict(texts)
    monkeypatch.setattr(module, "EXAMPLES_AT_ONCE", 5)
    for eager in (False, True):
        parts = list(both.stream(({"text": texts[at : at + 9]} for at in range(0, 23, 9)), eager=eager))
        assert len(parts) > 3
        found = [answer for part in parts for answer in part]
        shown = [[(one["head"], one["tail"], one["label"]) for one in answer["relations"]] for answer in found]
        assert shown == [[(o["head"], o["tail"], o["label"]) for o in answer["relations"]] for answer in wanted]


def test_a_text_that_the_relations_bundle_refuses_is_named_by_its_place(
    tiny_base: Path, tag_bundle: Path, tmp_path: Path
) -> None:
    strict = random_bundle(tiny_base, tmp_path / "b", max_length=20, long_text="refuse")
    predictor = hone.load_relations(strict, entities=tag_bundle, device="cpu")
    with pytest.raises(DataError) as caught:
        predictor.predict([TEXTS[0], TEXTS[0], "Ada is in paris " + "and not here " * 20])
    assert caught.value.code == "data.text-too-long"
    assert "row 3" in str(caught.value)
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("seed", range(20))
def test_the_pairs_are_the_nearest_that_do_not_overlap(seed: int) -> None:
    rng = random.Random(seed)
    entities = [
        {"start": s, "end": s + rng.randint(1, 9)} for s in (rng.randint(0, 40) for _ in range(rng.randint(0, 9)))
    ]
    gaps = {
        (i, j): entities[j]["start"] - entities[i]["end"]
        for i, j in itertools.permutations(range(len(entities)), 2)
        if entities[i]["end"] <= entities[j]["start"]
    }
    most = rng.randint(1, 12)
    pairs, apart = nearest_pairs(entities, most=most)
    assert apart == len(gaps)
    assert len(set(pairs)) == len(pairs)
    assert [gaps[pair] for pair in pairs] == sorted(gaps.values())[:most]


def test_overlapping_pairs_are_counted_and_not_asked_about(both: RelationPredictor) -> None:
    nested = [{"start": 0, "end": 9, "label": "A"}, {"start": 4, "end": 9, "label": "B"},
              {"start": 9, "end": 12, "label": "A"}]  # fmt: skip
    asked = both._asked("Ada Foxes in", {"entities": nested, "truncated": False})
    assert asked.pairs == [(0, 2), (1, 2), (2, 0), (2, 1)]
    assert (asked.overlapping, asked.beyond_limit) == (1, 0)


@pytest.mark.parametrize(
    ("name", "labels", "settings"),
    [
        ("span-classification", ("A",), {}),
        ("intent-and-slots", ("greet",), {"slots": list("ABCDEF")}),
    ],
)
def test_every_task_that_finds_entities_may_find_them(
    name: str, labels: tuple[str, ...], settings: Any, relating: Path, tiny_base: Path, tmp_path: Path
) -> None:
    tagger = random_bundle(tiny_base, tmp_path / "b", task_name=name, labels=labels, **settings)
    text = "Ada Fox is in paris and Zoë is not in rome ."
    [found] = load(tagger, device="cpu").predict(text)
    [answer] = hone.load_relations(relating, entities=tagger, most_pairs=5, device="cpu").predict(text)
    assert {key: answer[key] for key in found} == found
    count, out = len(found["entities"]), answer["left_out"]
    assert len(answer["relations"]) / 2 + out["overlapping"] + out["beyond_limit"] == count * (count - 1) / 2
    assert count > 1


@pytest.mark.parametrize(
    ("swapped", "code"),
    [(("tag", "tag"), "bundle.no-relations"), (("relating", "relating"), "bundle.no-entities"),
     (("tag", "relating"), "bundle.no-relations")],
)  # fmt: skip
def test_bundles_of_other_tasks_are_refused(
    swapped: tuple[str, str], code: str, relating: Path, tag_bundle: Path
) -> None:
    folders = {"tag": tag_bundle, "relating": relating}
    with pytest.raises(BundleError) as caught:
        hone.load_relations(folders[swapped[0]], entities=folders[swapped[1]], device="cpu")
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("given", "code"), [({"without": "lives on"}, "predict.without"), ({"most_pairs": 0}, "predict.most-pairs")]
)
def test_what_cannot_be_asked_for_is_refused(
    given: dict[str, Any], code: str, both: RelationPredictor, relating: Path, tag_bundle: Path
) -> None:
    with pytest.raises(RecipeError) as caught:
        hone.load_relations(relating, entities=tag_bundle, device="cpu", **given)
    assert caught.value.code == code
