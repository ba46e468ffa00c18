"""What a base cannot learn is told before a corpus is read, which may take hours."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.core.errors import DataError, RecipeError


def values_of(base: Path, stage: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"corpus": "nowhere/*.txt", **more.pop("data", {})}
    return {"version": 1, "base": str(base), "data": data, "stages": [stage], "device": "cpu", **more}


def test_an_objective_for_another_kind_of_base_is_told_before_the_corpus_is_missed(
    tiny_base: Path, tmp_path: Path
) -> None:
    wrong = values_of(tiny_base, {"kind": "pretrain", "objective": ["mlm", "clm"]})
    with pytest.raises(RecipeError) as caught:
        hone.run(wrong, out=tmp_path / "run")
    assert [(fault.code, fault.field) for fault in caught.value.faults] == [
        ("recipe.objective-base", "stages.0.objective.1.name")
    ]
    with pytest.raises(DataError, match="nowhere"):
        hone.run(values_of(tiny_base, {"kind": "pretrain"}), out=tmp_path / "run")


@pytest.mark.parametrize("change", [{"extends": "base"}, {"grow": "base", "layers": 4}])
def test_so_is_a_base_that_can_be_neither_grown_nor_extended(
    change: dict[str, Any], tiny_base: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").rename(folder / "model.shaped.safetensors")
    named = {key: str(folder) if value == "base" else value for key, value in change.items()}
    wrong = values_of(tiny_base, {"kind": "pretrain"}) | {"base": named}
    with pytest.raises(RecipeError, match="a compressed one") as caught:
        hone.run(wrong, out=tmp_path / "run")
    assert caught.value.code == "base.not-plain"


def test_so_is_one_that_is_learned_beside_a_task(tiny_base: Path, texts: dict[str, Path], tmp_path: Path) -> None:
    stage = {"kind": "finetune", "joint": {"objective": "clm", "on": "corpus"}}
    wrong = values_of(tiny_base, stage, task="text-classification", data={"train": str(texts["train"])})
    with pytest.raises(RecipeError) as caught:
        hone.run(wrong, out=tmp_path / "run")
    assert [fault.field for fault in caught.value.faults] == ["stages.0.joint.objective.0.name"]
