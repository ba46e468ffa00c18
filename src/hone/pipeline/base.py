"""The base that a recipe trains from: found where it names one, else made of the training texts, read and written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from hone.bundle.stage import CORPUS, NO_TASK
from hone.core.lineage import digest_value
from hone.core.progress import Progress
from hone.data.cache import default_cache
from hone.data.dataset import Dataset
from hone.data.fields import TO_WRITE, Field
from hone.data.turns import texts_in
from hone.models.architectures import ExtensionSettings, GrowthSettings
from hone.models.base import Base, resolve_base
from hone.pipeline.recipe import Recipe
from hone.tasks.table import TASKS

TEXT, PAIR = Field("text", "text"), Field("pair", "text")  # of documents
UNLABELED = "unlabeled"  # the one name of data without targets
READ = (CORPUS, "train", UNLABELED)  # what a tokenizer may be learned from


def find_base(recipe: Recipe, data: Mapping[str, Dataset], progress: Progress) -> Base:
    """The base, on disk.

    Raises:
        HoneError: There is none of that name, or it cannot be written.
    """
    if isinstance(recipe.base, str):
        return resolve_base(recipe.base, relative_to=recipe.folder)
    from hone.models.extended_base import extended
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

    def texts() -> Iterator[str]:
        for name, dataset in read.items():
            yield from _texts(dataset, dataset.having([TEXT, PAIR] if name == CORPUS else fields))

    if isinstance(recipe.base, GrowthSettings):
        old = resolve_base(recipe.base.grow, relative_to=recipe.folder)
        progress.say(f"{old.name} is given {recipe.base.layers} layers ({recipe.base.how})")
        return grown(old, recipe.base, cache=default_cache() / "bases")
    cache, sources = default_cache() / "bases", " and ".join(read)
    if isinstance(recipe.base, ExtensionSettings):
        old = resolve_base(recipe.base.extends, relative_to=recipe.folder)
        progress.say(f"the vocabulary of {old.name} is extended by words of {sources}")
        return extended(old, recipe.base, texts, source=source, cache=cache)
    progress.say(f"the base is a new {recipe.base.architecture}; its tokenizer is learned from {sources}")
    return make_base(recipe.base, texts, source=source, seed=recipe.seed, cache=cache)


def _texts(dataset: Dataset, names: Sequence[str]) -> Iterator[str]:
    """Every text of a dataset's fields, every word of a field that holds words, and every text of one with turns."""
    for start, stop in dataset.portions():
        columns = dataset.slice(start, stop)
        for name in names:
            for value in columns[name]:
                yield from [value] if isinstance(value, str) else texts_in(value)
