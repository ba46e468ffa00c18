"""`Bundle`: opened only after every byte was checked against the manifest; written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError

from hone.bundle.manifest import READER, ROLES, FileRecord, Manifest
from hone.core.disk import write_atomically
from hone.core.errors import BundleError, HoneError
from hone.core.lineage import digest_file, digest_value

MANIFEST = "hone.json"
ATTACHMENTS = "attachments"


class Bundle:
    """An immutable, verified directory.

    Attributes:
        path: Where it lies.
        manifest: What ``hone.json`` says.
        base: Where the base that an adapter stands on is to be found, if not where the bundle says: a name or a folder.
    """

    def __init__(self, path: Path, manifest: Manifest, *, base: str = "") -> None:
        self.path = path
        self.manifest = manifest
        self.base = base

    @property
    def digest(self) -> str:
        """The bundle's name for good: sha256 over content and manifest."""
        return self.manifest.digest

    @classmethod
    def open(cls, path: Path | str, *, base: str = "") -> Bundle:
        """Open the bundle in ``path`` and verify it.

        Args:
            base: See the attribute.

        Raises:
            BundleError: It is no bundle, is newer than this hone reads, has an unknown critical part or a part fitted
                on other weights, or a file is missing, foreign, changed or outside the folder. All faulty files are
                named, with the digests expected and found. Or ``base`` is said of one that stands on none.
        """
        folder = Path(path)
        manifest, digest = _read_manifest(folder)
        faults = _faulty_files(folder, manifest)
        if faults:
            raise BundleError(
                f"the bundle {folder} is not what its manifest says:\n  " + "\n  ".join(faults),
                fix="Take it again from where it was made; a bundle's content never changes.",
                code="bundle.damaged",
            )
        if digest != manifest.digest:
            raise BundleError(
                f"the manifest {folder / MANIFEST} has digest {digest}",
                expected=f"{manifest.digest}, as it says of itself",
                fix="Take the bundle again from where it was made.",
                code="bundle.damaged",
            )
        _refuse_unknown_parts(folder, manifest)
        opened = cls(folder, manifest)
        return opened.over(base) if base else opened

    @property
    def stands_on_base(self) -> bool:
        """Whether it is an adapter, whose base lies elsewhere."""
        return any(one.role == "base" for one in self.manifest.requires)

    def over(self, base: str) -> Bundle:
        """The same, of which it is known where its base is.

        Raises:
            BundleError: It stands on none.
        """
        if not self.stands_on_base:
            raise BundleError(
                f"the base {base!r} for the bundle {self.path}, which has all of its weights itself",
                expected="the bundle of an adapter, or no base",
                fix="Leave --base out (base= in Python).",
                code="bundle.stands-alone",
            )
        return Bundle(self.path, self.manifest, base=base)

    def attach(self, name: str, content: str | bytes) -> Path:
        """Write an attachment; it lies outside the digest, and JSON and HTML ones say which digest they speak of."""
        folder = self.path / ATTACHMENTS
        folder.mkdir(exist_ok=True)
        target = folder / name
        write_atomically(target, content.encode() if isinstance(content, str) else content)
        return target


def write_bundle(path: Path, *, build: Callable[[Path], Manifest]) -> Bundle:
    """Write a bundle to ``path`` whole or not at all.

    Args:
        path: Where it will lie. A bundle that lies there is replaced once the new one is complete.
        build: Fills the empty folder it is given and returns the manifest, ``files`` and ``digest`` left empty.

    Raises:
        HoneError: It could not be written (a full or read-only disk); what lay at ``path`` is untouched.
        BundleError: Something other than a bundle lies at ``path``, or one that the new bundle requires.
    """
    require_free(path)
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        partial.chmod(0o755)
        manifest = _sealed(partial, build(partial))
        _require_unneeded(path, manifest)
        for file in sorted(partial.rglob("*")):
            file.chmod(0o755 if file.is_dir() else 0o644)  # safetensors writes for its user alone
            _fsync(file)
        _fsync(partial)
        _swap_in(partial, path)
    except (OSError, SafetensorError) as error:
        raise HoneError(
            f"the bundle could not be written to {path}: {error}",
            fix="Free some space or name a folder that can be written; nothing that lay there was touched.",
            code="bundle.not-saved",
        ) from error
    finally:
        if partial is not None and partial.exists():
            shutil.rmtree(partial, ignore_errors=True)
    return Bundle(path, manifest)


def require_free(path: Path) -> None:
    """Raise unless a bundle can go to ``path``: nothing lies there, or an empty folder, or a bundle; and it is within
    no other bundle, which would hold a file that its manifest does not know.

    Raises:
        BundleError: Something else lies there, or a bundle is around it.
    """
    around = next((folder for folder in path.resolve().parents if (folder / MANIFEST).is_file()), None)
    if around is not None:
        raise BundleError(
            f"{path} is within the bundle {around}, which could not be opened any more",
            expected="a folder beside it",
            fix="Name another folder: --out.",
            code="bundle.in-the-way",
        )
    if path.exists() and not (path / MANIFEST).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(
            f"{path} exists and is not a bundle", fix="Name another folder, or move it away.", code="bundle.in-the-way"
        )


def same_place(one: Path, other: Path) -> bool:
    """Whether both paths lead to one thing, which is there."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def stated_digest(folder: Path) -> str:
    """The digest that a folder's manifest states; empty where it has none. What it holds is verified on opening."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _require_unneeded(path: Path, manifest: Manifest) -> None:
    """Raise where the bundle that would be replaced is one that the new one requires."""
    lies = stated_digest(path)
    if lies and any(need.digest == lies for need in manifest.requires):
        raise BundleError(
            f"the bundle at {path} would be replaced by one that requires it",
            expected="a folder of its own for the new one",
            fix="Name another folder: --out.",
            code="bundle.required",
        )


def _sealed(folder: Path, manifest: Manifest) -> Manifest:
    """``manifest`` with the folder's files and the digest filled in, written beside them."""
    files = {
        file.relative_to(folder).as_posix(): FileRecord(sha256=digest_file(file), bytes=file.stat().st_size)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    manifest = manifest.model_copy(update={"files": files})
    manifest = manifest.model_copy(update={"digest": manifest.computed_digest()})
    text = json.dumps(manifest.to_dict(), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _swap_in(partial: Path, path: Path) -> None:
    if not path.exists():
        os.replace(partial, path)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
        try:
            os.replace(path, aside / path.name)
            try:
                os.replace(partial, path)
            except BaseException:
                os.replace(aside / path.name, path)
                raise
        except BaseException:
            with contextlib.suppress(OSError):  # not empty: the old bundle could not be moved back, and stays there
                aside.rmdir()
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest, and the digest of all that its file says, keys that this hone does not know included."""
    file = folder / MANIFEST
    if not folder.is_dir() or not file.is_file():
        raise BundleError(
            f"found no bundle at {folder}",
            expected=f"a folder with {MANIFEST}",
            fix="Name the folder that `hone run` or `hone finetune` wrote (DIR/bundle).",
            code="bundle.none",
        )
    try:
        raw = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_each_key_once)
        needed = raw["min_reader"]
        if type(needed) is not int:
            raise TypeError(f"min_reader is {needed!r}")
        digest = digest_value({key: value for key, value in raw.items() if key != "digest"})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{file} is no manifest: {error}", expected="JSON", code="bundle.manifest") from error
    if needed > READER:
        raise BundleError(
            f"the bundle {folder} has min_reader {needed}",
            expected=f"at most {READER}, which is what this hone reads",
            fix="Upgrade hone: pip install --upgrade hone",
            code="bundle.newer",
        )
    try:
        return Manifest.model_validate({**raw, "schema_": raw["schema"]}), digest
    except (ValidationError, KeyError) as error:
        raise BundleError(f"{file} is no manifest this hone reads: {error}", code="bundle.manifest") from error


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two equal ones, readers would differ on which counts."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("it has a key twice")
    return value


def _faulty_files(folder: Path, manifest: Manifest) -> list[str]:
    faults = [fault for name, record in manifest.files.items() if (fault := _fault_of(folder, name, record))]
    for part in manifest.parts:
        faults += [f"{name}: is not in the manifest's files" for name in part.files if name not in manifest.files]
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name == ATTACHMENTS and (file.is_symlink() or not file.is_dir()):
            faults.append(f"{name}: is not a folder of the bundle")
        if _attached(name) or name == MANIFEST or (file.is_dir() and not file.is_symlink()):
            continue
        if name not in manifest.files:
            faults.append(f"{name}: is not in the manifest")
    return faults


def _attached(name: str) -> bool:
    return name == ATTACHMENTS or name.startswith(f"{ATTACHMENTS}/")


def _fault_of(folder: Path, name: str, record: FileRecord) -> str:
    """What is wrong with a file that the manifest names; empty when nothing is."""
    pure, file = PurePosixPath(name), folder / name
    try:
        if pure.is_absolute() or ".." in pure.parts or not file.resolve().is_relative_to(folder.resolve()):
            return f"{name}: leads out of the bundle's folder"
        if _attached(name):
            return f"{name}: is in the manifest, but attachments are outside the digest"
        if not file.is_file():
            return f"{name}: missing; expected sha256 {record.sha256}"
        size, found = file.stat().st_size, digest_file(file)
    except (OSError, ValueError, RuntimeError) as error:  # no permission, no such name here, links in a circle
        return f"{name!r}: cannot be read ({error}); expected sha256 {record.sha256}"
    if found == record.sha256 and size == record.bytes:
        return ""
    how = f"{size} bytes of {record.bytes}, " if size != record.bytes else ""
    return f"{name}: found {how}sha256 {found}; expected {record.sha256}"


def _refuse_unknown_parts(folder: Path, manifest: Manifest) -> None:
    for part in manifest.parts:
        if part.role not in ROLES and part.critical:
            raise BundleError(
                f"the bundle {folder} needs the part {part.name!r} of the unknown role {part.role!r}",
                expected=f"one of {', '.join(ROLES)}",
                fix="Upgrade hone.",
                code="bundle.unknown-part",
            )
        if part.fitted_on and part.fitted_on != manifest.weights_digest():
            raise BundleError(
                f"the part {part.name!r} of {folder} was fitted on weights {part.fitted_on}",
                expected=f"{manifest.weights_digest()}, the weights of this bundle",
                fix="Fit it again on these weights.",
                code="bundle.stale-part",
            )
