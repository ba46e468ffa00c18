"""What people run today, each over the same bundle: alike lengths together, tokenization included.

torchao and ctranslate2 are no dependencies of hone: install them beside it to run the comparison.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from hone.bundle.bundle import Bundle

Answer = Callable[[Sequence[str], int], np.ndarray]  # texts and a batch size to scores [texts, labels]
Forward = Callable[[Tensor, Tensor], Tensor]  # ids and mask, int64 [batch, tokens], to scores


class Pooled(torch.nn.Module):
    """transformers' backbone with the mean-pooled linear head that the bundle has."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.backbone = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
        weights = load_file(folder / "head.safetensors")
        self.linear = torch.nn.Linear(*reversed(weights["linear.weight"].shape))
        self.linear.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        real = mask.unsqueeze(2).float()
        scores: Tensor = self.linear((states * real).sum(1) / real.sum(1))
        return scores


def bucketed(folder: Path, forward: Forward) -> Answer:
    """Texts sorted by length, ``batch`` of them together, padded to the longest of them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def answer(texts: Sequence[str], batch: int) -> np.ndarray:
        encoded = tokenizer(list(texts), truncation=True, max_length=512)["input_ids"]
        order = sorted(range(len(texts)), key=lambda i: -len(encoded[i]))
        found: list[Any] = [None] * len(texts)
        for at in range(0, len(order), batch):
            chosen = order[at : at + batch]
            padded = tokenizer.pad({"input_ids": [encoded[i] for i in chosen]}, return_tensors="pt")
            with torch.inference_mode():
                scores = forward(padded["input_ids"], padded["attention_mask"]).numpy()
            for i, row in zip(chosen, scores, strict=True):
                found[i] = row
        return np.stack(found)

    return answer


def torch_float(folder: Path) -> Answer:
    return bucketed(folder, Pooled(folder).eval())


def torch_dynamic(folder: Path) -> Answer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(Pooled(folder).eval(), {torch.nn.Linear}, dtype=torch.qint8)
    return bucketed(folder, model)


def torchao_compiled(folder: Path) -> Answer:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = Pooled(folder).eval()
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    compiled = torch.compile(model, dynamic=True)

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            return compiled(ids.clone(), mask.clone())

    return bucketed(folder, forward)


def onnxruntime_int8(folder: Path, work: Path) -> Answer:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = Pooled(folder).eval()
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("tokens", min=2, max=512)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (ids, ids), str(work / "float.onnx"), input_names=["ids", "mask"], output_names=["scores"],
            dynamo=True, dynamic_shapes=(axes, axes), verbose=False,
        )  # fmt: skip
    quantize_dynamic(
        work / "float.onnx", work / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(work / "int8.onnx"), options, providers=["CPUExecutionProvider"])

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["scores"], {"ids": ids.numpy(), "mask": mask.numpy()})[0])

    return bucketed(folder, forward)


def ctranslate2_int8(folder: Path, work: Path) -> Answer:
    import ctranslate2

    transformers.AutoModel.from_pretrained(folder).save_pretrained(work / "plain")  # the converter asks for a pooler
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(work / "plain")
    ctranslate2.converters.TransformersConverter(str(work / "plain")).convert(str(work / "ct2"), quantization="int8")
    encoder = ctranslate2.Encoder(
        str(work / "ct2"), device="cpu", compute_type="int8", intra_threads=torch.get_num_threads()
    )
    linear = Pooled(folder).linear

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        rows = [row[:n].tolist() for row, n in zip(ids, mask.sum(1).tolist(), strict=True)]
        states = torch.from_numpy(np.array(encoder.forward_batch(rows).last_hidden_state))
        real = mask.unsqueeze(2).float()
        return linear((states * real).sum(1) / real.sum(1))

    return bucketed(folder, forward)


def peers(bundle: Bundle, work: Path) -> dict[str, Callable[[], Answer]]:
    """What makes each of them; raises where a library is not there."""
    folder = bundle.path
    return {
        "torch_bucketed": lambda: torch_float(folder),
        "torch_dynamic": lambda: torch_dynamic(folder),
        "torchao_compiled": lambda: torchao_compiled(folder),
        "onnxruntime": lambda: onnxruntime_int8(folder, work),
        "ctranslate2": lambda: ctranslate2_int8(folder, work),
    }
