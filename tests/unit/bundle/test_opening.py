"""A bundle is opened only when every byte is what its manifest says."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from small_bundle import FILES, Forge

from hone.bundle.bundle import MANIFEST, Bundle
from hone.bundle.manifest import Manifest
from hone.core.errors import BundleError
from hone.core.lineage import digest_value


def fault_of(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert caught.value.exit_code == 2
    return caught.value


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_whole_bundle_opens_from_a_path_or_a_text(folder: Path) -> None:
    assert Bundle.open(folder).digest == Bundle.open(str(folder)).digest
    assert Bundle.open(folder).manifest.files.keys() == FILES.keys()


def test_a_base_beside_a_bundle_that_has_all_of_its_weights_is_refused(folder: Path) -> None:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder, base="minilm")
    assert (caught.value.code, caught.value.exit_code) == ("bundle.stands-alone", 2)
    assert str(folder) in str(caught.value)
    assert "--base" in str(caught.value)


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
