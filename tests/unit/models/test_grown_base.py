"""A base with more layers than the one it begins as: kept, opened as any base, refused where it cannot be."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest
import transformers

from hone.core.errors import BundleError, HoneError, RecipeError
from hone.core.progress import Silent
from hone.models.architectures import ExtensionSettings, GrowthSettings, NewBase, TextCnnSettings
from hone.models.base import Base, digest_base
from hone.models.extended_base import extended
from hone.models.grown_base import grown
from hone.models.new_base import make_base
from hone.models.tokenizer import load_tokenizer
from hone.pipeline.base import find_base
from hone.pipeline.recipe import make_recipe


def base_of(folder: Path) -> Base:
    return Base("tiny", folder, digest_base(folder))


def test_it_is_kept_and_says_what_it_was_made_of(
    tiny_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = base_of(tiny_base)
    settings = GrowthSettings(grow="tiny", layers=3)
    first, again = (grown(base, settings, cache=tmp_path) for _ in range(2))
    assert first == again
    assert capfd.readouterr().err == ""  # no bars of a library's own
    assert first.made == {"grows": base.digest, "layers": 3, "how": "stack"}
    assert transformers.AutoConfig.from_pretrained(first.folder).num_hidden_layers == 3
    text = ["refund my order please"]
    assert load_tokenizer(first.folder).encode(text) == load_tokenizer(tiny_base).encode(text)


def test_a_recipe_asks_for_it_and_runs_again_from_elsewhere(tiny_base: Path) -> None:
    values = {"version": 1, "base": {"grow": tiny_base.name, "layers": 3, "how": "identity"}, "stages": ["pretrain"],
              "data": {"corpus": "texts.txt"}}  # fmt: skip
    recipe = make_recipe(values, folder=tiny_base.parent)
    base = find_base(recipe, {}, Silent())
    assert base.made is not None
    assert base.made["grows"] == digest_base(tiny_base)
    assert str(tiny_base) in recipe.to_yaml()


def test_fewer_layers_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="has 2 layers") as caught:
        grown(base_of(tiny_base), GrowthSettings(grow="tiny", layers=2), cache=tmp_path)
    assert caught.value.code == "base.grow-layers"


def test_a_net_without_such_layers_is_refused(tmp_path: Path) -> None:
    new = NewBase("textcnn", TextCnnSettings())
    base = make_base(new, lambda: ["one text and another"] * 3, source="", seed=1, cache=tmp_path)
    with pytest.raises(RecipeError, match="a textcnn") as caught:
        grown(base, GrowthSettings(grow="x", layers=3), cache=tmp_path)
    assert caught.value.code == "base.not-plain"


@pytest.mark.parametrize("how", ["shaped", "int8"])
def test_a_compressed_base_is_neither_grown_nor_extended(how: str, tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").rename(folder / f"model.{how}.safetensors")
    base = Base("compressed", folder, "")
    for make in (
        lambda: grown(base, GrowthSettings(grow="x", layers=3), cache=tmp_path / "cache"),
        lambda: extended(base, ExtensionSettings(extends="x"), list, source="", cache=tmp_path / "cache"),
    ):
        with pytest.raises(RecipeError, match="the base compressed") as caught:
            make()
        assert caught.value.code == "base.not-plain"
        assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_base_is_not_taken_for_a_cache_that_cannot_be_written(tiny_base: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_base, tmp_path / "base")
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(BundleError, match="cannot be opened") as caught:
        grown(Base("damaged", folder, ""), GrowthSettings(grow="x", layers=3), cache=tmp_path / "cache")
    assert caught.value.code == "base.unreadable"


def test_a_disk_that_is_full_while_a_base_is_made_is_told(tiny_base: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(HoneError) as caught:
            grown(base_of(tiny_base), GrowthSettings(grow="tiny", layers=3), cache=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.code, caught.value.exit_code) == ("cache.not-writable", 1)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
