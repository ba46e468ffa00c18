"""``hone inspect``, and ``hone inspect RECIPE --plan``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from hone.cli.options import Planning, Showing
from hone.cli.single import RECIPES, inspect_files, show_and_keep
from hone.core.errors import RecipeError
from hone.pipeline.plan import assumed_of, plan
from hone.pipeline.recipe import load_recipe


def inspect_or_plan(
    files: Sequence[Path],
    planning: Planning,
    *,
    task: str,
    base: str,
    out: Path | None,
    columns: Mapping[str, str],
    shown: Showing,
) -> None:
    """Show what is in files, or where a plan is asked for what the pretraining of a recipe takes on many GPUs.

    Raises:
        RecipeError: A recipe is given, and beside it what a recipe says itself.
    """
    said = [option for option, value in {"--task": task, "--base": base, "--column": columns}.items() if value]
    if said and len(files) == 1 and files[0].suffix in RECIPES:
        raise RecipeError(f"{said[0]}, and the recipe {files[0]}, which says it itself", expected="the recipe alone",
                          fix="Change the recipe, or give its data files.", code="inspect.recipe")  # fmt: skip
    beside = [str(file) for file in files if file.suffix not in RECIPES]
    if beside and len(beside) < len(files):
        raise RecipeError(f"a recipe, and beside it {' '.join(beside)}", expected="one recipe, or data alone",
                          fix="Change the recipe itself, not by KEY=VALUE.", code="inspect.recipe")  # fmt: skip
    if _asked(planning):
        _plan(files, planning, out=out, shown=shown)
    else:
        task, base = task or "text-classification", base or "minilm"
        inspect_files(files, task=task, base=base, out=out, columns=columns, shown=shown)


def _asked(given: Planning) -> bool:
    """Whether a plan is asked for.

    Raises:
        RecipeError: None is, but something is said of one.
    """
    said = [field.name for field in fields(given) if getattr(given, field.name) != field.default]
    if said and not given.plan:
        raise RecipeError(f"--{said[0]}, and no plan is asked for", expected="--plan beside it", code="plan.none")
    return given.plan


def _plan(files: Sequence[Path], given: Planning, *, out: Path | None, shown: Showing) -> None:
    if len(files) != 1 or files[0].suffix not in RECIPES:
        raise RecipeError(f"a plan of {', '.join(map(str, files))}", expected="one recipe", code="plan.no-recipe")
    assumed = assumed_of(
        gpus=given.gpus, devices=given.devices, mfu=given.mfu, price=given.price, tokens=given.tokens, disk=given.disk
    )
    recipe = load_recipe(files[0], overrides=shown.overrides)
    show_and_keep(plan(recipe, assumed), out=out, shown=shown, language=recipe.language)
