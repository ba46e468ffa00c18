"""Packing rows without padding changes no logits: every token sees its own row alone, forth and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from hone.compress.low_rank import factored_layer
from hone.compress.prune import cut_heads, cut_inner
from hone.models import packed
from hone.models.blocks import Layout
from hone.models.encoder import FAMILIES, Encoder, Reads, joined, quicken
from hone.models.heads import HeadSpec
from hone.models.model import Model, build_model
from hone.models.noise import Noise
from hone.models.packed import Bounds, KernelName, Packing, block_mask, kernel_for, torch_flash

LENGTHS = {"padded": [17, 1, 4, 30, 2], "even": [9] * 5, "alone": [1]}
LABELS = ("no", "perhaps", "yes")
HEADS = {
    "first": HeadSpec("sequence-cls", LABELS),
    "mean": HeadSpec("sequence-mean", LABELS),
    "tokens": HeadSpec("token-linear", LABELS),
}


def base(folder: Path, family: str) -> Path:
    """A random model of ``family`` with weights large enough for every part to count, written to ``folder``."""
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(
        family, vocab_size=64, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=64, pad_token_id=1,
    )  # fmt: skip
    made = transformers.AutoModel.from_config(config)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    made.save_pretrained(folder)
    return folder


def model_of(folder: Path, head: str = "mean", *, dropout: float = 0.0) -> Model:
    torch.manual_seed(5)
    model = build_model(folder, HEADS[head], dropout=dropout)
    for name, parameter in model.named_parameters():
        if "classifier" in name or "pooler" in name or name.startswith("head."):
            nn.init.normal_(parameter, std=0.3)
    return model


def encoder_of(model: Model) -> Encoder:
    assert model.encoder is not None
    return model.encoder


def batch_of(lengths: list[int]) -> dict[str, Tensor]:
    rows, tokens = len(lengths), max(lengths)
    ids = torch.randint(2, 64, (rows, tokens), generator=torch.Generator().manual_seed(4))
    mask = (torch.arange(tokens) < torch.tensor(lengths)[:, None]).long()
    # words stand at real tokens alone
    words = torch.arange(tokens).expand(rows, tokens) * mask
    return {"input_ids": torch.where(mask.bool(), ids, 1), "attention_mask": mask, "word_positions": words}


def logits_and_gradients(model: Model, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits, and the gradients of a fixed weighing of them."""
    model.zero_grad()
    logits = model(batch)["logits"]
    weighing = torch.randn(logits.shape, generator=torch.Generator().manual_seed(6)).to(logits)
    (logits * weighing).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_alike(ours: tuple[Tensor, dict[str, Tensor]], theirs: tuple[Tensor, dict[str, Tensor]]) -> None:
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(
            ours[1][name], gradient, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_a_packed_batch_gives_the_padded_batchs_logits_and_gradients(
    tmp_path: Path, family: str, head: str, lengths: str
) -> None:
    model, batch = model_of(base(tmp_path / "base", family), head), batch_of(LENGTHS[lengths])
    for training in (False, True):
        model.train(training)
        with model.module_by_module():
            theirs = logits_and_gradients(model, batch)
        encoder_of(model).kernel = "block-mask"
        ours = logits_and_gradients(model, batch)
        encoder_of(model).kernel = None
        assert ours[1].keys() == theirs[1].keys()
        assert_alike(ours, theirs)


def test_a_row_is_answered_as_if_it_were_alone(tmp_path: Path) -> None:
    model = model_of(base(tmp_path / "base", "bert")).eval()
    encoder_of(model).kernel = "block-mask"
    batch = batch_of(LENGTHS["padded"])
    with torch.inference_mode():
        together = model(batch)["logits"]
        for i, length in enumerate(LENGTHS["padded"]):
            alone = model({name: value[i : i + 1, :length] for name, value in batch.items()})["logits"]
            torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)


@pytest.mark.parametrize("reads", ["tokens", "first"])
def test_layers_of_their_own_shapes_are_packed_too(tmp_path: Path, reads: Reads) -> None:
    model = transformers.AutoModel.from_pretrained(base(tmp_path / "base", "bert")).eval()
    layers = model.encoder.layer
    for layer, heads, units in zip(layers, ([1], [0, 2], [0, 1, 2]), (7, 40, 12), strict=True):
        cut_heads(layer, torch.tensor(heads), size=8)
        cut_inner(layer, torch.arange(units))
    for module, name in [(layers[1].attention.self, "query"), (layers[2].attention.self, "value"),
                         (layers[2].attention.output, "dense"), (layers[0].output, "dense")]:  # fmt: skip
        setattr(module, name, factored_layer(getattr(module, name), None, share=0.8, of="weights"))
    encoder = quicken(model, reads=reads, noise=Noise())
    assert encoder is not None
    batch = {name: value for name, value in batch_of(LENGTHS["padded"]).items() if name != "word_positions"}
    chosen: Any = (slice(None), 0) if reads == "first" else batch["attention_mask"].bool()
    with torch.inference_mode():
        with encoder.aside():
            theirs = model(**batch).last_hidden_state[chosen]
        encoder.kernel = "block-mask"
        for encoder.fixed in (False, True, True):
            torch.testing.assert_close(model(**batch).last_hidden_state[chosen], theirs, rtol=1e-4, atol=1e-5)


def test_what_is_kept_of_fixed_weights_follows_them_to_another_type(tmp_path: Path) -> None:
    model, batch = model_of(base(tmp_path / "base", "bert")).eval().fix(), batch_of(LENGTHS["padded"])
    encoder_of(model).kernel = "block-mask"
    with torch.inference_mode():
        before = model(batch)["logits"]
        torch.testing.assert_close(model.double()(batch)["logits"].float(), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["first", "mean"])
@pytest.mark.parametrize("frozen", [1, 3])
def test_frozen_layers_are_packed_given_and_not_learned(tmp_path: Path, head: str, frozen: int) -> None:
    model, batch = model_of(base(tmp_path / "base", "bert"), head, dropout=0.3), batch_of(LENGTHS["padded"])
    encoder = encoder_of(model)
    model.freeze(frozen)
    lower = model.lower_states(batch)
    encoder.kernel = "block-mask"
    torch.testing.assert_close(model.lower_states(batch), lower, rtol=0, atol=1e-5)
    model.eval()
    made, learned = logits_and_gradients(model, batch)
    given, again = logits_and_gradients(model, {**batch, "lower_states": lower})
    assert_alike((given, again), (made, learned))
    assert not any(f"layer.{i}." in name for name in learned for i in range(frozen))
    model.train()  # frozen layers run without dropout all the same
    with torch.no_grad():
        torch.testing.assert_close(model.lower_states(batch), lower, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", ["first", "mean"])
def test_states_are_collected_as_on_every_other_way(tmp_path: Path, head: str) -> None:
    model, batch = model_of(base(tmp_path / "base", "bert"), head).eval(), batch_of(LENGTHS["padded"])
    encoder = encoder_of(model)
    encoder.collect()
    with torch.no_grad():
        model(batch)
        theirs = encoder.collected
        encoder.kernel = "block-mask"
        model(batch)
    assert theirs is not None
    assert encoder.collected is not None
    for ours, other in zip(encoder.collected, theirs, strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-5)


def test_attentions_dropout_keeps_the_mean_and_differs_from_draw_to_draw(tmp_path: Path) -> None:
    """Of one layer's attention: the mean over many draws is near what no dropout gives."""
    model, batch = model_of(base(tmp_path / "base", "bert"), dropout=0.2), batch_of([6, 3])
    encoder = encoder_of(model)
    encoder.keep([0])
    encoder.kernel = "block-mask"
    own: Any = encoder.layer[0].attention  # type: ignore[union-attr]
    read: list[Tensor] = []
    own.output.dense.register_forward_hook(lambda _, given, __: read.append(given[0].detach()))
    model.eval()
    with torch.no_grad():
        model(batch)
        plain = read.pop()
        model.embeddings.dropout.p = 0.0  # what comes before attention is to be the same in each draw
        model.train()
        for _ in range(2000):
            model(batch)
    drawn = torch.stack(read)
    assert not torch.equal(drawn[0], drawn[1])
    away = (drawn.mean(0) - plain).abs()
    assert float((away / (drawn.std(0) / 2000**0.5)).max()) < 5  # standard errors
    assert float(drawn.std(0).mean()) > 0.05 * float(plain.abs().mean())


@pytest.mark.parametrize("drop", [0.1, 0.5])
def test_the_share_of_probabilities_that_is_dropped_is_the_one_asked_for(drop: float) -> None:
    """Keys all alike and values the identity: the context is the dropped-out probabilities themselves."""
    tokens, size, heads = 8, 8, 4000
    torch.manual_seed(1)
    bounds = Bounds(*[torch.tensor([0, tokens], dtype=torch.int32)] * 2, tokens, tokens)
    q, k = torch.zeros(2, tokens, heads, size)
    v = torch.eye(tokens, size)[:, None].expand(-1, heads, -1)
    seen = block_mask(q, k, v, bounds=bounds, drop=drop)
    assert seen.unique().tolist() == pytest.approx([0.0, 1 / (tokens * (1 - drop))])
    spread = (drop * (1 - drop) / seen.numel()) ** 0.5
    assert float((seen == 0).double().mean()) == pytest.approx(drop, abs=5 * spread)


def test_dropped_states_are_those_asked_for(tmp_path: Path) -> None:
    """Hidden dropout runs in training, and in none of the frozen layers."""
    model, batch = model_of(base(tmp_path / "base", "bert"), dropout=0.25), batch_of([30, 17, 1])
    encoder = encoder_of(model)
    encoder.kernel = "block-mask"
    model.freeze(1)
    model.train()
    shares: list[float] = []
    for layer in encoder.layer:
        parts: Any = layer
        for module in (parts.attention.output.dropout, parts.output.dropout):
            module.register_forward_hook(lambda _, __, out: shares.append(float((out == 0).float().mean())))
    for _ in range(20):
        model(batch)
    found = torch.tensor(shares).view(20, 3, 2).mean(0)  # [layers, halves]
    assert found[0].tolist() == [0, 0]
    assert found[1:].flatten().tolist() == pytest.approx([0.25] * 4, abs=0.01)


def layout(lengths: list[int], *, device: str = "cpu") -> Layout:
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    counts = real.sum(1)
    places, starts = real.flatten().nonzero().squeeze(1), counts.cumsum(0) - counts
    return Layout(len(lengths), max(lengths), places.to(device), starts.to(device), tuple(lengths), None)


def test_bounds_are_where_rows_begin_and_the_last_one_ends() -> None:
    packing = Packing.of(layout([3, 1, 5]), "block-mask")
    assert [bound.tolist() for bound in packing.every[:2]] == [[0, 3, 4, 9]] * 2
    assert [bound.tolist() for bound in packing.first[:2]] == [[0, 1, 2, 3], [0, 3, 4, 9]]
    assert packing.every[2:] == (5, 5)
    assert packing.first[2:] == (1, 5)
    assert {bound.dtype for bound in (*packing.every[:2], *packing.first[:2])} == {torch.int32}


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("first", [False, True])
def test_the_call_of_torchs_kernel_is_well_formed(kind: torch.dtype, first: bool) -> None:
    """On the meta device: the operator's own checks of arguments, and its derivative, without its numbers."""
    packing = Packing.of(layout([3, 1, 5], device="meta"), "torch-flash")
    joint = torch.empty(9, 3, 4, 16, dtype=kind, device="meta", requires_grad=True)
    q, k, v = joint.unbind(1)
    q = q[:3] if first else q
    context = torch_flash(q, k, v, bounds=packing.first if first else packing.every, drop=0.1)
    assert (context.shape, context.dtype) == (q.shape, kind)
    context.sum().backward()
    assert joint.grad is not None
    assert (joint.grad.shape, joint.grad.dtype) == (joint.shape, kind)


@pytest.mark.parametrize("reads", ["tokens", "first"])
def test_a_whole_encoder_runs_over_torchs_kernel_on_the_meta_device(tmp_path: Path, reads: Reads) -> None:
    """What the kernel gets from a layer, and the layer from it, fits in shape and type."""
    model = transformers.AutoModel.from_pretrained(base(tmp_path / "base", "bert"), dtype=torch.bfloat16)
    encoder = quicken(model, reads=reads, noise=Noise())
    assert encoder is not None
    packing = Packing.of(layout([3, 1, 5], device="meta"), "torch-flash")
    encoder.to("meta")
    states = torch.empty(9, 24, dtype=torch.bfloat16, device="meta", requires_grad=True)
    out = states
    for i, layer in enumerate(encoder.layer):
        out = packing.states(layer, out, joint=joined, size=8, first=reads == "first" and i == 2)
    assert (out.shape, out.dtype) == ((3 if reads == "first" else 9, 24), torch.bfloat16)
    out.sum().backward()
    assert states.grad is not None
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose GPU has flash attention in torch, and no other kernel."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 6))
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    packed.installed_kernel.cache_clear()
    yield
    packed.installed_kernel.cache_clear()


@pytest.mark.usefixtures("ampere")
@pytest.mark.parametrize(
    ("device", "kind", "size", "kernel"),
    [
        ("cuda", torch.bfloat16, 64, "torch-flash"),
        ("cuda", torch.float16, 32, "torch-flash"),
        ("cuda", torch.float32, 64, None),
        ("cuda", torch.bfloat16, 12, None),
        ("cuda", torch.bfloat16, 256, None),
        ("cpu", torch.bfloat16, 64, None),
        ("mps", torch.float16, 64, None),
    ],
)
def test_a_kernel_is_chosen_by_device_type_and_head(
    device: str, kind: torch.dtype, size: int, kernel: KernelName | None
) -> None:
    assert kernel_for(torch.device(device), kind, size=size) == kernel


@pytest.mark.usefixtures("ampere")
def test_an_older_gpu_has_none_and_an_installed_package_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setitem(sys.modules, "flash_attn", type(sys)("flash_attn"))
    assert kernel_for(gpu, torch.float16, size=64) == "flash-attn"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    packed.installed_kernel.cache_clear()
    assert kernel_for(gpu, torch.float16, size=64) is None


@pytest.mark.parametrize("kind", ["cpu", "meta"])
def test_the_type_is_autocasts_where_it_is_on(kind: str) -> None:
    states = torch.empty(2, device=kind)
    assert packed.computed_in(states) == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert packed.computed_in(states) == (torch.bfloat16 if kind == "cpu" else torch.float32)


def require_near_padded(model: Model, batch: dict[str, Tensor]) -> None:
    """In bf16 by autocast packed rows are as near to padded ones in float32 as padded ones in bf16 are."""
    with model.module_by_module():
        exact = logits_and_gradients(model, batch)
    with torch.autocast(batch["input_ids"].device.type, dtype=torch.bfloat16):
        assert encoder_of(model).takes(model.embeddings.LayerNorm.weight)
        ours = logits_and_gradients(model, batch)
        with model.module_by_module():
            theirs = logits_and_gradients(model, batch)
    require_as_near(ours[0], theirs[0], exact[0])
    assert ours[1].keys() == exact[1].keys()
    for name in exact[1]:
        require_as_near(ours[1][name], theirs[1][name], exact[1][name])


def require_as_near(ours: Tensor, theirs: Tensor, exact: Tensor) -> None:
    off, allowed = (float((found.float() - exact).norm()) for found in (ours, theirs))
    assert 0 < off <= 2 * allowed + 2e-3 * float(exact.norm())


@pytest.mark.parametrize("head", HEADS)
def test_under_autocast_packed_rows_are_as_exact_as_padded_ones(tmp_path: Path, head: str) -> None:
    model = model_of(base(tmp_path / "base", "bert"), head).train()
    encoder_of(model).kernel = "block-mask"
    seen: set[torch.dtype] = set()
    model_layer: Any = encoder_of(model).layer[0]
    model_layer.attention.output.dense.register_forward_hook(lambda _, given, __: seen.add(given[0].dtype))
    require_near_padded(model, batch_of(LENGTHS["padded"]))
    assert seen == {torch.float32, torch.bfloat16}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("head", HEADS)
def test_the_gpus_kernel_in_bf16_is_as_exact_as_the_padded_batch(tmp_path: Path, head: str) -> None:
    model = model_of(base(tmp_path / "base", "bert"), head).cuda().train()
    assert not encoder_of(model).takes(model.embeddings.LayerNorm.weight)  # float32, which no kernel takes
    require_near_padded(model, {name: value.cuda() for name, value in batch_of(LENGTHS["padded"]).items()})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpus_kernel_drops_the_share_that_is_asked_for() -> None:
    tokens, size, heads, drop = 16, 16, 400, 0.1
    bounds = Bounds(*[torch.tensor([0, tokens], dtype=torch.int32, device="cuda")] * 2, tokens, tokens)
    q, k = torch.zeros(2, tokens, heads, size, dtype=torch.bfloat16, device="cuda")
    v = torch.eye(tokens, dtype=torch.bfloat16, device="cuda")[:, None].repeat(1, heads, 1)
    seen = torch_flash(q, k, v, bounds=bounds, drop=drop)
    assert float((seen == 0).double().mean()) == pytest.approx(drop, abs=0.005)
