"""An extended base: new words are tokens whose rows are the mean of their pieces'; other texts stay as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from hone.core.errors import RecipeError
from hone.models.architectures import BertSettings, ExtensionSettings, Gpt2Settings, NewBase
from hone.models.base import Base, digest_base
from hone.models.extended_base import extended, tokens_added
from hone.models.new_base import make_base
from hone.models.tokenizer import Tokenizer, load_tokenizer

OLD = ["the low lower lowest of a new newer newest one", "it is wide and wider, the widest of all"] * 4
NEW = ["the lowtide of a newlow", "lowtides and newlows in the lowtide 龘", "the lowtide 龘"] * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


def made(folder: Path, architecture: str, **tokenizer: Any) -> Base:
    sizes: dict[str, Any] = {"hidden": 8, "layers": 1, "heads": 2, "max_length": 32}
    settings: dict[str, Any] = {"bert": BertSettings, "gpt2": Gpt2Settings}[architecture](**sizes, tokenizer=tokenizer)
    return make_base(NewBase(architecture, settings), lambda: OLD, source="old", seed=1, cache=folder)


def more(folder: Path, base: Base, **settings: Any) -> Base:
    return extended(
        base,
        ExtensionSettings(extends="x", **{"min_frequency": 3, **settings}),
        lambda: NEW,
        source="new",
        cache=folder,
    )


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    found: list[str] = tokenizer.pretrained.convert_ids_to_tokens(tokenizer.encode([text])[0])
    return found


@pytest.mark.parametrize(
    ("kind", "tokenizer"), [("bert", {}), ("bert", {"kind": "bpe", "vocab_size": 300}), ("gpt2", {})]
)
def test_texts_without_new_tokens_are_read_as_before(folder: Path, kind: str, tokenizer: dict[str, Any]) -> None:
    base = made(folder, kind, **tokenizer)
    old, new = load_tokenizer(base.folder), load_tokenizer(more(folder, base, new_tokens=20).folder)
    assert new.vocab_size > old.vocab_size
    texts = [*OLD, "the widest one, lower!", "plain old words", "a low tide", "Ünwide 北京"]
    for text, before, after in zip(texts, old.encode(texts), new.encode(texts), strict=True):
        if max(after, default=0) < old.vocab_size:
            assert before == after, text
    assert old.encode(OLD) == new.encode(OLD)
    assert (old.prefix, old.suffix, old.mask_id) == (new.prefix, new.suffix, new.mask_id)
    assert len(tokens(new, " the lowtide")) < len(tokens(old, " the lowtide"))


def test_new_rows_are_the_mean_of_their_pieces(folder: Path) -> None:
    base = made(folder, "bert")
    wider = more(folder, base, new_tokens=3)
    old, new = load_tokenizer(base.folder), load_tokenizer(wider.folder)
    before, after = (
        transformers.AutoModel.from_pretrained(one.folder).get_input_embeddings().weight for one in (base, wider)
    )
    assert after.shape == (old.vocab_size + 3, 8)
    assert torch.equal(after[: old.vocab_size], before)
    for word in ("lowtide", "lowtides", "newlows"):
        [token] = new.encode([word])[0]
        assert torch.allclose(after[token], before[old.encode([word])[0]].mean(dim=0))


def test_tied_outputs_stay_tied(folder: Path) -> None:
    wider = more(folder, made(folder, "gpt2"), new_tokens=5)
    model = transformers.AutoModelForCausalLM.from_pretrained(wider.folder)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.config.vocab_size == load_tokenizer(wider.folder).vocab_size


@pytest.mark.parametrize("tied", [True, False])
def test_outputs_are_extended_alike(folder: Path, tmp_path: Path, tied: bool) -> None:
    base = made(folder, "bert" if tied else "gpt2")
    kind = transformers.BertForMaskedLM if tied else transformers.GPT2LMHeadModel
    model = kind(transformers.AutoConfig.from_pretrained(base.folder, tie_word_embeddings=tied))
    output = model.get_output_embeddings()
    if tied:
        torch.nn.init.normal_(output.bias)
    model.save_pretrained(tmp_path)
    old = load_tokenizer(base.folder)
    old.save(tmp_path)
    wider = more(folder, Base("headed", tmp_path, digest_base(tmp_path)), new_tokens=40)
    parts, [token] = (one.encode([" lowtide"])[0] for one in (old, load_tokenizer(wider.folder)))
    assert token >= old.vocab_size
    new = kind.from_pretrained(wider.folder).get_output_embeddings()
    assert torch.allclose(new.weight[token], output.weight[parts].mean(dim=0))
    if tied:
        assert torch.allclose(new.bias[token], output.bias[parts].mean())


def test_lineage_names_the_base_and_the_texts(folder: Path) -> None:
    base = made(folder, "bert")
    one, again, other = (more(folder, base, new_tokens=count) for count in (3, 3, 4))
    assert one.made == {"extends": base.digest, "new_tokens": 3, "min_frequency": 3, "texts": "new"}
    assert one.digest == again.digest != other.digest
    assert base.digest == digest_base(base.folder)


def test_a_vocabulary_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match="Unigram") as caught:
        more(folder, made(folder, "bert", kind="unigram", vocab_size=100))
    assert caught.value.code == "base.vocabulary-kind"


def test_words_that_are_too_long_to_be_known_are_not_added(folder: Path) -> None:
    base, word = made(folder, "bert"), "lowest" * 17  # more than the hundred characters that WordPiece looks at
    settings = ExtensionSettings(extends="x", min_frequency=3)
    wider = extended(base, settings, lambda: [f"{word} lowtide"] * 9, source="long", cache=folder)
    assert tokens_added(base, wider) == 1
    assert tokens(load_tokenizer(wider.folder), "lowtide") == ["lowtide"]
