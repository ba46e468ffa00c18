"""The stage and the command compress: what is refused, what is written, what unlabeled texts do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, TaskChoice
from hone.cli.main import main
from hone.compress import vocabulary
from hone.compress.settings import CompressSettings, find_faults, measured_on
from hone.compress.start import Made, Start
from hone.core.errors import GateNotMet, RecipeError
from hone.core.progress import Silent
from hone.core.settings import Settings
from hone.models.tokenizer import load_tokenizer
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import run_stages


def recipe(texts: dict[str, Path], base: Path, **compress: Any) -> dict[str, Any]:
    return {
        "version": 1, "task": "text-classification", "base": str(base), "data": {"train": str(texts["train"])},
        "stages": [
            {"kind": "finetune", "num_train_epochs": 2, "learning_rate": 5e-3, "save_steps": None},
            {"kind": "compress", "method": "vocabulary", **compress},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "vocabulari"}, "Did you mean 'vocabulary'"),
        ({"method": {"name": "vocabulary", "character": True}}, "characters"),
        ({"method": 3}, "the name of a compression method"),
        ({"on": "test"}, "another split than 'test'"),
        ({"max_drop": -0.1}, "greater than or equal to 0"),
        ({"min_agreement": 1.1}, "less than or equal to 1"),
        ({"on": "dev"}, "no data named 'dev'"),
        ({"on": "unlabeled"}, "unlabeled, whose rows have no label"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(
    texts: dict[str, Path], tiny_base: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    asked = recipe(texts, tiny_base, **settings)
    asked["data"]["unlabeled"] = str(texts["train"])
    with pytest.raises(RecipeError) as caught:
        hone.run(asked, out=tmp_path / "run")
    assert words in str(caught.value)
    assert not (tmp_path / "run" / "stages").exists()


def test_a_result_that_lost_too_much_is_refused_and_not_written(
    texts: dict[str, Path], tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune = vocabulary.prune_vocabulary

    def spoil(settings: Any, start: Start) -> Made:
        made = prune(settings, start)
        for parameter in made.model.parameters():
            parameter.data.mul_(-1.0)
        return made

    monkeypatch.setattr(vocabulary, "prune_vocabulary", spoil)
    for number, (asked, said) in enumerate(
        [
            ({"max_drop": 0.01}, "a drop of at most 0.01"),
            ({"min_agreement": 0.9}, "Expected 90.00% at least"),
            ({}, "Expected 99.00% at least, for vocabulary changes none"),
        ]
    ):
        with pytest.raises(GateNotMet, match=said):
            hone.run(recipe(texts, tiny_base, **asked), out=tmp_path / str(number))
        assert not (tmp_path / str(number) / "bundle").exists()
    assert hone.run(recipe(texts, tiny_base, min_agreement=0.0), out=tmp_path / "allowed").bundle is not None


def test_the_command_compresses_a_bundle_and_keeps_it(
    text_bundle: Path, texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Bundle.open(text_bundle).digest
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"text": "they hate the bank"}) + "\n")
    for name, extra in {"plain": [], "wider": ["--unlabeled", str(more)]}.items():
        arguments = [str(text_bundle), str(texts["train"]), "--method", "vocabulary", "--out", str(tmp_path / name)]
        with pytest.raises(SystemExit) as ended:
            main(["compress", *arguments, *extra, "method.characters=false", "--json"])
        assert ended.value.code == 0
        assert json.loads(capsys.readouterr().out)["stage"] == "compress"
    assert Bundle.open(text_bundle).digest == before
    plain, wider = (load_tokenizer(tmp_path / name) for name in ("plain", "wider"))
    assert plain.unk_id in plain.encode(["they hate"])[0]
    assert wider.unk_id not in wider.encode(["they hate"])[0]
    assert Bundle.open(tmp_path / "plain").manifest.lineage.parents == (before,)


def test_a_tagger_is_compressed_too(tag_bundle: Path, tagged: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "compress",
                str(tag_bundle),
                str(tagged["train"]),
                "--method",
                "vocabulary",
                "--out",
                str(tmp_path / "new"),
            ]
        )
    assert ended.value.code == 0
    tokens = [["Ada", "is", "in", "rome", "."]]
    assert hone.load(tmp_path / "new").predict(tokens) == hone.load(tag_bundle).predict(tokens)


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ({"name": "int8"}, "cpu"),
        ({"name": "weight-only"}, "cpu"),
        ({"name": "onnx"}, "cpu"),
        ({"name": "distill"}, "auto"),
        ({"name": "search", "max_size_mb": 1, "steps": [["distill"], ["vocabulary", "int8"]]}, "cpu"),
        ({"name": "search", "max_size_mb": 1, "steps": [["distill"], ["vocabulary"]]}, "auto"),
    ],
)
def test_what_runs_on_the_cpu_alone_is_measured_there_beside_its_parent(method: dict[str, Any], where: str) -> None:
    settings = CompressSettings(method=method)
    assert measured_on(settings.method, "auto") == where
    inputs = Inputs(TaskChoice("text-classification", Settings()), base=None, data={}, device="cuda")
    faults = find_faults(settings, inputs)
    assert [(fault.code, fault.field) for fault in faults] == [("compress.device", "method")] * (where == "cpu")


def test_the_device_of_both_is_told(text_bundle: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    values = {"version": 1, "task": "text-classification", "stages": [{"kind": "compress", "method": "weight-only"}],
              "data": {"train": str(texts["train"])}}  # fmt: skip
    bundle = Bundle.open(text_bundle)
    result = run_stages(make_recipe(values, folder=Path()), out=tmp_path, progress=Silent(), bundle=bundle)
    assert result.reports["compress"].facts["device"] == "cpu"
    with pytest.raises(RecipeError, match="weight-only, whose results run on a CPU alone, and device: cuda"):
        run_stages(
            make_recipe({**values, "device": "cuda"}, folder=Path()), out=tmp_path / "gpu", progress=Silent(),
            bundle=bundle,
        )  # fmt: skip


def test_without_a_bundle_there_is_nothing_to_compress(texts: dict[str, Path], tmp_path: Path) -> None:
    values = {"version": 1, "task": "text-classification", "data": {"train": str(texts["train"])},
              "stages": [{"kind": "compress", "method": "vocabulary"}]}  # fmt: skip
    with pytest.raises(RecipeError, match="no bundle given and none made before it"):
        hone.run(values, out=tmp_path / "run")
