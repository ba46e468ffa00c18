"""What a run leaves in its folder beside bundles: the decided recipe and the reports. What is not its own to replace it
refuses."""

from __future__ import annotations

from pathlib import Path

from hone.bundle.bundle import Bundle, same_place
from hone.bundle.stage import Outcome
from hone.core.disk import write_atomically
from hone.core.errors import HoneError, RecipeError
from hone.core.processes import place
from hone.pipeline.recipe import Recipe
from hone.pipeline.together import require_seen
from hone.pipeline.yaml_file import parse_yaml
from hone.report.catalog import Language
from hone.report.html import to_html

RECIPE = "recipe.yaml"


def begin(out: Path, recipe: Recipe, *, judges: bool) -> None:
    """The decided recipe in a folder that has no reports of an earlier run.

    Args:
        judges: Whether the run only judges a bundle that it was given.

    Raises:
        RecipeError: The recipe that lies there is the file that ``recipe`` was read from and says something else; or,
            of a run that judges, one of other stages.
        HoneError: It cannot be written.
    """
    if place().first:
        text = recipe.to_yaml()
        _require_own(out / RECIPE, recipe, text)
        if judges:
            _require_alike(out / RECIPE, recipe)
        _write(out / RECIPE, text)
        for stale in (out / "reports").glob("[0-9][0-9]-*.*"):
            stale.unlink()
    require_seen(out / RECIPE)


def keep(outcome: Outcome, bundle: Bundle | None, *, page: Path, name: str, language: Language) -> None:
    """Write a stage's report as JSON and as a page, and attach both to the bundle it speaks of."""
    report = outcome.report
    texts = {".json": report.to_json(), ".html": to_html(report, language=language)}
    for suffix, text in texts.items():
        _write(page.with_suffix(suffix), text)
    if bundle is not None and report.bundle == bundle.digest:
        attachments = {f"{name}{suffix}": text for suffix, text in texts.items()}
        for file, content in {**attachments, **outcome.attachments}.items():
            bundle.attach(file, content)


def _require_own(there: Path, recipe: Recipe, text: str) -> None:
    """Raise where the decided recipe would replace what somebody wrote."""
    if not recipe.file or not same_place(Path(recipe.file), there) or _text(there) == text:
        return
    raise RecipeError(
        f"{there} is the recipe itself, in whose place the decided one, {RECIPE}, would be written",
        expected="a folder that the recipe does not lie in, or a recipe of another name",
        fix="Name another folder: --out.",
        code="run.recipe-in-the-way",
    )


def _require_alike(there: Path, recipe: Recipe) -> None:
    """Raise where a recipe of other stages lies: what they left would lose its recipe and its reports."""
    if not there.exists():
        return
    kinds = [choice.stage.kind for choice in recipe.stages]
    if (found := _kinds(there)) != kinds:
        raise RecipeError(
            f"{there} is the recipe of another run ({', '.join(found) or 'of no stages'}), which {', '.join(kinds)} "
            "would replace, with the reports beside it",
            expected="a folder of its own",
            fix="Name another folder: --out.",
            code="run.recipe-in-the-way",
        )


def _kinds(file: Path) -> list[str]:
    """The stages that a recipe names; none of a file that is none."""
    try:
        stages = parse_yaml(_text(file), file=str(file))[0].get("stages")
    except RecipeError:
        return []
    named = [one.get("kind") if isinstance(one, dict) else one for one in (stages if isinstance(stages, list) else [])]
    return [str(kind) for kind in named]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise HoneError(
            f"{path} could not be written: {error}", fix="Name a folder with --out that can be written.",
            code="run.not-written",
        ) from error  # fmt: skip
