"""Bundles side by side: one base in memory, each adapter's own answers, whoever else is asked meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage
from hone.core.errors import BundleError, RecipeError
from hone.models.base import resolve_base
from hone.models.model import build_model
from hone.predict.engine import TorchEngine
from hone.predict.predictor import load
from hone.predict.shelf import Shelf
from hone.predict.write import write_model
from hone.serve.app import make_app
from hone.serve.server import named
from hone.tasks.make import make_task
from hone.tasks.settings import TextClassificationSettings
from hone.train.finetune import tune
from hone.train.settings import FinetuneSettings

TEXTS = ["i want my money back", "reset the password please", "the screen is broken"]
METHODS = {"a": "lora", "b": "ia3", "c": {"name": "pfeiffer", "bottleneck_size": 8}, "d": "lora"}


@pytest.fixture(scope="module")
def folders(tiny_base: Path, text_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four adapters over one base, each with random weights, and a whole bundle."""
    folder, found = tmp_path_factory.mktemp("shelf"), {}
    base = resolve_base(str(tiny_base))
    for seed, (name, method) in enumerate(METHODS.items()):
        labels = ("broken", "password", "refund")[: 2 + seed % 2]
        settings = TextClassificationSettings.model_validate({"pooling": "cls" if name == "d" else "mean"})
        task = make_task("text-classification", settings, labels=labels, folder=tiny_base)
        torch.manual_seed(seed)
        model = build_model(tiny_base, task.head)
        tune(model, FinetuneSettings.model_validate({"method": method}))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.3)
        lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
        found[name] = write_model(folder / name, model, task, lineage=lineage, base=base).path
    return found | {"whole": text_bundle}


@pytest.fixture(scope="module")
def shelf(folders: dict[str, Path], tiny_base: Path) -> Shelf:
    return hone.load_shelf(folders, device="cpu", base=str(tiny_base))


def test_each_answers_as_it_does_alone(shelf: Shelf, folders: dict[str, Path], tiny_base: Path) -> None:
    assert list(shelf) == list(folders)
    for name, folder in folders.items():
        alone = load(folder, device="cpu", base="" if name == "whole" else str(tiny_base)).predict(TEXTS)
        for here, there in zip(shelf.predict(TEXTS, bundle=name), alone, strict=True):
            assert here["label"] == there["label"]
            assert here["scores"] == pytest.approx(there["scores"], abs=1e-5)


def test_adapters_share_every_weight_of_their_base(shelf: Shelf) -> None:
    engines = [shelf[name].engine for name in METHODS]
    held: dict[int, int] = {}
    for engine in engines:
        assert isinstance(engine, TorchEngine)
        held |= {value.data_ptr(): value.nbytes for value in engine.model.parameters()}
    first = engines[0]
    assert isinstance(first, TorchEngine)
    base = sum(value.nbytes for name, value in first.model.backbone.named_parameters() if "lora" not in name)
    assert sum(held.values()) < 1.6 * base  # of four models; tiny bases have large adapters


def test_threads_that_ask_different_adapters_do_not_see_one_another(shelf: Shelf) -> None:
    wanted = {name: shelf.predict(TEXTS, bundle=name) for name in METHODS}
    wrong: list[str] = []

    def ask(name: str) -> None:
        for _ in range(20):
            if shelf.predict(TEXTS, bundle=name) != wanted[name]:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in METHODS for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_name_that_is_not_there_is_told(shelf: Shelf) -> None:
    with pytest.raises(BundleError, match="Did you mean 'whole'"):
        shelf.predict("x", bundle="whol")


def test_two_bundles_of_one_name_are_refused(text_bundle: Path) -> None:
    with pytest.raises(BundleError) as caught:
        hone.load_shelf([text_bundle, text_bundle])
    assert caught.value.code == "bundle.same-name"


def test_a_base_that_none_of_them_stands_on_is_refused(text_bundle: Path, tiny_base: Path) -> None:
    with pytest.raises(BundleError) as caught:
        hone.load_shelf({"a": text_bundle, "b": text_bundle}, base=str(tiny_base))
    assert caught.value.code == "bundle.stands-alone"


def test_the_service_answers_for_the_bundle_that_the_path_names(shelf: Shelf, folders: dict[str, Path]) -> None:
    with TestClient(make_app(shelf)) as client:
        for name in METHODS:
            answer = client.post(f"/predict/{name}", json={"inputs": TEXTS}).json()
            assert answer["bundle"] == Bundle.open(folders[name]).digest
            assert answer["predictions"] == shelf.predict(TEXTS, bundle=name)
        for path in ("/predict", "/predict/nobody"):
            missing = client.post(path, json={"inputs": "x"})
            assert (missing.status_code, missing.json()["code"]) == (404, "request.unknown-bundle")
            assert "/predict/a" in missing.json()["message"]
        assert client.post("/predict/a", json={"inputs": 3}).status_code == 422
        elsewhere = client.get("/")
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (404, "request.unknown-path")
        assert "POST /predict/a" in elsewhere.json()["message"]
        page = client.get("/docs").text
        assert all(f"/predict/{name}" in page for name in METHODS)
        assert "/predict/a" in client.get("/openapi.json").json()["paths"]


def test_arguments_name_bundles_or_leave_them_their_folders_names(tmp_path: Path) -> None:
    assert named(["a=x/bundle", "y/z"]) == {"a": Path("x/bundle"), "z": Path("y/z")}
    odd = tmp_path / "with=sign"
    odd.mkdir()
    assert named([str(odd)]) == {"with=sign": odd}


@pytest.mark.parametrize("given", [["a/bundle", "b/bundle"], ["x y=a", "b"], ["a/ü", "b"]])
def test_names_that_cannot_be_told_apart_or_stand_in_a_path_are_refused(given: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        named(given)
    assert caught.value.code == "serve.name"
