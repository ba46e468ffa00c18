"""The manifest: its digest covers all of it, and its file says what it said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_bundle import make_manifest

from hone.bundle.bundle import MANIFEST, Bundle
from hone.bundle.manifest import FileRecord, Manifest

FILES = {"model.safetensors": FileRecord(sha256="1" * 64, bytes=4), "tokenizer.json": FileRecord(sha256="2", bytes=5)}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values that are no container; an empty container counts as one."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, inner in items:
        found = True
        yield from leaves(inner, (*path, key))
    if not found:
        yield path


def changed(raw: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """A copy of ``raw`` with another value of the same type at ``path``."""
    copy = json.loads(json.dumps(raw))
    place = copy
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    other: Any
    match value:
        case bool():
            other = not value
        case int() | float():
            other = value + 1
        case str():
            other = {"hidden": "logits"}.get(value, value + "x")
        case list():
            other = [{"role": "base", "digest": "x"}]
        case _:
            other = {"x": 1}
    place[path[-1]] = other
    return dict(copy)


def test_the_digest_covers_every_value() -> None:
    manifest = make_manifest().model_copy(update={"files": FILES})
    raw = manifest.to_dict()
    paths = [path for path in leaves(raw) if path != ("digest",)]
    digests = {
        Manifest.model_validate({**other, "schema_": other["schema"]}).computed_digest()
        for other in (changed(raw, path) for path in paths)
    }
    assert len(paths) > 30
    assert len(digests) == len(paths)
    assert manifest.computed_digest() not in digests


def test_the_digest_does_not_cover_itself() -> None:
    manifest = make_manifest()
    assert manifest.model_copy(update={"digest": "other"}).computed_digest() == manifest.computed_digest()


def test_the_digest_does_not_depend_on_the_order_of_files() -> None:
    manifest = make_manifest()
    one = manifest.model_copy(update={"files": FILES})
    other = manifest.model_copy(update={"files": dict(reversed(FILES.items()))})
    assert one.computed_digest() == other.computed_digest()


def test_what_is_written_is_read_back(folder: Path) -> None:
    bundle = Bundle.open(folder)
    expected = make_manifest().model_copy(update={"files": bundle.manifest.files, "digest": bundle.digest})
    assert bundle.manifest == expected
    assert bundle.digest == bundle.manifest.computed_digest()


def test_the_file_has_the_keys_of_the_documentation_in_their_order(folder: Path) -> None:
    raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert list(raw) == ["schema", "min_reader", "task", "parts", "default", "requires", "plain", "lineage", "files",
                         "digest"]  # fmt: skip


def test_the_digest_of_the_weights_is_that_of_their_files_alone() -> None:
    manifest = make_manifest().model_copy(update={"files": FILES})
    other_tokenizer = {**FILES, "tokenizer.json": FileRecord(sha256="9", bytes=5)}
    other_weights = {**FILES, "model.safetensors": FileRecord(sha256="9", bytes=4)}
    assert manifest.weights_digest() == manifest.model_copy(update={"files": other_tokenizer}).weights_digest()
    assert manifest.weights_digest() != manifest.model_copy(update={"files": other_weights}).weights_digest()


def test_a_manifest_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_manifest().digest = "x"
