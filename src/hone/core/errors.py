"""What hone raises when it cannot do what was asked.

::

    HoneError                 1   the work failed for a reason hone can name (a full disk, say)
    ├── RecipeError           2   the recipe or the command cannot be used
    ├── DataError             2   a data file cannot be used
    ├── BundleError           2   a bundle is damaged, foreign or newer than this hone
    ├── DeviceError           2   the machine lacks what was asked for
    ├── MissingExtra          2   an optional dependency is not installed
    └── GateNotMet            3   the result does not meet the stated requirements

The number is the exit code of the command. Each error has a stable ``code`` (``data.label-unseen``) which the
service returns as well. A message says what was found, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

INTERRUPTED = 130  # exit code of what Ctrl-C or SIGTERM ended
FAULTS_NAMED = 50  # of one kind; how many there are is told beside


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a recipe or a data file.

    Attributes:
        code: Stable name of the kind of fault, such as ``data.ragged-row``.
        found: What stands there.
        expected: What should stand there instead.
        file: The file, as the user named it; empty when the fault is in no file.
        line: 1-based line number; None when the fault concerns the whole file.
        field: Column or key, dotted where nested; empty when none is to blame.
        fix: What the user can do about it.
    """

    code: str
    found: str
    expected: str = ""
    file: str = ""
    line: int | None = None
    field: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = self.file + (f":{self.line}" if self.line is not None else "")
        where = ": ".join(part for part in (place, self.field) if part)
        words = f"found {self.found}" + (f"; expected {self.expected}" if self.expected else "")
        words += f". {self.fix}" if self.fix else ""
        return f"{where}: {words}" if where else words


class HoneError(Exception):
    """The root of every error hone raises on purpose.

    Args:
        found: What was found, one sentence without a final period.
        expected: What was expected instead.
        fix: What the user can do, an imperative sentence.
        code: Stable name of the error, ``floor.kind``.
        faults: The individual faults where several were found; all of them appear in the message.
    """

    exit_code = 1

    def __init__(
        self, found: str, *, expected: str = "", fix: str = "", code: str = "hone.failed", faults: Iterable[Fault] = ()
    ) -> None:
        self.found, self.expected, self.fix, self.code = found, expected, fix, code
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.found.rstrip(".") + "."]
        if self.expected:
            lines[0] += f" Expected {self.expected.rstrip('.')}."
        lines += [f"  {fault}" for fault in self.faults]
        if self.fix:
            lines.append(self.fix)
        return "\n".join(lines)

    @classmethod
    def of(cls, faults: Sequence[Fault], *, what: str, fix: str = "") -> HoneError:
        """One error for all ``faults`` found in ``what`` (a recipe, a data file)."""
        count = f"{len(faults)} faults" if len(faults) > 1 else "a fault"
        return cls(f"{what} cannot be used: {count}", code=faults[0].code, faults=faults, fix=fix)


class RecipeError(HoneError):
    """The recipe or the command line cannot be used."""

    exit_code = 2


class DataError(HoneError):
    """A data file cannot be used."""

    exit_code = 2


class BundleError(HoneError):
    """A bundle is damaged, foreign, or made by a newer hone."""

    exit_code = 2


class DeviceError(HoneError):
    """The machine lacks what was asked for."""

    exit_code = 2


class MissingExtra(HoneError):
    """An optional dependency is not installed."""

    exit_code = 2

    def __init__(self, package: str, *, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package}, which is not installed",
            fix=f"Install it with: pip install 'hone[{extra}]'",
            code="extra.missing",
        )


class GateNotMet(HoneError):
    """The result does not meet what the recipe requires of it."""

    exit_code = 3


FINAL = (RecipeError.exit_code, GateNotMet.exit_code)  # exit codes that another start would end with, too


def did_you_mean(name: str, known: Iterable[str], *, taken: Iterable[str] = ()) -> str:
    """``Did you mean 'x'?`` for the nearest of ``known``, the only one that begins so or else the most alike; where
    none is near, the list of all of them. The nearest is none of ``taken``, names that mean something else."""
    names = sorted(known)
    free = [one for one in names if one not in set(taken)]
    begun = [one for one in free if len(name) > 2 and one.startswith(name)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(name, free, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}." if names else ""
