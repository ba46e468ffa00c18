"""The searches against counting out all that could be written."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from table_writer import END, ENDING, TableWriter, random_writer, saying

from hone.core.errors import DataError, RecipeError
from hone.predict.generation.contrastive import ContrastiveSearch
from hone.predict.generation.generate import generate
from hone.predict.generation.loop import Loop
from hone.predict.generation.words import Words
from hone.predict.generation.written import Vocabulary
from hone.tasks.decoding import DecodingSettings


def all_texts(writer: TableWriter, *, prompt: int, limit: int) -> dict[tuple[int, ...], float]:
    """Every text of at most ``limit`` tokens, its end included where it has one, and its log-probability."""
    chances = writer.table.double().log_softmax(dim=-1)
    found = {}
    for length in range(1, limit + 1):
        for text in itertools.product(range(writer.vocabulary), repeat=length):
            if END in text[:-1] or (text[-1] != END and length < limit):
                continue
            steps = zip((prompt, *text[:-1]), text, strict=True)
            found[text] = sum(
                float(chances[min(i, len(chances) - 1), last, token]) for i, (last, token) in enumerate(steps)
            )
    return found


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_beams_for_all_beginnings_find_the_best_texts_there_are(penalty: float, seed: int) -> None:
    writer = random_writer(places=3, tokens=5, seed=seed)
    settings = DecodingSettings(
        max_new_tokens=3, num_beams=25, num_return_sequences=5, length_penalty=penalty, early_stopping="never"
    )
    [found] = generate(writer, [[3]], settings, vocabulary=ENDING)
    chances = all_texts(writer, prompt=3, limit=3)
    scores = {text: chance / len(text) ** penalty for text, chance in chances.items()}
    best = sorted(scores, key=lambda text: -scores[text])[:5]
    assert [text.ids for text in found] == [text[:-1] if text[-1] == END else text for text in best]
    assert [text.score for text in found] == pytest.approx([scores[text] for text in best], abs=1e-5)
    assert [text.log_probability for text in found] == pytest.approx([chances[text] for text in best], abs=1e-5)


def test_greedy_search_takes_the_likeliest_token_each_time() -> None:
    writer = random_writer(tokens=7, seed=4)
    [[text]] = generate(writer, [[5]], DecodingSettings(max_new_tokens=9), vocabulary=ENDING)
    last, ids = 5, []
    while len(ids) < 9 and (last := int(writer.table[0, last].argmax())) != END:
        ids.append(last)
    assert list(text.ids) == ids
    assert text.ended == ("length" if len(ids) == 9 else "stop")


def test_texts_are_drawn_as_often_as_they_are_likely() -> None:
    writer = random_writer(tokens=4, seed=1)
    count = 4000
    settings = DecodingSettings(max_new_tokens=2, do_sample=True, num_return_sequences=count)
    [found] = generate(writer, [[2]], settings, vocabulary=ENDING, tokens_at_once=10)
    for text, chance in all_texts(writer, prompt=2, limit=2).items():
        ids = text[:-1] if text[-1] == END else text
        ended = "stop" if text[-1] == END else "length"
        share = sum(one.ids == ids and one.ended == ended for one in found) / count
        assert share == pytest.approx(math.exp(chance), abs=4 * 0.5 / count**0.5)  # four standard errors at most


def test_what_is_drawn_depends_on_the_seed_and_the_prompt_alone() -> None:
    writer = random_writer(tokens=9, seed=2)
    prompts = [[1], [2, 3], [1], [4], [5, 6, 7]]

    def texts(prompts: list[list[int]], seed: int) -> list[tuple[int, ...]]:
        settings = DecodingSettings(max_new_tokens=12, do_sample=True, top_p=0.9, seed=seed)
        return [found[0].ids for found in generate(writer, prompts, settings, vocabulary=ENDING)]

    together = texts(prompts, 7)
    assert together == [texts([prompt], 7)[0] for prompt in prompts]
    assert together[0] == together[2]
    assert texts(prompts, 8) != together


def test_several_draws_of_one_prompt_differ_and_the_first_is_the_only_one_that_is_asked_for() -> None:
    writer = random_writer(tokens=9, seed=2)
    one, six = (
        generate(
            writer,
            [[3]],
            DecodingSettings(max_new_tokens=12, do_sample=True, num_return_sequences=n),
            vocabulary=ENDING,
        )[0]
        for n in (1, 6)
    )
    assert one[0] in six
    assert len({text.ids for text in six}) > 1
    assert [text.score for text in six] == sorted((text.score for text in six), reverse=True)


@pytest.mark.parametrize(
    "settings",
    [
        DecodingSettings(max_new_tokens=11),
        DecodingSettings(max_new_tokens=11, num_beams=3, num_return_sequences=2),
        DecodingSettings(max_new_tokens=11, do_sample=True, num_return_sequences=2),
        DecodingSettings(max_new_tokens=11, repetition_penalty=1.5, no_repeat_ngram_size=3, min_new_tokens=2),
    ],
    ids=lambda settings: settings.search,
)
def test_little_room_changes_no_text(settings: DecodingSettings) -> None:
    writer = random_writer(tokens=12, seed=3)
    prompts = [[1 + i % 11] * (1 + i % 4) for i in range(17)]
    roomy = generate(writer, prompts, settings, vocabulary=ENDING)
    assert writer.begun == [17]
    writer.begun.clear()
    assert generate(writer, prompts, settings, vocabulary=ENDING, tokens_at_once=100) == roomy
    assert len(writer.begun) > 2


def test_rows_that_end_leave_and_others_join_before_all_have_ended() -> None:
    writer = random_writer(tokens=12, seed=3)
    counts: list[int] = []
    generate(
        writer,
        [[1 + i % 11] for i in range(40)],
        DecodingSettings(max_new_tokens=30),
        vocabulary=ENDING,
        tokens_at_once=310,
        done=counts.append,
    )
    assert sum(counts) == 40
    assert writer.begun[0] == 10
    assert max(writer.stepped) <= 10
    assert len(writer.begun) > 4  # more often than in four batches one after another


def test_a_text_ends_where_the_model_has_no_further_positions() -> None:
    writer = saying([3] * 20, tokens=5)
    writer.most_tokens = writer.most_prompt_tokens = 9
    [[text]] = generate(writer, [[0, 0, 1]], DecodingSettings(), vocabulary=ENDING)
    assert (len(text.ids), text.ended) == (6, "length")


@pytest.mark.parametrize("prompt", [[], [1] * 9, [1] * 12])
def test_a_prompt_that_nothing_can_follow_is_refused(prompt: list[int]) -> None:
    writer = saying([3], tokens=5)
    writer.most_tokens = writer.most_prompt_tokens = 9
    with pytest.raises(DataError) as refused:
        generate(writer, [[1], prompt], DecodingSettings(), vocabulary=ENDING)
    assert refused.value.code == ("generation.long-prompt" if prompt else "generation.empty-prompt")


@pytest.mark.parametrize("settings", [{"stop_strings": ["x"]}, {"bad_words": ["x"]}])
def test_words_need_a_tokenizer(settings: dict[str, list[str]]) -> None:
    with pytest.raises(RecipeError) as refused:
        generate(saying([3], tokens=5), [[1]], DecodingSettings(**settings), vocabulary=ENDING)
    assert refused.value.code == "decoding.no-tokenizer"


def test_a_bad_word_without_tokens_is_refused() -> None:
    vocabulary = Vocabulary((END,), encode=lambda words: [[] for _ in words])
    with pytest.raises(RecipeError) as refused:
        generate(saying([3], tokens=5), [[1]], DecodingSettings(bad_words=["\u200b"]), vocabulary=vocabulary)
    assert refused.value.code == "decoding.bad-word"


def test_a_forced_first_token_comes_first_and_counts() -> None:
    writer = saying([3, 3], tokens=5)
    vocabulary = Vocabulary((END,), forced_bos_token_id=4)
    [[text]] = generate(writer, [[1]], DecodingSettings(), vocabulary=vocabulary)
    assert text.ids == (4, 3)


def test_no_prompts_are_no_texts() -> None:
    assert generate(saying([3], tokens=5), [], DecodingSettings(), vocabulary=ENDING) == []


def test_drawing_by_min_p_leaves_out_what_is_far_less_likely_than_the_likeliest() -> None:
    writer = TableWriter(torch.tensor([0.05, 0.5, 0.3, 0.15]).log().expand(1, 4, 4))
    settings = DecodingSettings(max_new_tokens=1, do_sample=True, min_p=0.4, num_return_sequences=200)
    [found] = generate(writer, [[1]], settings, vocabulary=ENDING)
    assert {text.ids for text in found} == {(1,), (2,)}


def test_contrastive_search_forgets_the_states_of_texts_that_are_done() -> None:
    writer = random_writer(tokens=12)
    settings = DecodingSettings(max_new_tokens=10, penalty_alpha=0.3, top_k=3)
    prompts = [[1 + i % 11, 1 + i % 7, 1 + i % 5] for i in range(60)]
    search = ContrastiveSearch(writer, settings, ENDING, [Words(settings, ENDING)] * 60)
    loop, places = Loop(writer, search, tokens_at_once=180), []
    loop.put(dict(enumerate(prompts)))
    while loop.busy:
        loop.step()
        places.append(search._context.shape[1])
    assert len(writer.begun) > 10  # others joined while some were being written
    assert max(places) <= 3 + 2 * 10


def test_contrastive_search_has_room_for_every_continuation_that_it_reads() -> None:
    writer = random_writer(tokens=12, seed=3)
    settings = DecodingSettings(max_new_tokens=8, penalty_alpha=0.3, top_k=4)
    prompts = [[1 + i % 11, 2] for i in range(12)]
    roomy = generate(writer, prompts, settings, vocabulary=ENDING)
    writer.stepped.clear()
    assert generate(writer, prompts, settings, vocabulary=ENDING, tokens_at_once=100) == roomy
    assert max(writer.stepped) == 8  # two prompts, each four times ten tokens
