"""Every fault of a bundle, through the commands that open one: exit code 2, and what is wrong named on stderr."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hone.cli.main import main
from hone.core.lineage import digest_value


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forged(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and give it the digest that then is right."""
    raw = json.loads((bundle / "hone.json").read_text(encoding="utf-8"))
    edit(raw)
    raw["digest"] = digest_value({key: value for key, value in raw.items() if key != "digest"})
    (bundle / "hone.json").write_text(json.dumps(raw), encoding="utf-8")


def flipped(bundle: Path) -> list[str]:
    file = bundle / "model.safetensors"
    before = sha256(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    return ["model.safetensors", before, sha256(file)]


def truncated(bundle: Path) -> list[str]:
    file = bundle / "model.safetensors"
    before, size = sha256(file), file.stat().st_size
    os.truncate(file, size - 100)
    return ["model.safetensors", before, sha256(file), f"{size - 100} bytes of {size}"]


def removed(bundle: Path) -> list[str]:
    before = sha256(bundle / "head.safetensors")
    (bundle / "head.safetensors").unlink()
    return ["head.safetensors", before]


def foreign(bundle: Path) -> list[str]:
    (bundle / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return ["pytorch_model.bin"]


def escaping(bundle: Path) -> list[str]:
    (bundle.parent / "secret").write_text("x")
    record = {"sha256": sha256(bundle.parent / "secret"), "bytes": 1}
    forged(bundle, lambda raw: raw["files"].update({"../secret": record}))
    return ["../secret"]


def linked(bundle: Path) -> list[str]:
    os.replace(bundle / "config.json", bundle.parent / "config.json")
    (bundle / "config.json").symlink_to(bundle.parent / "config.json")
    return ["config.json"]


def newer(bundle: Path) -> list[str]:
    forged(bundle, lambda raw: raw.update(min_reader=2))
    return ["min_reader 2", "pip install --upgrade hone"]


def unknown_part(bundle: Path) -> list[str]:
    part = {"role": "oracle", "name": "delphi", "format": "json", "files": []}
    forged(bundle, lambda raw: raw["parts"].append(part))
    return ["oracle", "delphi"]


def stale_part(bundle: Path) -> list[str]:
    part = {"role": "decision", "name": "warmth", "format": "json", "files": [], "fitted_on": "f" * 64}
    forged(bundle, lambda raw: raw["parts"].append(part))
    return ["warmth", "f" * 64]


def edited(bundle: Path) -> list[str]:
    raw = json.loads((bundle / "hone.json").read_text(encoding="utf-8"))
    raw["task"]["labels"] = raw["task"]["labels"][::-1]
    (bundle / "hone.json").write_text(json.dumps(raw), encoding="utf-8")
    return ["hone.json", raw["digest"]]


def broken(bundle: Path) -> list[str]:
    (bundle / "hone.json").write_text("{")
    return ["hone.json"]


def gone(bundle: Path) -> list[str]:
    (bundle / "hone.json").unlink()
    return [str(bundle)]


FAULTS = (flipped, truncated, removed, foreign, escaping, linked, newer, unknown_part, stale_part, edited, broken, gone)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("command", ["verify", "predict", "evaluate", "serve"])
def test_a_faulty_bundle_is_refused_and_the_fault_named(
    text_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    fault: Callable[[Path], list[str]],
) -> None:
    bundle = Path(shutil.copytree(text_bundle, tmp_path / "bundle"))
    named = fault(bundle)
    (tmp_path / "rows.jsonl").write_text('{"text": "x", "label": "refund"}\n')
    with pytest.raises(SystemExit) as ended:
        main([command, str(bundle), *([str(tmp_path / "rows.jsonl")] if command in ("predict", "evaluate") else [])])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert all(name in err for name in named), err
    assert "Traceback" not in err


def test_a_note_in_attachments_is_no_fault(text_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(text_bundle, tmp_path / "bundle"))
    (bundle / "attachments").mkdir(exist_ok=True)
    (bundle / "attachments" / "note.txt").write_text("x")
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(bundle)])
    assert ended.value.code == 0


def test_an_unknown_part_that_is_not_critical_does_not_stop_predict(
    text_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copytree(text_bundle, tmp_path / "bundle"))
    part = {"role": "oracle", "name": "delphi", "format": "json", "files": [], "critical": False}
    forged(bundle, lambda raw: raw["parts"].append(part))
    (tmp_path / "rows.jsonl").write_text('{"text": "forgot my password"}\n')
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(bundle), str(tmp_path / "rows.jsonl")])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["label"] == "password"


def test_a_bundle_is_not_written_over_something_else(
    tmp_path: Path, texts: dict[str, Path], tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["finetune", str(texts["train"]), "--out", str(tmp_path / "thesis"), "--base", str(tiny_base)])
    assert ended.value.code == 2
    assert str(tmp_path / "thesis") in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]
