"""The manifest, ``hone.json``: what a bundle is, what is in it, what it was made from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hone.core.lineage import digest_value

SCHEMA = 1  # of what this hone writes
READER = 1  # newest ``min_reader`` that this hone understands

Role = Literal[
    "weights", "adapter", "base", "head", "processor", "engine", "decision", "generation", "baseline", "index"
]
ROLES: tuple[Role, ...] = (
    "weights", "adapter", "base", "head", "processor", "engine", "decision", "generation", "baseline",
    "index")  # fmt: skip


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class TaskRecord(_Record):
    """The task a bundle does; a base model has none."""

    name: str
    settings: dict[str, Any]
    labels: tuple[str, ...]
    inputs: tuple[str, ...]


class Part(_Record):
    """A part of a bundle.

    Attributes:
        role: What it is for; an unknown role is refused when ``critical``, else ignored.
        fitted_on: Digest of the weights it was fitted on (a temperature, a baseline); empty when on none.
    """

    role: str
    name: str
    format: str
    files: tuple[str, ...]
    settings: dict[str, Any] = {}
    critical: bool = True
    fitted_on: str = ""


class Requirement(_Record):
    """Another bundle, or a base, that this one needs.

    Attributes:
        name: Under which every machine knows it, such as a hub id; empty where it has no such name.
    """

    role: Literal["base", "member", "encoder"]
    digest: str
    name: str = ""


class Plain(_Record):
    """What transformers alone gets from the folder."""

    auto_class: str
    gives: Literal["logits", "hidden", "nothing"]


class DataRecord(_Record):
    """Data that a bundle was made from."""

    role: str
    digest: str
    rows: int


class Lineage(_Record):
    """What a bundle was made from and how."""

    parents: tuple[str, ...]
    stage: str
    recipe: dict[str, Any]
    recipe_digest: str
    data: tuple[DataRecord, ...]
    seed: int
    hone: str


class FileRecord(_Record):
    """A file's content."""

    sha256: str
    bytes: int


class Manifest(_Record):
    """Everything ``hone.json`` says. ``digest`` covers all the rest: no clock, no path, no machine enters it."""

    schema_: int = SCHEMA
    min_reader: int = READER
    task: TaskRecord | None
    parts: tuple[Part, ...]
    default: tuple[str, ...]
    requires: tuple[Requirement, ...] = ()
    plain: Plain
    lineage: Lineage
    files: dict[str, FileRecord] = {}
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, in the order of the file."""
        raw = self.model_dump(mode="json")
        return {"schema": raw.pop("schema_"), **raw}

    def computed_digest(self) -> str:
        """sha256 over everything but the digest itself."""
        raw = self.to_dict()
        del raw["digest"]
        return digest_value(raw)

    def weights_digest(self) -> str:
        """Digest of the files of the critical weight and head parts, or of an ensemble's members: what a fitted part
        must name."""
        names = [name for part in self.parts if part.role in ("weights", "adapter", "head") for name in part.files]
        members = {f"member {i}": one.digest for i, one in enumerate(self.requires) if one.role == "member"}
        return digest_value({**{name: self.files[name].sha256 for name in names}, **members})
