"""Heads read what they should of a backbone's states, and padding is not part of it."""

from __future__ import annotations

import pytest
import torch

from hone.models.heads import (
    HEADS,
    SHAPE_WIDTH,
    Head,
    MeanPooled,
    PairStates,
    SentenceAndWords,
    SequenceLogits,
    Tagging,
    TokenLogits,
    at_words,
)
from hone.models.places import MarkerStates, SpanScores
from hone.text.shapes import SHAPE_SIZES

LABELS = ("O", "B-PER", "I-PER")
WIDTH = 6


def tagging(*, crf: bool = False, word_shape: bool = False, context: int = 0) -> Tagging:
    torch.manual_seed(0)
    return Tagging(LABELS, width=WIDTH, dropout=0.0, crf=crf, word_shape=word_shape, context=context)


def words(counts: list[int], *, tokens: int = 8) -> dict[str, torch.Tensor]:
    """A batch whose rows have ``counts`` words, one a token after the first."""
    longest = max(1, *counts)
    mask = torch.arange(longest) < torch.tensor(counts)[:, None]
    positions = (torch.arange(longest) + 1) * mask
    return {"word_positions": positions, "word_mask": mask}


def test_states_are_read_at_the_words() -> None:
    states = torch.arange(24.0).reshape(2, 4, 3)
    positions = torch.tensor([[1, 3], [2, 0]])
    assert at_words(states, positions).tolist() == [
        [states[0, 1].tolist(), states[0, 3].tolist()],
        [states[1, 2].tolist(), states[1, 0].tolist()],
    ]


def test_transformers_own_sequence_logits_pass_through() -> None:
    logits = torch.randn(2, 3)
    assert torch.equal(SequenceLogits(LABELS, width=WIDTH, dropout=0.0)(logits, {})["logits"], logits)


def test_transformers_own_token_logits_are_read_at_the_words() -> None:
    logits, positions = torch.randn(1, 4, 3), torch.tensor([[1, 3]])
    head = TokenLogits(LABELS, width=WIDTH, dropout=0.0)
    assert torch.equal(head(logits, {"word_positions": positions})["logits"], logits[:, [1, 3]])


@pytest.mark.parametrize("head", [SequenceLogits, TokenLogits])
def test_transformers_own_heads_hold_no_weights_of_ours(head: type[Head]) -> None:
    assert list(head(LABELS, width=WIDTH, dropout=0.0).parameters()) == []  # type: ignore[call-arg]


def test_the_mean_is_over_real_tokens_alone() -> None:
    head = MeanPooled(LABELS, width=WIDTH, dropout=0.0)
    states, mask = torch.randn(1, 5, WIDTH), torch.tensor([[1, 1, 1, 0, 0]])
    expected = head.linear(states[:, :3].mean(1))
    assert torch.allclose(head(states, {"attention_mask": mask})["logits"], expected, atol=1e-6)


def test_a_row_without_real_tokens_has_finite_scores() -> None:
    head = MeanPooled(LABELS, width=WIDTH, dropout=0.0)
    logits = head(torch.randn(1, 2, WIDTH), {"attention_mask": torch.zeros(1, 2, dtype=torch.int64)})["logits"]
    assert torch.equal(logits[0], head.linear.bias)


def test_dropout_acts_in_training_alone() -> None:
    torch.manual_seed(0)
    head = MeanPooled(LABELS, width=64, dropout=0.5)
    states, batch = torch.randn(1, 4, 64), {"attention_mask": torch.ones(1, 4)}
    assert not torch.equal(head.train()(states, batch)["logits"], head(states, batch)["logits"])
    assert torch.equal(head.eval()(states, batch)["logits"], head(states, batch)["logits"])


def test_word_shapes_change_the_scores_of_their_word_alone() -> None:
    head, states = tagging(word_shape=True), torch.randn(1, 8, WIDTH)
    shapes = torch.ones(1, 3, len(SHAPE_SIZES), dtype=torch.int64)
    before = head(states, {**words([3]), "shapes": shapes})["logits"]
    shapes[0, 1, 0] = 2
    after = head(states, {**words([3]), "shapes": shapes})["logits"]
    assert (before != after).any(dim=2).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("settings", "inputs"),
    [
        ({}, WIDTH),
        ({"word_shape": True}, WIDTH + len(SHAPE_SIZES) * SHAPE_WIDTH),
        ({"context": 10}, 10),
        ({"word_shape": True, "context": 10}, 10),
    ],
)
def test_the_linear_layer_reads_what_the_settings_put_under_it(settings: dict[str, int], inputs: int) -> None:
    assert tagging(**settings).linear.in_features == inputs  # type: ignore[arg-type]


def test_context_lets_a_word_see_its_neighbors() -> None:
    head, states = tagging(context=8), torch.randn(1, 8, WIDTH)
    before = head(states, words([3]))["logits"]
    states[0, 3] += 1.0  # under the third word
    after = head(states, words([3]))["logits"]
    assert (before != after).any(dim=2).all()


def test_without_context_it_does_not() -> None:
    head, states = tagging(), torch.randn(1, 8, WIDTH)
    before = head(states, words([3]))["logits"]
    states[0, 3] += 1.0
    assert (before != head(states, words([3]))["logits"]).any(dim=2).tolist() == [[False, False, True]]


def test_context_does_not_see_padding() -> None:
    head, states = tagging(context=8), torch.randn(2, 8, WIDTH)
    alone = head(states[:1], words([2]))["logits"]
    batched = head(states, words([2, 7]))["logits"]
    assert torch.allclose(batched[:1, :2], alone, atol=1e-6)


@pytest.mark.parametrize("counts", [[0], [0, 3], [0, 0]])
def test_context_stands_a_text_without_words(counts: list[int]) -> None:
    head, states = tagging(context=8), torch.randn(len(counts), 8, WIDTH)
    batch = words(counts)
    logits = head(states, batch)["logits"]
    assert logits.shape == (len(counts), batch["word_mask"].shape[1], 3)
    assert torch.isfinite(logits).all()


def test_a_crf_gives_its_transitions_with_the_scores() -> None:
    head = tagging(crf=True)
    outputs, constants = head(torch.randn(1, 8, WIDTH), words([3])), head.constants()
    assert set(outputs) == {"logits", "transitions", "start", "end"}
    assert set(constants) == {"transitions", "start", "end"}
    assert all(torch.equal(outputs[name], value) for name, value in constants.items())


def test_heads_without_a_crf_have_no_constants() -> None:
    assert tagging().constants() == {}
    assert MeanPooled(LABELS, width=WIDTH, dropout=0.0).constants() == {}


def test_a_head_has_to_say_what_it_does() -> None:
    with pytest.raises(TypeError, match="Head"):
        Head()(torch.zeros(1), {})


def test_every_head_says_what_transformers_alone_gets() -> None:
    gives = {name: (HEADS[name].auto_class, HEADS[name].gives) for name in HEADS}
    assert gives == {
        "adversarial-autoencoder": ("AutoModel", "hidden"),
        "causal-language-model": ("AutoModelForCausalLM", "logits"),
        "sequence-to-sequence": ("AutoModelForSeq2SeqLM", "logits"),
        "sequence-pair": ("AutoModel", "hidden"),
        "embedding-cls": ("AutoModel", "hidden"),
        "embedding-mean": ("AutoModel", "hidden"),
        "global-pointer": ("AutoModel", "hidden"),
        "masked-tokens": ("AutoModelForMaskedLM", "logits"),
        "multiple-choice": ("AutoModelForMultipleChoice", "logits"),
        "sentence-and-words": ("AutoModel", "hidden"),
        "replaced-tokens": ("AutoModel", "hidden"),
        "sequence-cls": ("AutoModelForSequenceClassification", "logits"),
        "sequence-markers": ("AutoModel", "hidden"),
        "sequence-mean": ("AutoModel", "hidden"),
        "span": ("AutoModel", "hidden"),
        "token-linear": ("AutoModelForTokenClassification", "logits"),
        "token-tagging": ("AutoModel", "hidden"),
        "variational-autoencoder": ("AutoModel", "hidden"),
    }


def test_markers_are_read_side_by_side() -> None:
    head = MarkerStates(("a", "b", "c"), width=4, dropout=0.5).eval()
    states, places = torch.randn(2, 5, 4), torch.tensor([[1, 3], [4, 0]])
    logits = head(states, {"marker_positions": places})["logits"]
    for row, (one, other) in enumerate(places.tolist()):
        expected = head.linear(torch.cat([states[row, one], states[row, other]]))
        assert torch.allclose(logits[row], expected, atol=1e-6)
    assert head.entries() == ("marker_positions",)


def test_each_place_of_a_span_has_its_own_scores() -> None:
    head = SpanScores(("start", "end"), width=4, dropout=0.5).eval()
    states, places = torch.randn(1, 5, 4), torch.tensor([[0, 3, 4]])
    logits = head(states, {"answer_positions": places})["logits"]
    assert torch.allclose(logits, head.linear(states[:, [0, 3, 4]]), atol=1e-6)


@pytest.mark.parametrize("labels", [2, 5])
def test_the_text_and_its_words_are_scored_side_by_side(labels: int) -> None:
    choices = {"crf": False, "word_shape": False, "context": 0}
    head = SentenceAndWords(tuple("abcde"[:labels]), width=4, dropout=0.5, tags=["O", "B-X", "I-X"], **choices).eval()
    states, mask, places = torch.randn(2, 5, 4), torch.ones(2, 5), torch.tensor([[1, 2], [3, 4]])
    batch = {"attention_mask": mask, "word_positions": places}
    logits = head(states, batch)["logits"]
    assert logits.shape == (2, 3, max(labels, 3))
    assert torch.equal(logits[:, 0, :labels], head.sentence(states, batch)["logits"])
    assert torch.equal(logits[:, 1:, :3], head.words(states, batch)["logits"])
    assert torch.softmax(logits, dim=2)[:, 0, labels:].sum() == 0
    assert torch.softmax(logits, dim=2)[:, 1:, 3:].sum() == 0


def test_a_pair_is_compared_by_the_mean_states_of_its_texts() -> None:
    head = PairStates(("a", "b"), width=WIDTH, dropout=0.0)
    states = torch.randn(1, 7, WIDTH)
    batch = {
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1, 0]]),
        "second_text": torch.tensor([[0, 0, 0, 1, 1, 1, 0]]),
    }
    one, other = (WIDTH**0.5 * torch.nn.functional.normalize(states[:, cut].mean(1)) for cut in (slice(3), slice(3, 6)))
    expected = head.linear(torch.cat([(one + other) / 2, (one - other).abs(), one * other], dim=1))
    assert torch.allclose(head(states, batch)["logits"], expected, atol=1e-6)
    turned = {**batch, "second_text": batch["attention_mask"] - batch["second_text"]}
    assert torch.allclose(head(states, turned)["logits"], expected, atol=1e-6)
