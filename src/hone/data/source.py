"""`Source`: where a recipe's data lies: a file, a glob, or ``hub:NAME``; and what its columns are called there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hone.core.settings import Settings

Format = Literal["auto", "jsonl", "csv", "tsv", "parquet", "conll", "text"]
HUB = "hub:"  # begins the name of a data set on the hub, where a path would stand
SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".conll": "conll", ".bio": "conll", ".iob": "conll", ".iob2": "conll", ".txt": "text",
}  # fmt: skip
Files = str | Annotated[list[str], Field(min_length=1)]


class Source(Settings):
    """A data source of a recipe: ``path`` or ``lines``.

    Attributes:
        path: A file, a glob such as ``shards/*.jsonl``, or ``hub:NAME`` (``hub:NAME:SPLIT``; the split named like the
            source when left out). Relative to the recipe's folder.
        columns: Field name -> the column's name in the file, where they differ.
        format: The file's format; ``auto`` goes by its suffix.
        lines: Field name -> a plain text file with its values, one a line, such as ``{source: a.en, target: a.de}``;
            of a field that is a list, such as ``targets``, a list of files.
    """

    path: str
    columns: dict[str, str] = Field(default_factory=dict)
    format: Format = "auto"
    lines: dict[str, Files] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _no_path(cls, values: Any) -> Any:
        """Beside ``lines`` there is none to ask for."""
        return {"path": "", **values} if isinstance(values, dict) and "lines" in values else values

    @model_validator(mode="after")
    def _one_way(self) -> Source:
        if bool(self.path) == bool(self.lines):
            raise ValueError("a path, or lines: {source: FILE, target: FILE}; one of the two")
        if self.lines and (self.columns or self.format != "auto"):
            raise ValueError("lines alone, which name the fields themselves and are plain text")
        return self

    @property
    def name(self) -> str:
        """What messages and reports call it."""
        return self.path or " + ".join(name for names in self.files.values() for name in names)

    @property
    def files(self) -> dict[str, list[str]]:
        """The files of ``lines``, by field."""
        return {field: [names] if isinstance(names, str) else names for field, names in self.lines.items()}

    def under(self, root: Path) -> Source:
        """The same, relative paths made absolute."""

        def placed(name: str) -> str:
            return str(root / Path(name).expanduser())

        path = self.path if not self.path or self.path.startswith(HUB) else placed(self.path)
        lines = {
            field: placed(names) if isinstance(names, str) else [placed(name) for name in names]
            for field, names in self.lines.items()
        }
        return self.model_copy(update={"path": path, "lines": lines})
