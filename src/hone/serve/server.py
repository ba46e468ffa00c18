"""``hone serve``: verify and open bundles, then answer until told to stop."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from hone.core.errors import HoneError, MissingExtra, RecipeError
from hone.predict.formats import Precision
from hone.predict.predictor import Predictor, load
from hone.predict.shelf import Shelf, load_shelf

NAME = re.compile(r"[A-Za-z0-9._-]+")  # of a bundle, as it stands in a path
ENDING_SECONDS = 30  # that requests have to be answered in once the service is told to stop


def serve_bundles(given: Sequence[str], *, host: str, port: int, base: str, device: str, precision: Precision) -> None:
    """Serve bundles, each a folder or ``NAME=FOLDER``; returns when the process is told to stop.

    Raises:
        RecipeError: A bundle's name cannot stand in a path.
        BundleError: A bundle is damaged or has no task, or two have one name.
        DeviceError: The machine has no such device, or the device no such precision.
        MissingExtra: The serving packages are not installed.
        HoneError: The address cannot be had, or a bundle cannot answer a first text.
    """
    try:
        import uvicorn

        from hone.serve.app import make_app
        from hone.serve.requests import warm_up
    except ImportError as error:
        raise MissingExtra(str(error.name), extra="serve", needed_for="hone serve") from error
    folders = named(given)
    served: Predictor | Shelf
    if len(given) == 1 and "=" not in given[0]:
        served = load(given[0], base=base, device=device, precision=precision)
        what = f"{given[0]} ({served.task.name}, bundle {served.bundle.digest[:12]})"
    else:
        served = load_shelf(folders, base=base, device=device, precision=precision)
        what = ", ".join(f"{name} ({one.task.name}, bundle {one.bundle.digest[:12]})" for name, one in served.items())
    for predictor in served.values() if isinstance(served, Shelf) else [served]:
        predictor.predict([warm_up(predictor.input_choices)])
    app = make_app(served)
    listening = _listen(host, port)
    at = f"http://{_address(host, listening.getsockname()[1])}"  # port 0 is whichever is free
    print(f"serving {what} on {at}; try {at}/docs", file=sys.stderr, flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=ENDING_SECONDS)
    uvicorn.Server(config).run(sockets=[listening])


def named(given: Sequence[str]) -> dict[str, Path]:
    """The folders by name, of arguments that are folders or ``NAME=FOLDER``.

    Raises:
        RecipeError: A name cannot stand in a path, or stands there twice.
    """
    found: dict[str, Path] = {}
    for text in given:
        before, sign, after = text.partition("=")
        whole = not sign or Path(text).is_dir()  # a folder whose own name has the sign
        name, path = (Path(text).resolve().name, Path(text)) if whole else (before, Path(after))
        wrong = "twice" if name in found else "and names stand in paths" if not NAME.fullmatch(name) else ""
        if wrong and len(given) > 1:
            raise RecipeError(
                f"found the bundle name {name!r} {wrong}",
                expected="names that differ, of letters, digits, dots, dashes and underscores",
                fix="Name them: hone serve NAME=FOLDER NAME=FOLDER",
                code="serve.name",
            )
        found[name] = path
    return found


def _address(host: str, port: int) -> str:
    """Host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens at the address, so that no other can; said before anything claims to serve.

    Raises:
        HoneError: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise HoneError(
            f"cannot listen on {_address(host, port)}: {error}",
            fix="Stop what listens there, or name another: --host HOST --port PORT.",
            code="serve.address",
        ) from error
    return listening
