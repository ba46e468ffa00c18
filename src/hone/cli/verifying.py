"""``hone verify``: every byte of a bundle against its manifest."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from hone.bundle.bundle import Bundle
from hone.bundle.members import members_of


def verify_bundle(bundle: Path, *, as_json: bool) -> None:
    """Open a bundle, which verifies it, and say what it is."""
    opened = Bundle.open(bundle)
    manifest, members = opened.manifest, members_of(opened)
    if as_json:
        typer.echo(json.dumps({"bundle": opened.digest, "files": len(manifest.files), "verified": True}))
        return
    index = any(part.role == "index" for part in manifest.parts)
    task = manifest.task.name if manifest.task else "an index, no task" if index else "a base model, no task"
    plain = "" if index else f"\nplain   {manifest.plain.auto_class} gives {manifest.plain.gives}"
    typer.echo(
        f"{bundle} is whole: {len(manifest.files)} files, {sum(f.bytes for f in manifest.files.values()):,} bytes"
    )
    typer.echo(f"digest  {opened.digest}\ntask    {task}{plain}")
    for member in members:
        typer.echo(f"member  {member.digest} at {member.path}")
