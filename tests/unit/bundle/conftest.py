"""A small bundle, and a way to forge its manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_bundle import Forge, fill

from hone.bundle.bundle import MANIFEST, write_bundle
from hone.core.lineage import digest_value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole bundle's folder."""
    return write_bundle(tmp_path / "bundle", build=fill).path


@pytest.fixture
def forge(folder: Path) -> Forge:
    """Change the manifest's values and give it the digest that then is right, as somebody with bad intent would."""

    def change(edit: Callable[[dict[str, Any]], None]) -> None:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        edit(raw)
        raw["digest"] = digest_value({key: value for key, value in raw.items() if key != "digest"})
        (folder / MANIFEST).write_text(json.dumps(raw), encoding="utf-8")

    return change
