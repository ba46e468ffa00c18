"""Segmenters: the likeliest cut is that of brute force, words that text was made of are found again, jieba's dictionary
is cut as jieba cuts it, and what is hidden is whole words."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone.core.errors import MissingExtra
from hone.core.progress import Silent
from hone.core.settings import check_settings
from hone.data.dataset import Dataset
from hone.models.architectures import TokenizerSettings
from hone.models.learned_tokenizer import learn_tokenizer
from hone.models.tiny import write_tiny_writer
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.tasks.objectives.documents import Documents
from hone.tasks.objectives.pretraining import Pretraining, text_rows
from hone.tasks.objectives.segmenting import segmenter_faults, segmenter_of
from hone.text.segmenters import dictionary
from hone.text.segmenters.dictionary import DictionarySettings, read
from hone.text.segmenters.learned import LearnedSettings, learn
from hone.text.segmenters.lexicon import Lexicon
from hone.text.segmenters.segmenter import words_at
from hone.text.segmenters.table import SEGMENTERS
from hone.train.pretrain_settings import PretrainSettings

RUNS = (
    "我来到北京清华大学",
    "他来到了网易杭研大厦",
    "小明硕士毕业于中国科学院计算所",
    "却说那女娲氏炼石补天之时",
    "工信处女干事每月经过下属科室都要亲口交代二十四口交换机等技术性器件的安装工作",
)
CHARACTERS = [chr(0x4E00 + at) for at in range(160)]


def cuts(run: str) -> Iterator[list[str]]:
    for ends in itertools.product([False, True], repeat=len(run) - 1):
        edges = [0, *(at for at, end in enumerate(ends, start=1) if end), len(run)]
        yield [run[begin:end] for begin, end in itertools.pairwise(edges)]


@given(run=st.text("天地人", min_size=1, max_size=7), counts=st.dictionaries(
    st.text("天地人", min_size=1, max_size=3), st.integers(1, 50), min_size=1, max_size=12))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_cut_is_the_likeliest_of_all(run: str, counts: dict[str, int]) -> None:
    lexicon, total = Lexicon(counts), sum(counts.values())

    def likelihood(words: list[str]) -> float:
        known = all(word in counts or len(word) == 1 for word in words)
        return sum(math.log(counts.get(word, 1) / total) for word in words) if known else -math.inf

    found = lexicon.cut(run)
    assert "".join(found) == run
    assert likelihood(found) == pytest.approx(max(map(likelihood, cuts(run))))


def made_of_words(seed: int) -> tuple[list[str], list[list[str]]]:
    """Words of one to three characters, frequencies as Zipf has them; sentences of them."""
    rng = np.random.default_rng(seed)
    words = list(
        dict.fromkeys("".join(rng.choice(CHARACTERS, size)) for size in rng.choice([1, 2, 3], 150, p=[0.2, 0.6, 0.2]))
    )
    chances = 1 / np.arange(3, len(words) + 3)
    sentences = [rng.choice(words, 9, p=chances / chances.sum()).tolist() for _ in range(1500)]
    return words, sentences


def test_words_that_text_was_made_of_are_found_again() -> None:
    words, sentences = made_of_words(4)
    texts = ["，".join(map("".join, sentences[at : at + 5])) for at in range(0, len(sentences), 5)]
    lexicon = learn(LearnedSettings(cohesion=1.0), texts)  # of so few characters no two can cohere by 3 nats
    right = told = true = 0
    for sentence in sentences[:300]:
        spans = [set(itertools.pairwise(itertools.accumulate(map(len, cut), initial=0)))
                 for cut in (lexicon.cut("".join(sentence)), sentence)]  # fmt: skip
        right, told, true = right + len(spans[0] & spans[1]), told + len(spans[0]), true + len(spans[1])
    assert 2 * right / (told + true) > 0.9  # single characters alone: 0.3
    frequent = {word for word in words[:60] if len(word) > 1}
    assert sum(word in lexicon for word in frequent) > 0.9 * len(frequent)


def test_a_word_that_few_of_many_texts_have_is_kept() -> None:
    rng = np.random.default_rng(2)
    texts = ["".join(rng.choice(CHARACTERS[:40], 12)) for _ in range(600)] * 85  # 612,000 characters
    for i, (before, after) in enumerate(zip(CHARACTERS[:12], CHARACTERS[12:24], strict=True)):
        texts[2 * 1001 * i + 1] = f"{before}魑魅{after}"
    assert "魑魅" in learn(LearnedSettings(longest=2), texts)


def test_the_same_texts_give_the_same_lexicon() -> None:
    texts = ["".join(sentence) for sentence in made_of_words(1)[1][:200]]
    assert learn(LearnedSettings(), texts).digest == learn(LearnedSettings(), texts).digest
    assert learn(LearnedSettings(), texts).digest != learn(LearnedSettings(), texts[1:]).digest


@pytest.mark.parametrize("texts", [[], [""], ["no such characters"], ["天"], ["天地", "x天y"]])
def test_of_next_to_no_text_every_character_is_a_word(texts: list[str]) -> None:
    assert learn(LearnedSettings(), texts).cut("天地人") == ["天", "地", "人"]


@pytest.fixture(scope="module")
def jieba() -> Lexicon:
    pytest.importorskip("jieba", reason="jieba is not installed")
    return read(DictionarySettings(), [])


def test_the_dictionary_is_cut_as_jieba_itself_cuts_it(jieba: Lexicon) -> None:
    theirs = pytest.importorskip("jieba").Tokenizer()
    with (Path(pytest.importorskip("jieba").__file__).parent / "dict.txt").open("rb") as file:
        theirs.FREQ, theirs.total = theirs.gen_pfdict(file)
    theirs.initialized = True  # without the file that it would keep in the temporary folder
    for run in RUNS:
        assert jieba.cut(run) == list(theirs.cut(run, HMM=False))


def test_a_missing_dictionary_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="jieba"):
        list(segmenter_faults({"name": "jieba"}, [{"name": "mlm", "masking": "words"}]))


def test_only_han_characters_are_cut() -> None:
    lexicon = Lexicon({"天地": 5, "人": 3})
    assert words_at("ab天地 人人,x天地", lexicon) == [-1, -1, 0, 0, -1, 1, 2, -1, -1, 3, 3]


def test_whole_words_are_hidden(tiny_base: Path) -> None:
    text = "天地人天地 the pier 人人天地"
    documents = Documents(load_tokenizer(tiny_base), max_tokens=64, segmenter=Lexicon({"天地": 5, "人": 3}))
    learning = Pretraining([{"name": "mlm", "masking": "words", "mlm_probability": 0.4}], documents)
    rows = learning.encode({"text": [text]}, purpose="learn")
    words = rows.column("words").to_pylist()[0]
    spelled = load_tokenizer(tiny_base).encode_pieces([text])[0]
    by_word: dict[int, str] = {}
    for (begin, end), word in zip(spelled.places, words, strict=True):
        by_word[word] = by_word.get(word, "") + text[begin:end]
    assert list(by_word.values()) == ["天地", "人", "天地", "the", "pier", "人", "人", "天地"]


def test_without_a_segmenter_each_character_of_a_clause_is_a_word() -> None:
    text = "天地人天 the pier"
    settings = TokenizerSettings(kind="bpe", vocab_size=400, min_frequency=2)  # to which a clause is one word
    tokenizer = Tokenizer(learn_tokenizer(settings, ["天 地 人 the pier"] * 3, max_tokens=64))
    pieces = tokenizer.encode_pieces([text])[0]
    assert len({word for word, (begin, _) in zip(pieces.words, pieces.places, strict=True) if begin < 4}) == 1
    rows = Documents(tokenizer, max_tokens=64).encode({"text": [text]}, purpose="learn")
    by_word: dict[int, tuple[int, int]] = {}
    for (begin, end), word in zip(pieces.places, rows.column("words").to_pylist()[0], strict=True):
        by_word[word] = (by_word.get(word, (begin, end))[0], end)
    assert [text[begin:end] for begin, end in by_word.values()] == ["天", "地", "人", "天", " the", " pier"]


def test_masks_cover_words_whole(tiny_base: Path, tmp_path: Path) -> None:
    data = Dataset.from_columns("corpus", {"text": ["天地人天地 the pier 人人天地" * 3] * 20})
    documents = Documents(load_tokenizer(tiny_base), max_tokens=64, segmenter=Lexicon({"天地": 5, "人": 3}))
    learning = Pretraining([{"name": "mlm", "masking": "words", "mlm_probability": 0.4}], documents)
    rows = text_rows(learning, data, cache=tmp_path, progress=Silent())
    index = np.arange(len(rows))
    places = learning.draw(rows, index, rng=np.random.default_rng(0))["mask_places"].tolist()
    words = documents.inside(rows, index, "words", fill=-1)
    hidden = {(row, int(words[row, at])) for row, at in places}
    assert len(hidden) > 20
    whole = {(row, at) for row, word in hidden for at in np.flatnonzero(words[row] == word).tolist()}
    assert whole == {(row, at) for row, at in places}


def test_a_blank_at_the_end_that_a_tokenizer_places_behind_the_text_is_no_word(tmp_path: Path) -> None:
    from tokenizers import processors

    tokenizer = load_tokenizer(write_tiny_writer(tmp_path / "gpt2", kind="gpt2"))
    backend = tokenizer.pretrained.backend_tokenizer
    backend.post_processor = processors.ByteLevel(trim_offsets=True)  # as RoBERTa's and BART's have it
    for text in ("天地  ", "the pier  "):
        places = [place for place, _ in tokenizer.encode_pieces([text])[0].places]
        assert places[-1] == len(text)
        rows = Documents(tokenizer, max_tokens=64).encode({"text": [text]}, purpose="learn")
        assert len(rows.column("words")[0]) == len(places)


def test_rows_know_who_cut_them(tiny_base: Path) -> None:
    tokenizer = load_tokenizer(tiny_base)
    plain = Documents(tokenizer, max_tokens=64).settings
    assert Documents(tokenizer, max_tokens=64, segmenter=Lexicon({"天": 1})).settings != plain


@pytest.mark.parametrize("name", sorted(SEGMENTERS))
def test_every_segmenter_keeps_every_character(name: str) -> None:
    if name == "jieba":
        pytest.importorskip("jieba", reason="jieba is not installed")
    texts = ["".join(sentence) for sentence in made_of_words(2)[1][:100]]
    made = segmenter_of({"name": name}, Dataset.from_columns("corpus", {"text": texts}))
    assert made is not None
    assert all("".join(made.cut(text)) == text for text in texts)
    assert made.digest


def test_a_segmenter_that_nothing_uses_is_told() -> None:
    found, faults = check_settings(PretrainSettings, {"segmenter": "learnt"})
    assert found is None
    assert "learned" in faults[0].fix
    [fault] = segmenter_faults({"name": "learned"}, [{"name": "mlm"}, {"name": "sop"}])
    assert (fault.code, fault.field) == ("recipe.segmenter", "segmenter")
    assert list(segmenter_faults({"name": "learned"}, [{"name": "mlm", "masking": "spans"}])) == []
