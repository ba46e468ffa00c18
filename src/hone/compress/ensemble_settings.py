"""Settings of ``ensemble``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from hone.bundle.stage import Inputs, Stage
from hone.core.errors import Fault
from hone.core.settings import Settings


class EnsembleSettings(Settings):
    """Settings of the stage ``ensemble``.

    Attributes:
        members: Folders of bundles, two at least.
        on: The split that decisions are fitted on, and that members and ensemble are measured on.
    """

    members: Annotated[list[str], Field(min_length=2)]
    on: str = "validation"

    @field_validator("on")
    @classmethod
    def _not_test(cls, value: str) -> str:
        if value == "test":
            raise ValueError("another split than 'test': what fits a decision may not look at it")
        return value


def find_faults(settings: EnsembleSettings, inputs: Inputs) -> list[Fault]:
    """A bundle that is named twice, under whatever paths, that does another task than the recipe names, or that the
    ensemble would replace."""
    faults = []
    members = inputs.others["members"]
    digests = [one.digest for one in members]
    for i, one in enumerate(members):
        record = one.manifest.task
        first = digests.index(one.digest)
        if first < i:
            found = f"{settings.members[i]}, the same bundle as {settings.members[first]}"
            faults.append(Fault("recipe.ensemble", found, "bundles that differ", field=f"members.{i}"))
        if record is None or record.name != inputs.task.name:
            found = f"{settings.members[i]}, which does {record.name if record else 'no task'}"
            faults.append(Fault("recipe.ensemble", found, f"a bundle for {inputs.task.name}", field=f"members.{i}"))
        if any(other.role == "member" for other in one.manifest.requires):
            found = f"{settings.members[i]}, which itself requires members"
            fix = "Of an ensemble name the members."
            faults.append(Fault("recipe.ensemble", found, "a bundle of its own", field=f"members.{i}", fix=fix))
        if inputs.replaces(one.path):
            found = f"{settings.members[i]}, in whose place the ensemble would be written"
            fix = "Name another folder: --out."
            faults.append(Fault("bundle.required", found, "members that stay", field=f"members.{i}", fix=fix))
    return faults


ENSEMBLE = Stage(
    kind="ensemble",
    settings=EnsembleSettings,
    reads=("train", "validation"),
    changes="model",
    work="hone.compress.ensemble:ensemble",
    check="hone.compress.ensemble_settings:find_faults",
    bundles=("members",),
)
