"""How the command ends where nothing was expected to end it."""

from __future__ import annotations

import logging
import sys

import typer

from hone.core.errors import INTERRUPTED
from hone.core.processes import place


def unexpected(error: Exception) -> int:
    """Say what it was, and return the exit code: 2 where the arguments are wrong, else 1."""
    if hasattr(error, "exit_code") and hasattr(error, "format_message"):  # how click says that arguments are wrong
        message = error.format_message()
        if message:  # empty after `hone` alone, which has printed the help
            typer.echo(f"hone: {message}", err=True)
        return 2
    if type(error).__name__ == "Abort":
        return interrupted()
    logging.getLogger("hone").debug("unexpected", exc_info=error)
    import traceback

    traceback.print_exception(error, file=sys.stderr)
    typer.echo(
        f"hone: an unexpected failure, {type(error).__name__}: {error}\nPlease report it with `hone env`.", err=True
    )
    return 1


def interrupted() -> int:
    """Say so, and return the exit code. Of several processes none does: what started them says it once."""
    if place().count == 1:
        typer.echo("hone: interrupted", err=True)
    return INTERRUPTED
