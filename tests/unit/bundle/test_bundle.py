"""A bundle is opened only when every byte is what its manifest says, and written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError
from small_bundle import FILES, Forge, fill, make_manifest

from hone.bundle import bundle as module
from hone.bundle.bundle import MANIFEST, Bundle, require_free, write_atomically, write_bundle
from hone.bundle.manifest import Manifest
from hone.core.errors import BundleError, HoneError
from hone.core.lineage import digest_value


def fault_of(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert caught.value.exit_code == 2
    return caught.value


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_whole_bundle_opens_from_a_path_or_a_text(folder: Path) -> None:
    assert Bundle.open(folder).digest == Bundle.open(str(folder)).digest
    assert Bundle.open(folder).manifest.files.keys() == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_found_and_told_with_both_digests(folder: Path, name: str) -> None:
    content = bytearray(FILES[name])
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert all(word in str(error) for word in (name, sha256(FILES[name]), sha256(bytes(content))))


def test_a_truncated_file_is_told_with_its_sizes(folder: Path) -> None:
    whole = FILES["model.safetensors"]
    (folder / "model.safetensors").write_bytes(whole[:-1])
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert f"{len(whole) - 1} bytes of {len(whole)}" in str(error)


def test_every_faulty_file_is_named_at_once(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "tokenizer.json").unlink()
    (folder / "extra.bin").write_bytes(b"x")
    message = str(fault_of(folder))
    assert all(name in message for name in ("model.safetensors", "tokenizer.json", "extra.bin"))
    assert "more.json" not in message


@pytest.mark.parametrize("name", ["extra.py", "sub/extra.json", ".hidden", "attachments.json", "attachmentsx/a"])
def test_a_file_that_the_manifest_does_not_name_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert name in str(error)


def test_files_inside_attachments_are_free(folder: Path) -> None:
    digest = Bundle.open(folder).digest
    (folder / "attachments" / "deep").mkdir(parents=True)
    (folder / "attachments" / "deep" / "note.txt").write_text("x")
    assert Bundle.open(folder).digest == digest


@pytest.mark.parametrize("kind", ["link", "file"])
def test_attachments_that_are_no_folder_of_the_bundle_are_refused(folder: Path, tmp_path: Path, kind: str) -> None:
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        (folder / "attachments").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "attachments").write_text("x")
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "attachments" in str(error)


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").mkdir()
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "tokenizer.json" in str(error)


@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "{out}/secret"])
def test_a_path_out_of_the_folder_is_refused_though_its_digest_is_right(
    folder: Path, forge: Forge, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    name = name.format(out=tmp_path)
    forge(lambda raw: raw["files"].update({name: {"sha256": sha256(b"secret"), "bytes": 6}}))
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert name in str(error)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused_though_its_content_is_right(
    folder: Path, tmp_path: Path, linked: str
) -> None:
    name = "tokenizer.json" if linked == "file" else "sub"
    os.replace(folder / name, tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert name in str(error)


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "tokenizer.json" in str(error)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000], ids=["nul", "long"])
def test_a_name_that_no_file_can_have_is_refused(folder: Path, forge: Forge, name: str) -> None:
    forge(lambda raw: raw["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    assert fault_of(folder).code == "bundle.damaged"


@pytest.mark.parametrize("size", [-5, 0, 10**18])
def test_a_wrong_size_is_refused_though_the_digest_is_right(folder: Path, forge: Forge, size: int) -> None:
    forge(lambda raw: raw["files"]["tokenizer.json"].update(bytes=size))
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "tokenizer.json" in str(error)


def test_a_manifest_may_not_name_attachments(folder: Path, forge: Forge) -> None:
    Bundle.open(folder).attach("note.txt", "x")
    forge(lambda raw: raw["files"].update({"attachments/note.txt": {"sha256": sha256(b"x"), "bytes": 1}}))
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "attachments/note.txt" in str(error)


def test_a_part_may_name_only_files_of_the_manifest(folder: Path, forge: Forge) -> None:
    forge(lambda raw: raw["parts"][0].update(files=["attachments/model.safetensors"], fitted_on="x"))
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert "attachments/model.safetensors" in str(error)


@pytest.mark.parametrize("key", ["digest", "min_reader", "parts"])
def test_a_changed_manifest_is_refused(folder: Path, key: str) -> None:
    raw = json.loads((folder / MANIFEST).read_text())
    before = raw["digest"]
    raw[key] = {"digest": "0" * 64, "min_reader": 0, "parts": []}[key]
    (folder / MANIFEST).write_text(json.dumps(raw))
    error = fault_of(folder)
    assert error.code == "bundle.damaged"
    assert (raw["digest"] if key == "digest" else before) in str(error)


def test_a_key_that_this_reader_does_not_know_is_covered_by_the_digest(folder: Path, forge: Forge) -> None:
    forge(lambda raw: raw.update(tomorrow={"x": 1}))
    digest = Bundle.open(folder).digest
    raw = json.loads((folder / MANIFEST).read_text())
    assert digest == digest_value({key: value for key, value in raw.items() if key != "digest"})
    (folder / MANIFEST).write_text(json.dumps({**raw, "tomorrow": {"x": 2}}))
    assert fault_of(folder).code == "bundle.damaged"


def test_a_newer_bundle_is_refused_before_its_shape_is_judged(folder: Path) -> None:
    (folder / MANIFEST).write_text(json.dumps({"min_reader": 2, "parts": "of another kind"}))
    error = fault_of(folder)
    assert error.code == "bundle.newer"
    assert "2" in str(error)


def part(**values: Any) -> dict[str, Any]:
    return {"role": "decision", "name": "extra", "format": "json", "files": ["tokenizer.json"], **values}


def test_an_unknown_critical_part_is_refused(folder: Path, forge: Forge) -> None:
    forge(lambda raw: raw["parts"].append(part(role="oracle")))
    error = fault_of(folder)
    assert error.code == "bundle.unknown-part"
    assert "oracle" in str(error)


def test_an_unknown_part_that_is_not_critical_is_ignored(folder: Path, forge: Forge) -> None:
    forge(lambda raw: raw["parts"].append(part(role="oracle", critical=False)))
    assert Bundle.open(folder).manifest.parts[-1].role == "oracle"


def test_a_part_fitted_on_other_weights_is_refused(folder: Path, forge: Forge) -> None:
    forge(lambda raw: raw["parts"].append(part(fitted_on="a" * 64)))
    error = fault_of(folder)
    assert error.code == "bundle.stale-part"
    assert "a" * 64 in str(error)
    assert Manifest.model_validate(json.loads((folder / MANIFEST).read_text())).weights_digest() in str(error)


def test_a_part_fitted_on_these_weights_opens(folder: Path, forge: Forge) -> None:
    fitted_on = Bundle.open(folder).manifest.weights_digest()
    forge(lambda raw: raw["parts"].append(part(fitted_on=fitted_on)))
    assert Bundle.open(folder).manifest.parts[-1].fitted_on == fitted_on


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "null",
        "{}",
        '{"min_reader": 1}',
        '{"min_reader": "1"}',
        '{"min_reader": true}',
        '{"min_reader": 1e999}',
        '{"min_reader": 1, "min_reader": 1}',
        '{"min_reader": 1, "schema": 1, "task": NaN}',
        '{"min_reader": 1, "name": "\\ud800"}',
        '{"min_reader": 1' + "0" * 5000 + "}",
        "[" * 100_000,
    ],
    ids=["empty", "broken", "list", "null", "no-keys", "no-schema", "text", "bool", "infinite", "twice", "nan",
         "surrogate", "digits", "deep"],
)  # fmt: skip
def test_an_unreadable_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    error = fault_of(folder)
    assert error.code == "bundle.manifest"
    assert str(folder / MANIFEST) in str(error)


def test_a_manifest_that_is_no_utf8_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe{}")
    assert fault_of(folder).code == "bundle.manifest"


def test_a_file_twice_in_the_manifest_is_refused(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    again = '"files": {"tokenizer.json": {"sha256": "0", "bytes": 1},'
    (folder / MANIFEST).write_text(text.replace('"files": {', again))
    assert fault_of(folder).code == "bundle.manifest"


@pytest.mark.parametrize("kind", ["nothing", "file", "empty", "manifest is a folder"])
def test_where_no_bundle_lies_it_is_told(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("x")
    elif kind != "nothing":
        place.mkdir()
    if kind == "manifest is a folder":
        (place / MANIFEST).mkdir()
    error = fault_of(place)
    assert error.code == "bundle.none"
    assert str(place) in str(error)


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
    require_free(folder)
    require_free(tmp_path / "nothing")


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


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(tmp_path / "file", b"new")
    assert tree(tmp_path) == {"file": b"old"}
