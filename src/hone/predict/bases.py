"""Where the base of an adapter's bundle lies: its digest stands in the bundle, and by that it is known."""

from __future__ import annotations

import json
from pathlib import Path

from hone.bundle.bundle import ATTACHMENTS, MANIFEST, Bundle
from hone.bundle.manifest import Part, Requirement
from hone.core.errors import BundleError, HoneError
from hone.models.adapters.table import METHODS
from hone.models.base import Base, resolve_base
from hone.models.grouped import HIGHEST, Bits
from hone.predict.formats import HELD

PLACE = "base.json"  # the attachment that says where a base without a public name lay


def base_named(name: str, *, relative_to: Path | None = None) -> Base:
    """`resolve_base`, where a folder may also be a bundle, whose digest is its own."""
    base = resolve_base(name, relative_to=relative_to)
    if (base.folder / MANIFEST).is_file():
        return Base(base.name, base.folder, Bundle.open(base.folder).digest)
    return base


def requirement_of(base: Base) -> Requirement:
    """What the manifest of a bundle over ``base`` says: a folder's place does not enter."""
    return Requirement(role="base", digest=base.digest, name="" if base.place == "folder" else base.name)


def place_of(base: Base, *, bundle: str) -> dict[str, str]:
    """The attachment that remembers where a base in a folder lies; none for a base with a public name."""
    if base.place != "folder":
        return {}
    return {PLACE: json.dumps({"bundle": bundle, "folder": str(base.folder.resolve())}) + "\n"}


def part_of(bits: Bits) -> Part:
    """The part of a bundle that says in how many bits its base was held; it has no files, for the base is rounded anew.
    What an adapter learned beside rounded weights answers otherwise beside others, so whoever does not know the part
    must not open the bundle."""
    return Part(role="base", name="base", format=HELD, files=(), settings={"bits": bits})


def bits_of(bundle: Bundle) -> Bits | None:
    """In how many bits the base of an adapter's bundle is held; None: in float32.

    Raises:
        BundleError: In a way that this hone does not know.
    """
    part = next((part for part in bundle.manifest.parts if part.role == "base"), None)
    if part is None:
        return None
    found = next((bits for bits in HIGHEST if part.format == HELD and part.settings == {"bits": bits}), None)
    if found is None:
        raise BundleError(
            f"the bundle {bundle.path} holds its base as {part.format!r} with {part.settings}",
            expected=f"{HELD} with bits {' or '.join(map(str, HIGHEST))}",
            fix="Open it with the hone that made it, or a newer one.",
            code="bundle.base-bits",
        )
    return found


def find_base(bundle: Bundle) -> Base:
    """The base that an adapter's bundle stands on, and no other: its digest is the one that the manifest names.

    It is looked for where `Bundle.base` says; else by its public name; else in the folder where it lay when the adapter
    was tuned.

    Raises:
        BundleError: It is not there, or what is there has another digest.
    """
    required = next(one for one in bundle.manifest.requires if one.role == "base")
    name = bundle.base or required.name or _remembered(bundle)
    if not name:
        raise _missing(bundle, required, "its manifest names no public base, and no attachment says where it lay")
    try:
        base = base_named(name)
    except HoneError as error:
        raise _missing(bundle, required, str(error)) from error
    if base.digest != required.digest:
        raise BundleError(
            f"the base {name!r} of the bundle {bundle.path} has digest {base.digest}",
            expected=f"{required.digest}, that of the base this adapter was tuned on",
            fix=_advice(bundle, required),
            code="bundle.wrong-base",
        )
    return base


def _remembered(bundle: Bundle) -> str:
    try:
        found = json.loads((bundle.path / ATTACHMENTS / PLACE).read_text(encoding="utf-8"))["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""


def _missing(bundle: Bundle, required: Requirement, why: str) -> BundleError:
    return BundleError(
        f"the bundle {bundle.path} is an adapter, and its base is not to be had: {why}",
        expected=f"a base with digest {required.digest}",
        fix=_advice(bundle, required),
        code="bundle.no-base",
    )


def _advice(bundle: Bundle, required: Requirement) -> str:
    """How to say where the base is: by an option that not every command has, or by what is looked at without it."""
    place = bundle.path / ATTACHMENTS / PLACE
    otherwise = (
        f"takes {required.name!r} by its name alone" if required.name else f'looks where "folder" in {place} says'
    )
    return (
        "Say where it is with --base NAME or --base FOLDER (base= in Python); a command without that option "
        f"{otherwise}."
    )


def how_to_make_whole(bundle: Bundle) -> str:
    """What to do where a bundle that holds an adapter should hold a whole model."""
    name = next(part.name for part in bundle.manifest.parts if part.role == "adapter")
    if METHODS[name].merges:
        return "Work the adapter into its base first: hone merge BUNDLE --out DIR."
    merging = ", ".join(each for each in METHODS if METHODS[each].merges)
    return f"{name} cannot be merged: {METHODS[name].not_merged}. Tune by method full, or by {merging} and hone merge."
