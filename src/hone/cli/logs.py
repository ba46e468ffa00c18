"""Logging of the command: words on stderr, or JSON lines."""

from __future__ import annotations

import json
import logging
import sys
import warnings


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()},
            ensure_ascii=False,
        )


def configure_logging(verbose: int, *, as_json: bool) -> None:
    """Warnings by default, ``-v`` adds information, ``-vv`` everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hone")
    logger.handlers[:] = [handler]
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
    logger.propagate = False
    if not verbose:
        warnings.simplefilter("ignore")  # other libraries' notes to their own developers
