"""A small bundle without a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hone.bundle.manifest import DataRecord, Lineage, Manifest, Part, Plain, TaskRecord

Forge = Callable[[Callable[[dict[str, Any]], None]], None]
FILES = {"model.safetensors": b"\x00\x01weights" * 400, "tokenizer.json": b"{}", "sub/more.json": b'{"a": 1}'}


def make_manifest() -> Manifest:
    return Manifest(
        task=TaskRecord(name="text-classification", settings={"stride": 64}, labels=("no", "yes"), inputs=("text",)),
        parts=(
            Part(role="weights", name="backbone", format="safetensors", files=("model.safetensors",)),
            Part(role="processor", name="tokenizer", format="tokenizers", files=("tokenizer.json", "sub/more.json")),
        ),
        default=("backbone", "tokenizer"),
        plain=Plain(auto_class="AutoModel", gives="hidden"),
        lineage=Lineage(
            parents=("ab",),
            stage="finetune",
            recipe={"learning_rate": 3e-4, "words": ["é", "的"]},
            recipe_digest="cd",
            data=(DataRecord(role="train", digest="ef", rows=3),),
            seed=13,
            hone="0.1.0",
        ),
    )


def fill(folder: Path) -> Manifest:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return make_manifest()
