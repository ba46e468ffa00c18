"""The labeled data that a base is judged by while it learns, read as the probes need it, whatever the recipe's task."""

from __future__ import annotations

from collections.abc import Mapping

from hone.core.errors import DataError, Fault
from hone.core.progress import Progress
from hone.data.cache import default_cache
from hone.data.checks import leaked, require_teachable
from hone.data.dataset import Dataset
from hone.data.read import read
from hone.pipeline.needs import probed
from hone.pipeline.recipe import Recipe
from hone.train.pretrain_settings import BOTH, PROBED, TEXT


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


def require_apart(
    recipe: Recipe, asked: Mapping[str, Dataset], data: Mapping[str, Dataset], progress: Progress
) -> None:
    """Raise where the rows of a probe, under whatever name, are those that a stage measures by later: a base that was
    chosen by them has seen its examination. Fewer than half of either are said and let be.

    Args:
        asked: The data of probes, by name.
        data: All other data.

    Raises:
        RecipeError: They are.
    """
    judges = [choice for choice in recipe.stages if choice.stage.changes == "nothing"]
    judged = {"test", *(getattr(choice.settings, "on", "") for choice in judges)} - {"train"}  # no examination is that
    shared = {
        (name, other): len(leaked(mine, data[other], *inputs))
        for name, mine in asked.items()
        for other in sorted(judged & data.keys())
        if (inputs := _texts_of(mine)) == _texts_of(data[other]) and inputs
    }
    faults = []
    for (name, other), count in shared.items():
        found = f"{name}, of whose {len(asked[name])} rows {count} stand in {other} too"
        if 2 * count < min(len(asked[name]), len(data[other])):
            if count:
                progress.say(f"a probe on {found}")
            continue
        for i, choice in enumerate(recipe.stages):
            if name in probed(choice):
                field = f"stages.{i}.probes.{probed(choice).index(name)}"
                expected, fix = f"rows that {other} has not", "Name others, such as a part of the training rows."
                faults.append(Fault("recipe.probe-data", found, expected, field=field, fix=fix))
    if faults:
        raise recipe.refusal(faults)


def _texts_of(dataset: Dataset) -> list[str]:
    return [field.name for field in (TEXT, *BOTH) if field.name in dataset.columns]
