"""The base that a recipe trains from: found where it names one, else made of the training texts, read and written."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hone.bundle.stage import CORPUS, NO_TASK
from hone.core.lineage import digest_value
from hone.core.progress import Progress
from hone.data.cache import default_cache
from hone.data.dataset import Dataset
from hone.data.fields import TO_WRITE, Field
from hone.data.order import spread
from hone.data.turns import texts_in
from hone.models.architectures import ExtensionSettings, GrowthSettings
from hone.models.base import Base, resolve_base
from hone.pipeline.needs import UNLABELED
from hone.pipeline.recipe import Recipe
from hone.tasks.objectives.settings import OBJECTIVES
from hone.tasks.table import TASKS

TEXT, PAIR = Field("text", "text"), Field("pair", "text")  # of documents
ROWS_TOGETHER = 16  # at least, that stand one after another and are read at once: each alone takes long to look up
BLOCKS = 1 << 16  # of such rows, at most
READ = (CORPUS, "train", UNLABELED)  # what a tokenizer may be learned from


def find_base(recipe: Recipe, data: Mapping[str, Dataset], progress: Progress) -> Base:
    """The base, on disk.

    Raises:
        HoneError: There is none of that name, or it cannot be written.
    """
    if isinstance(recipe.base, str):
        return resolve_base(recipe.base, relative_to=recipe.folder)
    from hone.models.extended_base import extended, tokens_added
    from hone.models.grown_base import grown
    from hone.models.new_base import make_base

    shapes = () if recipe.task is NO_TASK else TASKS[recipe.task.name].shapes()
    every = itertools.chain.from_iterable(shape.fields for shape in shapes)
    named = {field.name: field for field in every}  # some are in several shapes
    fields = [field for field in named.values() if field.kind in ("text", "tokens", "texts", *TO_WRITE)] or [TEXT]
    read = {name: dataset for name, dataset in data.items() if name in READ}
    source = digest_value(
        {"fields": [field.name for field in fields], **{name: dataset.digest for name, dataset in read.items()}}
    )

    having = {name: dataset.having([TEXT, PAIR] if name == CORPUS else fields) for name, dataset in read.items()}
    texts = Spread([(dataset, having[name]) for name, dataset in read.items()])
    if isinstance(recipe.base, GrowthSettings):
        old = resolve_base(recipe.base.grow, relative_to=recipe.folder)
        progress.say(f"{old.name} is given {recipe.base.layers} layers ({recipe.base.how})")
        return grown(old, recipe.base, cache=default_cache() / "bases")
    cache, sources = default_cache() / "bases", " and ".join(read)
    if isinstance(recipe.base, ExtensionSettings):
        old = resolve_base(recipe.base.extends, relative_to=recipe.folder)
        progress.say(f"the vocabulary of {old.name} is extended by words of {sources}")
        base = extended(old, recipe.base, texts, source=source, cache=cache)
        progress.say(_extended(old, tokens_added(old, base), recipe.base))
    else:
        progress.say(f"the base is a new {recipe.base.architecture}; its tokenizer is learned from {sources}")
        base = make_base(recipe.base, texts, source=source, seed=recipe.seed, cache=cache)
    if 0 < texts.rows < texts.all_rows:
        progress.say(
            f"the tokenizer has read {texts.rows:,} of {texts.all_rows:,} rows, from all over {sources}: "
            f"{texts.characters:,} characters, which is as much as it reads"
        )
    return base


def _extended(old: Base, added: int, settings: ExtensionSettings) -> str:
    """What is told of a base whose vocabulary was extended."""
    if added:
        return f"{added:,} tokens are added to the vocabulary of {old.name}, of at most {settings.new_tokens:,}"
    return (
        f"NOTHING IS ADDED to the vocabulary of {old.name}: no word that it lacks stands {settings.min_frequency} "
        "times in these texts. Lower min_frequency, give more text, or leave extends out"
    )


def require_changeable(recipe: Recipe) -> None:
    """Raise where a base is to be extended or grown that cannot be: before a corpus is read, which may take hours.

    Raises:
        RecipeError: It cannot be, or there is none of that name.
    """
    if isinstance(recipe.base, ExtensionSettings):
        name, what = recipe.base.extends, "extended"
    elif isinstance(recipe.base, GrowthSettings):
        name, what = recipe.base.grow, "grown"
    else:
        return
    from hone.models.plain_base import plain_config

    plain_config(resolve_base(name, relative_to=recipe.folder), what=what)


def require_learnable(recipe: Recipe, base: Base) -> None:
    """Raise where ``base`` is none that an objective can teach: before a corpus is read, which may take hours.

    Raises:
        RecipeError: It is not.
    """
    from hone.train.pretrain_faults import base_faults

    faults = []
    for i, choice in enumerate(recipe.stages):
        for at, holder in (("", choice.settings), ("joint.", getattr(choice.settings, "joint", None))):
            entries = [OBJECTIVES[value["name"]] for value in getattr(holder, "objective", ())]
            wrong = base_faults(entries, base) if entries else ()
            faults += [replace(one, field=f"stages.{i}.{at}{one.field}") for one in wrong]
    if faults:
        raise recipe.refusal(faults)


class Spread:
    """The texts that a tokenizer is learned from, in an order of which every beginning is from all over them, so that
    it is a fair sample where no more is read: every text of fields, every word of a field that holds words, and every
    text of one with turns.

    Args:
        parts: Datasets, each with the fields that are read of it.

    Attributes:
        rows, characters: That have been read.
        all_rows: How many there are.
    """

    def __init__(self, parts: Sequence[tuple[Dataset, Sequence[str]]]) -> None:
        self._parts = parts
        self._together = [max(ROWS_TOGETHER, -(-len(dataset) // BLOCKS)) for dataset, _ in parts]
        blocks = (-(-len(dataset) // rows) for (dataset, _), rows in zip(parts, self._together, strict=True))
        self._begins = list(itertools.accumulate(blocks, initial=0))
        self.rows = self.characters = 0
        self.all_rows = sum(len(dataset) for dataset, _ in parts)

    def __call__(self) -> Iterator[str]:
        """The texts, from the first on."""
        self.rows = self.characters = 0
        for block in spread(self._begins[-1]):
            part = bisect.bisect_right(self._begins, block) - 1
            dataset, names = self._parts[part]
            begin = (block - self._begins[part]) * self._together[part]
            rows = np.arange(begin, min(begin + self._together[part], len(dataset)))
            self.rows += len(rows)
            for value in itertools.chain.from_iterable(dataset.values(name, rows) for name in names):
                for text in [value] if isinstance(value, str) else texts_in(value):
                    self.characters += len(text)
                    yield text
