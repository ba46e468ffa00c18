"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hone.predict.formats import Precision

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings: key=value, dotted keys.", metavar="[KEY=VALUE]...")
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for what is made.")]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=NAME", help="What a field's column is called in the files; repeatable."),
]
DecodingSetting = Annotated[
    list[str] | None,
    typer.Option("--decoding", metavar="KEY=VALUE", help="A setting of decoding, such as num_beams=4; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
PrecisionName = Annotated[  # parsed as it stands: what the device has is told where the model is opened
    Precision,
    typer.Option("--precision", parser=str, metavar="NAME", help="float32, or on a GPU bf16 or fp16."),
]
BaseName = Annotated[
    str, typer.Option("--base", help="Of an adapter's bundle: where its base is, if not where the bundle says.")
]
