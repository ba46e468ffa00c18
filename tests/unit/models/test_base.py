"""A base is found where the recipe says, is named by what it holds, and nothing pickled or foreign is taken for it."""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub.constants
import pytest

from hone.core.errors import BundleError, HoneError, RecipeError
from hone.core.lineage import digest_file, digest_value
from hone.models.base import MINILM, MINILM_HUB, MINILM_PACKAGE, MINILM_SHA256, digest_base, resolve_base


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache of this test, empty; what is not in it cannot be had, for the tests are offline."""
    folder = tmp_path / "hf-home" / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def cached(hub: Path, name: str, files: Path) -> Path:
    """Put ``files`` into the hub's cache as the model ``name``; returns the snapshot's folder."""
    commit = "c" * 40
    repo = hub / f"models--{name.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit, encoding="utf-8")
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in files.iterdir():
        if file.is_file():
            (snapshot / file.name).symlink_to(file)
    return snapshot


def package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """An installed package of the default base's name, whose model folder is empty; returns that folder."""
    model = folder / MINILM_PACKAGE / "model"
    model.mkdir(parents=True)
    (folder / MINILM_PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder)
    return model


def embedded() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


def code_of(name: str, *, relative_to: Path | None = None) -> str:
    with pytest.raises(HoneError) as raised:
        resolve_base(name, relative_to=relative_to)
    return raised.value.code


def test_a_folder_is_found_by_its_path(tiny_base: Path) -> None:
    base = resolve_base(str(tiny_base))
    assert (base.name, base.folder) == (str(tiny_base), tiny_base)


def test_a_relative_folder_is_taken_from_where_the_caller_says(tiny_base: Path) -> None:
    assert resolve_base(f"./{tiny_base.name}", relative_to=tiny_base.parent).folder == tiny_base


def test_a_relative_folder_without_that_is_taken_from_the_current_one(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_base.parent)
    assert resolve_base(tiny_base.name).digest == resolve_base(str(tiny_base)).digest


def test_a_folder_named_like_a_hub_id_wins_over_the_hub(tiny_base: Path, tmp_path: Path, hub: Path) -> None:
    shutil.copytree(tiny_base, tmp_path / "owner" / "model")
    assert resolve_base("owner/model", relative_to=tmp_path).folder == tmp_path / "owner" / "model"


def test_the_digest_does_not_depend_on_the_place(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "elsewhere")
    assert resolve_base(str(copy)).digest == resolve_base(str(tiny_base)).digest


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_digest_changes_with_weights_configuration_and_tokenizer(
    tiny_base: Path, tmp_path: Path, file: str
) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / file).write_bytes((copy / file).read_bytes() + b" ")
    assert resolve_base(str(copy)).digest != resolve_base(str(tiny_base)).digest


BERT = {"unk_token": "[UNK]", "mask_token": "[MASK]"}
NAMED = {"tokenizer_config.json": BERT}


def digest_with(folder: Path, base: Path, files: Mapping[str, object], *, without: str = "") -> str:
    """Digest of a copy of ``base`` in ``folder`` that has ``files``, values of JSON, and one file less."""
    copy = shutil.copytree(base, folder)
    for name, value in files.items():
        (copy / name).write_text(json.dumps(value), encoding="utf-8")
    if without:
        (copy / without).unlink()
    return digest_base(copy)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("special_tokens_map.json", {"unk_token": "[UNK]", "eos_token": "[SEP]"}, {"unk_token": "[MASK]"}),
        ("special_tokens_map.json", {"mask_token": {"content": "[MASK]", "lstrip": True}}, BERT),
        ("special_tokens_map.json", {"extra_special_tokens": ["[A]"]}, {"extra_special_tokens": ["[B]"]}),
        ("added_tokens.json", {"[A]": 100}, {"[A]": 101}),
        ("added_tokens.json", {"[A]": 100}, {}),
    ],
)
def test_the_digest_changes_with_special_and_added_tokens(
    tiny_base: Path, tmp_path: Path, name: str, one: object, other: object
) -> None:
    digests = [digest_with(tmp_path / str(i), tiny_base, {**NAMED, name: said}) for i, said in enumerate((one, other))]
    assert digests[0] != digests[1]


@pytest.mark.parametrize("name", ["vocab.json", "spiece.model"])
def test_the_digest_changes_with_a_vocabulary_that_is_read_where_no_tokenizer_json_is(
    tiny_base: Path, tmp_path: Path, name: str
) -> None:
    bare, one, other = (
        digest_with(tmp_path / str(i), tiny_base, files, without="tokenizer.json")
        for i, files in enumerate(({}, {name: {"a": 0}}, {name: {"a": 1}}))
    )
    assert len({bare, one, other}) == 3


@pytest.mark.parametrize(
    ("config", "further"),
    [
        (BERT, {"special_tokens_map.json": BERT}),
        (BERT, {"special_tokens_map.json": {"unk_token": {"content": "[UNK]", "lstrip": False}}}),
        (BERT, {"added_tokens.json": {}}),
        ({"added_tokens_decoder": {}}, {"special_tokens_map.json": {"unk_token": "x"}, "added_tokens.json": {"y": 9}}),
        (BERT, {"vocab.json": {"a": 0}, "spiece.model": "read by slow tokenizers alone"}),
    ],
)  # fmt: skip
def test_the_digest_ignores_files_that_say_of_tokens_what_others_say(
    tiny_base: Path, tmp_path: Path, config: object, further: dict[str, object]
) -> None:
    files = {"tokenizer_config.json": config}
    plain = digest_with(tmp_path / "plain", tiny_base, files)
    assert digest_with(tmp_path / "more", tiny_base, {**files, **further}) == plain


def test_the_default_base_keeps_the_digest_that_adapters_name() -> None:
    """It has a special_tokens_map.json that says what its tokenizer_config.json says."""
    folder = embedded()
    names = ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert digest_base(folder) == digest_value({name: digest_file(folder / name) for name in names})


def test_a_damaged_map_of_special_tokens_is_digested_as_it_is(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    digests = set()
    for text in ("{", "[", "null"):
        (copy / "special_tokens_map.json").write_text(text, encoding="utf-8")
        digests.add(digest_base(copy))
    assert len(digests) == 3


def test_the_digest_ignores_files_that_no_model_reads(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "README.md").write_text("words", encoding="utf-8")
    assert resolve_base(str(copy)).digest == resolve_base(str(tiny_base)).digest


@pytest.mark.parametrize("name", ["no-such-folder", "./owner/model", "/owner/model", "~/none", "a/b/c"])
def test_a_missing_folder_is_refused_without_asking_the_hub(tmp_path: Path, hub: Path, name: str) -> None:
    assert code_of(name, relative_to=tmp_path) == "base.unknown"


def test_a_file_is_no_base(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert code_of("model.safetensors", relative_to=tmp_path) == "base.unknown"


def test_pickled_weights_alone_are_refused_and_named(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(BundleError) as raised:
        resolve_base(str(copy))
    assert raised.value.code == "base.no-safetensors"
    assert "pytorch_model.bin" in str(raised.value)


def test_weights_without_a_configuration_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "config.json").unlink()
    assert code_of(str(copy)) == "base.no-safetensors"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert code_of(str(tmp_path)) == "base.no-safetensors"


def test_a_hub_id_is_taken_from_the_cache_when_offline(tiny_base: Path, hub: Path) -> None:
    snapshot = cached(hub, "owner/model", tiny_base)
    base = resolve_base("owner/model")
    assert (base.name, base.folder) == ("owner/model", snapshot)
    assert base.digest == resolve_base(str(tiny_base)).digest


def test_a_hub_id_that_cannot_be_had_is_named(hub: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        resolve_base("owner/never-fetched")
    assert raised.value.code == "base.unreachable"
    assert "owner/never-fetched" in str(raised.value)


def test_a_hub_id_that_no_hub_would_have_is_unreachable_too(hub: Path) -> None:
    assert code_of("owner/mo del?") == "base.unreachable"


def test_a_hub_model_with_pickled_weights_alone_is_refused(tiny_base: Path, tmp_path: Path, hub: Path) -> None:
    copy = shutil.copytree(tiny_base, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    cached(hub, "owner/model", copy)
    assert code_of("owner/model") == "base.no-safetensors"


def test_the_default_base_comes_from_its_package(caplog: pytest.LogCaptureFixture, hub: Path) -> None:
    folder = embedded()
    with caplog.at_level(logging.WARNING, logger="hone"):
        assert resolve_base(MINILM).folder == folder
    assert caplog.records == []


def test_other_bytes_in_the_package_are_refused_with_both_digests(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = package(monkeypatch, tmp_path / "site")
    shutil.copytree(tiny_base, model, dirs_exist_ok=True)
    with pytest.raises(BundleError) as raised:
        resolve_base(MINILM)
    assert raised.value.code == "base.digest"
    assert MINILM_SHA256 in str(raised.value)


def test_a_package_without_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(monkeypatch, tmp_path / "site")
    assert code_of(MINILM) == "base.digest"


def test_without_its_package_the_default_base_comes_from_the_hub_and_it_is_said(
    hub: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = cached(hub, MINILM_HUB, embedded())
    monkeypatch.setitem(sys.modules, MINILM_PACKAGE, None)
    with caplog.at_level(logging.WARNING, logger="hone"):
        base = resolve_base(MINILM)
    assert (base.name, base.folder) == (MINILM, snapshot)
    [record] = caplog.records
    assert MINILM_PACKAGE in record.getMessage()
    assert MINILM_HUB in record.getMessage()


def test_other_bytes_from_the_hub_are_refused_as_well(
    tiny_base: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(hub, MINILM_HUB, tiny_base)
    monkeypatch.setitem(sys.modules, MINILM_PACKAGE, None)
    assert code_of(MINILM) == "base.digest"


def test_neither_package_nor_hub_is_an_error(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MINILM_PACKAGE, None)
    assert code_of(MINILM) == "base.unreachable"
