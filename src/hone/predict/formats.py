"""The formats of a bundle's weights that this hone opens, the precisions it answers in, the size of its batches."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bf16", "fp16"]

SAFETENSORS = "safetensors"  # float32, as transformers reads them
INT8 = "safetensors-int8"  # hone.models.int8
SHAPED = "safetensors-shaped"  # float32, hone.models.files
ONNX = "onnx"  # hone.models.onnx
PEFT = "peft"  # an adapter as peft writes it, hone.models.adapters.files
ADAPTER = "safetensors-adapter"  # one of hone's own
ADAPTERS = (PEFT, ADAPTER)
HELD = "torchao"  # how the base beside an adapter is rounded, hone.models.held
MEMBERS = "members"  # none of its own: hone.bundle.members
FORMATS = (SAFETENSORS, INT8, SHAPED, ONNX, *ADAPTERS, MEMBERS)

EXAMPLES_AT_ONCE = 2048  # whose rows, or answers, are held together: bounds memory
TOKENS_AT_ONCE = 256  # padded tokens of a batch on a CPU
TOKENS_AT_ONCE_HELD = 2048  # the same over a base in fewer bits, which each batch brings back once
TOKENS_AT_ONCE_RUNTIME = 1024  # the same for ONNX Runtime, which divides a batch among its threads
TOKENS_AT_ONCE_MOST = 16384  # the same on a GPU, a round number that none has confirmed; and of small models on a CPU
