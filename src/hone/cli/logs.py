"""Logging of the command: words on stderr, or JSON lines."""

from __future__ import annotations

import json
import logging
import sys
import warnings

LOUD = ("torchao", "torch.utils._pytree")  # of GPU kernels, when transformers imports torchao where it is installed


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        return json_line(record.levelname.lower(), record.name, record.getMessage())


def json_line(level: str, logger: str, message: str) -> str:
    """One record of a log in JSON."""
    return json.dumps({"level": level, "logger": logger, "message": message}, ensure_ascii=False)


def logs_json() -> bool:
    """Whether the command was told to log in JSON."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger("hone").handlers)


def configure_logging(verbose: int, *, as_json: bool) -> None:
    """Warnings by default, ``-v`` adds information, ``-vv`` everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("hone")
    logger.handlers[:] = [handler]
    logger.setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
    logger.propagate = False
    for other in LOUD:
        logging.getLogger(other).setLevel(logging.ERROR)
    if not verbose:
        warnings.simplefilter("ignore")  # other libraries' notes to their own developers
