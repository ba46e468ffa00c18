"""What training costs on this machine: an estimate from the model's size, the tokens and a timed matrix product."""

from __future__ import annotations

import json
import math
import resource
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from hone.models.attention import KEPT_BYTES
from hone.models.encoder import FAMILIES
from hone.models.files import shapes_in
from hone.models.model import HEAD_FILE
from hone.models.nets import NetConfig
from hone.models.peak import best_seconds, product_rate

WEIGHT_BYTES = 4
# Of a weight that learns, beside itself: its gradient and two moments, or factors of one that take next to nothing, or
# one moment, but of tables and vectors.
BYTES_OF_LEARNING = {"adamw": 12, "adafactor": 4, "muon": 8}
BYTES_OF_TABLES = {**BYTES_OF_LEARNING, "muon": 12}
UPDATE_BYTES_A_WEIGHT = 36  # moved a step by gradient fill, clipping and AdamW
SECONDS_A_LAYER = 1.5e-3  # of a step's calls and small operations, whatever its size
UNITS = 2  # gathered layers that FSDP holds: the one that is computed, and the next
TURNS = 5  # iterations of muon's
TURNS_REACHED = 0.7  # share of the matrix-product rate that they come to; 0.59 to 0.74 were measured on one thread
WRITERS = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "Seq2Seq")  # ends of their classes' names


@dataclass(frozen=True)
class Pace:
    """How a backbone trains on a CPU; measured on two AVX2 cores, encoders with MiniLM.

    Attributes:
        reached: Share of the matrix-product rate of a step's products and all that goes on around them.
        pair_seconds: Of attention's elementwise work, a pair of tokens, a head, a layer.
        widths, inners, pairs: Floats kept for the backward pass a token and layer: so many times the width, the inner
            width, and heads times length.
    """

    reached: float
    pair_seconds: float
    widths: int
    inners: int
    pairs: int


OURS = Pace(reached=0.75, pair_seconds=1e-8, widths=10, inners=2, pairs=1)  # hone.models.encoder
OTHERS = Pace(reached=0.55, pair_seconds=0.0, widths=17, inners=3, pairs=3)  # as transformers runs them
NETS = Pace(reached=0.4, pair_seconds=0.0, widths=6, inners=0, pairs=0)  # hone.models.nets


@dataclass(frozen=True)
class Size:
    """Sizes of a backbone, read from its files without loading it.

    Attributes:
        heads: Attention heads; none where nothing attends.
        pace: How it trains.
        ours: Whether that is through hone's own encoder on a CPU.
        vocabulary: Tokens that it knows.
        gated: Whether two products go into a feed-forward block, of which one opens and shuts the other.
        again: Weights of layers that are several layers (ALBERT's), as often as they are computed with after the
            first time.
        ways: Among how many processes its layers can be divided, where that was asked (`hone.models.divided.ways_of`).
        outer: Weights that are in no matrix from states to states: tables, scores over the vocabulary, vectors.
    """

    parameters: int
    embedding: int
    layers: int
    width: int
    heads: int
    inner: int
    pace: Pace = OTHERS
    vocabulary: int = 0
    gated: bool = False
    again: int = 0
    ways: tuple[int, ...] = ()
    outer: int = 0

    @property
    def ours(self) -> bool:
        return self.pace is OURS

    @property
    def unit(self) -> float:
        """Weights of the largest part that is gathered at once where processes divide them: a layer, or a table as
        large as the vocabulary."""
        table = self.vocabulary * self.width
        layer = (self.parameters - (self.embedding or table)) / max(1, self.layers)
        return max(layer, table)

    def learning_bytes(self, optim: str) -> int:
        """Bytes beside the weights, where all of them learn: gradients and what the optimizer keeps."""
        inner = self.parameters - self.outer
        return BYTES_OF_LEARNING[optim] * inner + BYTES_OF_TABLES[optim] * self.outer

    def learning(self, *, frozen: int) -> int:
        """Weights outside the embedding that learn while the lowest ``frozen`` layers do not."""
        return round((self.parameters - self.embedding) * (1 - frozen / max(1, self.layers)))

    def computed(self, *, frozen: int) -> int:
        """The same, each as often as one pass computes with it."""
        return self.learning(frozen=frozen) + round(self.again * (1 - frozen / max(1, self.layers)))


WIDTH = ("hidden_size", "dim", "d_model", "n_embd")
DEPTH = ("num_hidden_layers", "n_layers", "n_layer", "encoder_layers", "num_layers")
DEPTH_WRITING = ("decoder_layers", "num_decoder_layers")  # of encoder-decoders, beside the encoder's
HEADS = ("num_attention_heads", "n_heads", "n_head", "encoder_attention_heads", "num_heads")
INNER = ("intermediate_size", "hidden_dim", "n_inner", "encoder_ffn_dim", "d_ff")
SCORES_KEPT = 4  # of a loss over the vocabulary
GATES = ("gate_proj", "wi_1")  # what names of the second product have in them
SHARED = "layer_groups"  # what names of layers have in them that are several layers
TABLES = ("embedding", "embed_tokens")  # what names of embeddings have in them
OUTER = ("embed", "wte", "wpe", "relative_attention_bias")  # and those of every table, of tokens or of places


def size_of(folder: Path) -> Size:
    """Read a model folder's sizes from ``config.json`` and the headers of its safetensors files.

    The table of a model that writes, with its head, counts as a layer: its output is multiplied by all of it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    files = (file for file in sorted(folder.glob("*.safetensors")) if file.name != HEAD_FILE)
    return size_told(config, {name: shape for file in files for name, shape in shapes_in(file).items()})


def size_told(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> Size:
    """The sizes of a backbone of this configuration, whose weights have these shapes; one that is tied stands there
    once."""
    vocabulary = int(config.get("vocab_size") or 0)

    def first(names: tuple[str, ...], otherwise: int) -> int:
        return int(next((config[name] for name in names if config.get(name)), otherwise))

    total = sum(math.prod(shape) for shape in shapes.values())
    outer = sum(math.prod(shape) for name, shape in shapes.items() if _outer(name, shape, vocabulary))
    writes = any(name.endswith(WRITERS) for name in config.get("architectures") or ())
    tables = (shape for name, shape in shapes.items() if any(part in name for part in TABLES))
    embedding = 0 if writes else sum(map(math.prod, tables))
    layers = first(DEPTH, 12) + (first(DEPTH_WRITING, 0) if config.get("is_encoder_decoder") else 0)
    if config.get("model_type") == NetConfig.model_type:
        return Size(total, embedding, layers=layers, width=first(WIDTH, 0), heads=0, inner=0, pace=NETS,
                    vocabulary=vocabulary, outer=outer)  # fmt: skip
    width = first(WIDTH, 768)
    shared = sum(math.prod(shape) for name, shape in shapes.items() if SHARED in name)
    return Size(
        parameters=total,
        embedding=embedding,
        layers=layers,
        width=width,
        heads=first(HEADS, 12),
        inner=first(INNER, 4 * width),
        pace=OURS if config.get("model_type") in FAMILIES and config.get("hidden_act") == "gelu" else OTHERS,
        vocabulary=vocabulary,
        gated=any(part in name for name in shapes for part in GATES),
        again=round(shared * (layers / int(config.get("num_hidden_groups") or layers) - 1)),
        outer=outer,
    )


def _outer(name: str, shape: Sequence[int], vocabulary: int) -> bool:
    """Whether a weight is none of those whose updates ``muon`` makes orthogonal."""
    matrix = len(shape) == 2 and min(shape) > 1
    return not matrix or vocabulary in shape or any(part in name for part in OUTER)


def training_flops(size: Size, *, tokens: int, length: float, frozen: int = 0) -> float:
    """Floating-point operations of training on ``tokens`` tokens in rows of mean ``length`` (Kaplan et al. 2020):
    six a weight a token each time, and attention's twelve a width a position a layer; of the layers that learn."""
    attention = 12.0 * (size.layers - frozen) * size.width * length if size.heads else 0.0
    return tokens * (6.0 * size.computed(frozen=frozen) + attention)


def frozen_flops(size: Size, *, tokens: int, length: float, frozen: int) -> float:
    """Those of one forward pass of ``tokens`` tokens through the frozen layers."""
    weights = size.computed(frozen=0) - size.computed(frozen=frozen)
    return tokens * (2.0 * weights + 4.0 * frozen * size.width * length)


def state_bytes(
    size: Size,
    *,
    optim: str,
    rows: int | None,
    frozen: int,
    keeps_best: bool,
    beside: int = 0,
    learns: int | None = None,
) -> int:
    """Bytes of weights, gradients and optimizer state.

    Args:
        rows: Rows of the embedding table that training reads, where they alone have moments and gradients; None: all.
        beside: Float32 values kept beside each weight that learns, by techniques.
        learns: Weights that learn, where a method says which; the others are held once.
    """
    copies = WEIGHT_BYTES * (2 if keeps_best else 1)
    if learns is not None:
        each = BYTES_OF_LEARNING[optim] + WEIGHT_BYTES * beside + copies
        return WEIGHT_BYTES * size.parameters + each * learns
    if frozen:
        table = 0
    elif rows is not None and optim == "adamw":
        table = 8 * rows * size.width
    else:
        table = BYTES_OF_TABLES[optim] * size.embedding
    if not frozen:  # vectors, and tables that count as layers
        table += (BYTES_OF_TABLES[optim] - BYTES_OF_LEARNING[optim]) * max(0, size.outer - size.embedding)
    learning = BYTES_OF_LEARNING[optim] + WEIGHT_BYTES * beside
    return copies * size.parameters + learning * size.learning(frozen=frozen) + table


def divided_bytes(states: float, size: Size, *, processes: int, tensor: int, gathered: Literal["unit", "all"]) -> float:
    """Bytes that one of several processes holds of ``states``, of weights, gradients and moments that they divide.

    Args:
        tensor: So many of them compute each layer together.
        gathered: What it has whole, or its part of a layer that several compute, while it computes: the `Size.unit` at
            hand and the next, or after the way forward all weights; and the gradients of a unit.
    """
    unit = size.unit / tensor
    whole = UNITS * unit if gathered == "unit" else size.parameters / tensor
    return states / processes + WEIGHT_BYTES * (whole + unit)


def turning(matrices: Iterable[tuple[int, int]]) -> tuple[float, float]:
    """What a step of ``muon`` takes beside AdamW's over weights of these shapes: floating-point operations, and bytes
    of what is held of all matrices of one shape: copies of their gradients, and products of these with themselves."""
    flops = held = 0.0
    for shape, count in Counter(matrices).items():
        short, long = sorted(shape)
        flops += count * TURNS * (4.0 * short * short * long + 2.0 * short**3)
        held = max(held, WEIGHT_BYTES * count * (3.0 * short * long + 2.0 * short * short))
    return flops, held


def activation_bytes(size: Size, *, tokens: int, length: int, frozen: int = 0, recomputed: bool = False) -> int:
    """Bytes of float32 activations kept for the backward pass of a batch of ``tokens`` padded tokens.

    Args:
        recomputed: Layers keep their input alone, and one at a time is whole on the way back.
    """
    pace, pairs = size.pace, tokens * size.heads * length
    if size.ours and pairs * 4 > KEPT_BYTES:
        pairs = 0  # made again on the way back
    a_layer = tokens * (pace.widths * size.width + pace.inners * size.inner) + pace.pairs * pairs
    layers = size.layers - frozen
    if recomputed:
        return 4 * (layers * tokens * size.width + a_layer)
    return 4 * layers * a_layer


def scores_bytes(folder: Path, *, places: int) -> int:
    """Bytes of a loss over the vocabulary of the base in ``folder``, at so many places of a batch: float32 scores,
    their log-probabilities, and the derivative of each; 3.96 to 4.03 times the scores were measured on a CPU."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return SCORES_KEPT * WEIGHT_BYTES * places * int(config["vocab_size"])


def matrix_rate() -> tuple[float, float]:
    """Floating-point operations a second of a float32 matrix product on a CPU, and bytes a second of a plain copy."""
    block, target = torch.ones(1 << 24), torch.zeros(1 << 24)
    copies = best_seconds(lambda: target.copy_(block))
    return product_rate(torch.device("cpu"), "no"), 2.0 * block.numel() * 4 / copies


def held_bytes() -> int:
    """Most resident memory this process has held so far: the interpreter, torch, the rows read."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def training_seconds(
    size: Size,
    *,
    tokens: int,
    length: float,
    steps: int,
    frozen: int = 0,
    first: int | None = None,
    passes: float = 1,
    learns: int | None = None,
) -> float:
    """Estimated seconds of training on this CPU.

    Args:
        first: Tokens that go through the frozen layers, all when None.
        passes: Forward and backward passes of each batch.
        learns: As for `state_bytes`; of the products behind a weight that does not learn one in three is not made.
    """
    rate, bandwidth = matrix_rate()
    pace, layers = size.pace, size.layers - frozen
    spared = 2.0 * tokens * size.learning(frozen=frozen) if learns is not None and size.ours else 0.0
    products = passes * (training_flops(size, tokens=tokens, length=length, frozen=frozen) - spared)
    products += frozen_flops(size, tokens=tokens if first is None else first, length=length, frozen=frozen)
    pairs = passes * tokens * length * size.heads * layers * pace.pair_seconds
    table = 0 if size.pace is not OTHERS or frozen else size.embedding
    moved = size.learning(frozen=frozen) + table if learns is None else learns
    updates = steps * moved * UPDATE_BYTES_A_WEIGHT / bandwidth
    return products / (rate * pace.reached) + pairs + updates + passes * steps * layers * SECONDS_A_LAYER
