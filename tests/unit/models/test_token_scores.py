"""A model without layers answers from a table of token scores, and what it says is what its layers' road says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from hone.models.heads import HeadSpec
from hone.models.int8 import to_int8
from hone.models.model import Model, build_model
from hone.models.tiny import write_tiny_base

LABELS = ("a", "b", "c")


def without_layers(base: Path, *, kind: str = "sequence-mean", labels: tuple[str, ...] = LABELS) -> Model:
    """A random model of embeddings alone, without positions."""
    torch.manual_seed(1)
    model = build_model(base, HeadSpec(kind, labels), dropout=0.0).eval()
    assert model.encoder is not None
    model.encoder.keep([])
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.nn.init.zeros_(model.embeddings.position_embeddings.weight)
    return model


def batch() -> dict[str, Tensor]:
    mask = (torch.arange(6) < torch.tensor([6, 1, 3])[:, None]).long()
    ids = torch.randint(5, 60, (3, 6), generator=torch.Generator().manual_seed(2))
    return {"input_ids": ids * mask, "attention_mask": mask}


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_fixed_model_without_layers_answers_as_it_did_before(weights: str, family: str, tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base")
    if family == "roberta":
        config = transformers.RobertaConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=64, pad_token_id=0,
        )  # fmt: skip
        base = tmp_path / "roberta"
        transformers.RobertaModel(config).save_pretrained(base)
    model = without_layers(base)
    if weights == "int8":
        to_int8(model.backbone)
    with torch.inference_mode():
        before = model(batch())["logits"]
        names = list(model.state_dict())
        after = model.fix()(batch())["logits"]
    assert model.token_scores is not None
    assert list(model.state_dict()) == names
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("why", ["positions", "tokens are read", "many labels", "layers"])
def test_where_a_token_has_no_scores_of_its_own_there_is_no_table(why: str, tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base")
    many = tuple(map(str, range(33)))
    model = without_layers(
        base,
        kind="token-linear" if why == "tokens are read" else "sequence-mean",
        labels=many if why == "many labels" else LABELS,
    )
    if why == "positions":
        torch.nn.init.ones_(model.embeddings.position_embeddings.weight)
    if why == "layers":
        model = build_model(base, HeadSpec("sequence-mean", LABELS))
    assert model.fix().token_scores is None


def test_a_batch_with_token_types_goes_through_the_embeddings(tmp_path: Path) -> None:
    """The table is of type 0 alone."""
    model = without_layers(write_tiny_base(tmp_path / "base"))
    typed = {**batch(), "token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1], [0] * 6, [0, 1, 1, 0, 0, 0]])}
    with torch.inference_mode():
        before = model(typed)["logits"]
        model.fix()
        assert model.token_scores is not None
        torch.testing.assert_close(model(typed)["logits"], before, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(batch())["logits"], before)


def test_types_that_the_backbone_does_not_tell_apart_leave_the_table(tmp_path: Path) -> None:
    model = without_layers(write_tiny_base(tmp_path / "base")).fix()
    model.types = False
    with torch.inference_mode():
        typed = model({**batch(), "token_type_ids": torch.ones(3, 6, dtype=torch.int64)})["logits"]
        assert torch.equal(typed, model(batch())["logits"])
