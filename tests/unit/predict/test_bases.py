"""The base of an adapter's bundle: found where it is said to be, and no other taken for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hone.bundle.bundle import Bundle
from hone.bundle.manifest import Lineage, Manifest, Part, Plain, Requirement
from hone.compress.merge import require_mergeable
from hone.core.errors import BundleError, RecipeError
from hone.models.adapters.table import METHODS
from hone.models.base import Base, resolve_base
from hone.models.tiny import write_tiny_base
from hone.predict.bases import PLACE, find_base, how_to_make_whole, place_of, requirement_of


def bundle_over(base: Base, folder: Path) -> Bundle:
    lineage = Lineage(parents=(), stage="finetune", recipe={}, recipe_digest="", data=(), seed=1, hone="")
    manifest = Manifest(
        task=None, parts=(), default=(), requires=(requirement_of(base),),
        plain=Plain(auto_class="AutoModel", gives="nothing"), lineage=lineage, digest="d" * 64,
    )  # fmt: skip
    folder.mkdir()
    return Bundle(folder, manifest)


def remember(bundle: Bundle, base: Base) -> None:
    for name, content in place_of(base, bundle=bundle.digest).items():
        bundle.attach(name, content)


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Base:
    return resolve_base(str(shutil.copytree(tiny_base, tmp_path / "base")))


def test_a_folder_is_remembered_outside_of_what_is_digested(base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(base, tmp_path / "bundle")
    remember(bundle, base)
    assert bundle.manifest.requires == (Requirement(role="base", digest=base.digest),)
    assert find_base(bundle).folder == base.folder.resolve()


def test_a_public_name_stands_in_the_manifest(base: Base, tmp_path: Path) -> None:
    public = Base("owner/model", base.folder, base.digest, place="hub")
    assert requirement_of(public).name == "owner/model"
    assert place_of(public, bundle="d") == {}


def test_a_base_that_is_named_comes_before_what_is_remembered(base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(base, tmp_path / "bundle")
    remember(bundle, base)
    moved = base.folder.rename(tmp_path / "moved")
    bundle.base = str(moved)
    assert find_base(bundle).folder == moved


def test_another_base_is_refused_by_its_digest(base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(base, tmp_path / "bundle")
    bundle.base = str(write_tiny_base(tmp_path / "other", seed=7))
    with pytest.raises(BundleError) as caught:
        find_base(bundle)
    assert caught.value.code == "bundle.wrong-base"
    assert base.digest in str(caught.value)


@pytest.mark.parametrize("kept", [None, "not json", '{"folder": 3}', '{"folder": "/nowhere/at/all"}'])
def test_a_missing_base_is_told(kept: str | None, base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(base, tmp_path / "bundle")
    if kept is not None:
        bundle.attach(PLACE, kept)
    with pytest.raises(BundleError) as caught:
        find_base(bundle)
    assert caught.value.code == "bundle.no-base"
    assert "--base" in str(caught.value)
    assert f'looks where "folder" in {bundle.path / "attachments" / PLACE} says' in str(caught.value)


def test_what_is_looked_at_without_an_option_is_where_the_base_may_be_said_to_be(base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(base, tmp_path / "bundle")
    bundle.attach(PLACE, json.dumps({"folder": str(base.folder.rename(tmp_path / "moved"))}))
    assert find_base(bundle).folder == tmp_path / "moved"


def test_of_a_base_with_a_public_name_that_name_is_told(base: Base, tmp_path: Path) -> None:
    bundle = bundle_over(Base("owner/model", base.folder, base.digest, place="hub"), tmp_path / "bundle")
    bundle.base = str(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="a command without that option takes 'owner/model' by its name alone"):
        find_base(bundle)


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].adapter])
def test_what_makes_a_whole_model_of_an_adapter_is_what_merge_takes(name: str, base: Base, tmp_path: Path) -> None:
    part = Part(role="adapter", name=name, format="safetensors-adapter", files=())
    bundle = bundle_over(base, tmp_path / "bundle")
    bundle = Bundle(bundle.path, bundle.manifest.model_copy(update={"parts": (part,)}))
    told = how_to_make_whole(bundle)
    if METHODS[name].merges:
        require_mergeable(bundle)
        assert "hone merge BUNDLE" in told
    else:
        with pytest.raises(RecipeError):
            require_mergeable(bundle)
        assert f"{name} cannot be merged" in told
        assert "lora" in told
