"""The documents that a recipe names, and those of them that are held out."""

from __future__ import annotations

from collections.abc import Sequence

from hone.bundle.stage import CORPUS, HELD_OUT
from hone.core.errors import DataError
from hone.core.progress import Progress
from hone.data.cache import default_cache
from hone.data.corpus.card import Card, Selected
from hone.data.corpus.corpus import Corpus, open_corpus
from hone.data.dataset import Dataset
from hone.pipeline.recipe import Recipe, StageChoice

MUCH = 3  # times the share that is asked for, from which it is said


def read_corpora(
    recipe: Recipe, stages: Sequence[StageChoice], progress: Progress
) -> tuple[dict[str, Corpus], dict[str, Dataset]]:
    """What ``data.corpus`` names, where it names anything, and what is held out, by their names; and the documents of
    both as stages learn from them and are measured by them. What was left out, and what is carved, is said."""
    settings = recipe.corpora.get(CORPUS)
    if settings is None:
        return {}, {}
    corpus = open_corpus(settings, base=recipe.folder, cache=default_cache(), seed=recipe.split_seed)
    came = sum(part.documents for part in corpus.card.read)
    progress.say(f"the corpus: {len(corpus):,} of {came:,} documents are kept, {corpus.characters:,} characters")
    for one in corpus.card.selected:
        _say_left_out(f"what {one.name} is to be like", one, progress)
    named = recipe.corpora.get(HELD_OUT)
    learned, held = corpus, None
    if named is not None:
        held = open_corpus(named, base=recipe.folder, cache=default_cache(), seed=recipe.split_seed)
        _say_left_out(HELD_OUT, held.card, progress)
        if "leaked" in recipe.options.drop:
            learned = corpus = _apart(corpus, held, progress)
    elif HELD_OUT not in recipe.corpora and any(HELD_OUT in choice.stage.reads for choice in stages):
        learned, held = _carved(corpus, recipe.options.validation_share, seed=recipe.split_seed, progress=progress)
    if recipe.options.train_share < 1:
        learned = learned.part(recipe.options.train_share, seed=recipe.split_seed)
        progress.say(f"{len(learned):,} of these documents are learned from")
    texts = {CORPUS: learned.rows}
    if held is None:
        return {CORPUS: corpus}, texts
    return {CORPUS: corpus, HELD_OUT: held}, {**texts, HELD_OUT: held.rows}


def _apart(corpus: Corpus, held: Corpus, progress: Progress) -> Corpus:
    """The documents of the corpus that do not stand in held-out text.

    Raises:
        DataError: There are none.
    """
    rest = corpus.without(held, name="leaked")
    if not len(rest):
        raise DataError(
            f"every document of {corpus.rows.origin} stands in {HELD_OUT} too, and drop: [leaked] takes those",
            expected="other text to learn from",
            fix=f"Name other text under {HELD_OUT}, or leave it out: then it is carved from the corpus.",
            code="data.empty",
        )
    if len(rest) < len(corpus):
        count = len(corpus) - len(rest)
        progress.say(f"dropped {count:,} of {len(corpus):,} documents of the corpus, which stand in {HELD_OUT} too")
    return rest


def _carved(corpus: Corpus, share: float, *, seed: int, progress: Progress) -> tuple[Corpus, Corpus]:
    """What remains to be learned from, and what is held out; sources of few documents, which cannot keep to the share,
    are named."""
    learned, held = corpus.carve(share, seed=seed)
    progress.say(
        f"no {HELD_OUT} is named: {len(held):,} documents of the corpus were taken for it "
        f"(seed {seed}); {len(learned):,} remain"
    )
    both = list(zip(corpus.sizes, held.sizes, strict=True))
    whole = [size.name for size, taken in both if size.documents and not taken.documents]
    if whole:
        progress.say(f"too few documents to hold any of them out: {', '.join(whole)}; nothing is measured of them")
    much = [f"{size.name} {taken.characters / size.characters:.0%}" for size, taken in both
            if taken.characters > MUCH * share * size.characters]  # fmt: skip
    if much:
        progress.say(
            f"of small sources more than {share:.0%} was taken: {', '.join(much)}; {HELD_OUT} may name other text"
        )
    return learned, held


def _say_left_out(what: str, found: Card | Selected, progress: Progress) -> None:
    """That some of it could not be read, where that was so."""
    if found.left_out:
        progress.say(f"{what}: {found.left_out:,} files, lines or rows are left out; the first: {found.named[0]}")
