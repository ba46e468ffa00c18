"""The labeled data that a base is judged by while it learns, read as the probes need it, whatever the recipe's task."""

from __future__ import annotations

from hone.core.errors import DataError
from hone.data.cache import default_cache
from hone.data.checks import require_teachable
from hone.data.dataset import Dataset
from hone.data.read import read
from hone.pipeline.recipe import Recipe
from hone.train.pretrain_settings import PROBED


def read_probed(recipe: Recipe) -> tuple[dict[str, Dataset], list[DataError]]:
    """The data that probes of any stage name, and what is wrong with it."""
    data: dict[str, Dataset] = {}
    errors: list[DataError] = []
    for name in recipe.probed:
        source = recipe.sources.get(name)
        if source is None:
            continue  # told by `needs`
        try:
            data[name] = read(source, *PROBED, name=name, base=recipe.folder, cache=default_cache())
            for field in PROBED[0][-1:] + PROBED[-1][-1:]:
                if field.name in data[name].columns:
                    require_teachable(data[name], field)
        except DataError as error:
            errors.append(error)
    return data, errors
