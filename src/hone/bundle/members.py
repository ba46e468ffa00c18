"""The bundles that an ensemble requires: found beside it, or where it was said that they lie; each verified."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hone.bundle.bundle import ATTACHMENTS, MANIFEST, Bundle, stated_digest
from hone.core.errors import BundleError

PLACES = "members.json"  # an attachment: paths are outside the digest


def places_of(members: Sequence[Bundle], *, seen_from: Path) -> str:
    """The attachment `PLACES`: digest -> path, relative to the folder of the bundle that requires them."""
    found = {one.digest: os.path.relpath(one.path.resolve(), seen_from.resolve()) for one in members}
    return json.dumps(found, indent=1)


def members_of(bundle: Bundle) -> tuple[Bundle, ...]:
    """The members that ``bundle`` requires, verified, in its order: from where they were when it was made, seen from
    its folder; else from beside it, for they may have been moved together: ``../NAME``, ``../NAME/bundle`` or
    ``../../NAME/bundle``.

    Raises:
        BundleError: One is not there, is another one by now, or is damaged.
    """
    wanted = [one.digest for one in bundle.manifest.requires if one.role == "member"]
    if not wanted:
        return ()
    said = _said(bundle)
    beside = {digest: folder for folder in _beside(bundle) if (digest := stated_digest(folder))}
    faults, found = [], []
    for digest in wanted:
        place = said.get(digest)
        if place is not None and stated_digest(place) == digest:
            found.append(place)
        elif digest in beside:
            found.append(beside[digest])
        else:
            faults.append(f"{digest}: {_gone(place)}")
    if faults:
        raise BundleError(
            f"the ensemble {bundle.path} requires {len(wanted)} members, and not all are there:\n  "
            + "\n  ".join(faults),
            expected="bundles of these very digests where they were, or in folders beside it",
            fix="Bring them back, or make the ensemble again: hone ensemble BUNDLE BUNDLE ...",
            code="bundle.member",
        )
    return tuple(Bundle.open(folder) for folder in found)


def _gone(place: Path | None) -> str:
    if place is None:
        return "nothing says where it lay"
    other = stated_digest(place)
    return f"{place} is the bundle {other} by now" if other else f"no bundle is at {place}"


def _said(bundle: Bundle) -> dict[str, Path]:
    """Where the members lay when the ensemble was made; nothing where that was not kept."""
    file = bundle.path / ATTACHMENTS / PLACES
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return {str(digest): (bundle.path / str(path)).resolve() for digest, path in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{file} does not say where members lie: {error}",
            expected="JSON, digest -> path",
            fix="Remove it, and put the members beside the ensemble.",
            code="bundle.member",
        ) from error


def _beside(bundle: Bundle) -> Iterator[Path]:
    here = bundle.path.resolve().parent
    for folder, pattern in ((here, "*"), (here, "*/bundle"), (here.parent, "*/bundle")):
        yield from (file.parent for file in sorted(folder.glob(f"{pattern}/{MANIFEST}")))
