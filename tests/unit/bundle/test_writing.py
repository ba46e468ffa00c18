"""A bundle is written whole or not at all, and what lies in the way stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError
from small_bundle import FILES, fill, make_manifest

from hone.bundle import bundle as module
from hone.bundle.bundle import MANIFEST, Bundle, require_free, write_bundle
from hone.bundle.manifest import Manifest, Requirement
from hone.core.errors import BundleError, HoneError


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_written_bundle_has_the_digest_it_opens_with(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "deep" / "bundle", build=fill)
    assert Bundle.open(written.path).digest == written.digest
    assert {name: record.bytes for name, record in written.manifest.files.items()} == {
        name: len(content) for name, content in FILES.items()
    }


def test_equal_content_has_equal_digests_wherever_it_lies(tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "a", build=fill).digest == write_bundle(tmp_path / "b", build=fill).digest


def test_a_bundle_can_be_read_by_everyone(tmp_path: Path) -> None:
    def private(folder: Path) -> Manifest:
        manifest = fill(folder)
        (folder / "tokenizer.json").chmod(0o600)
        return manifest

    path = write_bundle(tmp_path / "bundle", build=private).path
    modes = {stat.S_IMODE(p.stat().st_mode) for p in path.rglob("*") if p.is_file()}
    assert modes == {0o644}
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


class Stopped(Exception):
    """Raised in the middle of building."""


def failing(error: BaseException) -> Callable[[Path], Manifest]:
    def build(folder: Path) -> Manifest:
        fill(folder)
        raise error

    return build


@pytest.mark.parametrize("old", [True, False])
def test_a_build_that_raises_leaves_what_lay_there_and_no_folder(tmp_path: Path, old: bool) -> None:
    target = tmp_path / "place" / "bundle"
    if old:
        write_bundle(target, build=fill)
    target.parent.mkdir(exist_ok=True)
    before = tree(target.parent)
    with pytest.raises(Stopped):
        write_bundle(target, build=failing(Stopped()))
    assert tree(target.parent) == before
    assert [p.name for p in target.parent.iterdir()] == (["bundle"] if old else [])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_a_disk_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(HoneError) as caught:
        write_bundle(tmp_path / "bundle", build=failing(error))
    assert caught.value.code == "bundle.not-saved"
    assert str(tmp_path / "bundle") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(HoneError) as caught:
        write_bundle(tmp_path / "file" / "bundle", build=fill)
    assert caught.value.code == "bundle.not-saved"


def other(folder: Path) -> Manifest:
    (folder / "other.txt").write_text("x")
    return make_manifest().model_copy(update={"parts": (), "default": ()})


def test_a_bundle_is_replaced_with_all_it_held(folder: Path) -> None:
    Bundle.open(folder).attach("old.txt", "x")
    new = write_bundle(folder, build=other)
    assert Bundle.open(folder).digest == new.digest
    assert set(tree(folder)) == {MANIFEST, "other.txt"}
    assert [p.name for p in folder.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("error", [OSError("refused"), KeyboardInterrupt()])
def test_a_replacement_that_is_refused_leaves_the_old_bundle(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    digest = Bundle.open(folder).digest
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if str(source).endswith(".partial"):
            raise error
        real(source, target)

    monkeypatch.setattr(module.os, "replace", replace)
    with pytest.raises((HoneError, KeyboardInterrupt)):
        write_bundle(folder, build=other)
    assert Bundle.open(folder).digest == digest
    assert [p.name for p in folder.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_something_else_in_the_way_is_refused_and_stays(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "thesis.txt").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(BundleError) as caught:
        write_bundle(place, build=fill)
    assert caught.value.code == "bundle.in-the-way"
    assert str(place) in str(caught.value)
    assert tree(tmp_path) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    assert write_bundle(tmp_path / "place", build=fill).digest == Bundle.open(tmp_path / "place").digest


def test_a_bundle_or_nothing_is_not_in_the_way(folder: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    require_free(folder)
    require_free(tmp_path / "nothing")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "nothing").exists()


def test_a_bundle_does_not_go_into_another(folder: Path) -> None:
    for place in (folder / "index", folder / "attachments" / "index"):
        with pytest.raises(BundleError) as caught:
            write_bundle(place, build=fill)
        assert (caught.value.code, str(folder) in str(caught.value)) == ("bundle.in-the-way", True)
    assert Bundle.open(folder).digest


@pytest.mark.parametrize("content", ["é", "é".encode()])
def test_an_attachment_is_written_and_leaves_the_digest(folder: Path, content: str | bytes) -> None:
    bundle = Bundle.open(folder)
    path = bundle.attach("note.txt", content)
    assert path == folder / "attachments" / "note.txt"
    assert path.read_text(encoding="utf-8") == "é"
    assert Bundle.open(folder).digest == bundle.digest


def test_an_attachment_is_replaced_whole(folder: Path) -> None:
    bundle = Bundle.open(folder)
    bundle.attach("note.txt", "a long first note")
    bundle.attach("note.txt", "short")
    assert [p.read_text() for p in (folder / "attachments").iterdir()] == ["short"]


def test_a_bundle_that_the_new_one_requires_is_not_replaced(tmp_path: Path) -> None:
    old = write_bundle(tmp_path / "bundle", build=fill)
    before = tree(old.path)

    def standing_on(digest: str) -> Callable[[Path], Manifest]:
        needs = (Requirement(role="base", digest=digest),)
        return lambda folder: fill(folder).model_copy(update={"requires": needs})

    with pytest.raises(BundleError) as caught:
        write_bundle(old.path, build=standing_on(old.digest))
    assert caught.value.code == "bundle.required"
    assert tree(tmp_path) == {f"bundle/{name}": content for name, content in before.items()}
    assert write_bundle(old.path, build=standing_on("another")).digest != old.digest
