"""``hone serve``: verify and open a bundle, then answer until told to stop."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from hone.core.errors import HoneError, MissingExtra
from hone.predict.formats import Precision
from hone.predict.predictor import load


def serve_bundle(path: Path, *, host: str, port: int, base: str, device: str, precision: Precision) -> None:
    """Serve the bundle in ``path``; returns when the process is told to stop.

    Raises:
        BundleError: The bundle is damaged or has no task.
        DeviceError: The machine has no such device, or the device no such precision.
        MissingExtra: The serving packages are not installed.
        HoneError: The address cannot be had.
    """
    try:
        import uvicorn

        from hone.serve.app import make_app
    except ImportError as error:
        raise MissingExtra(str(error.name), extra="serve", needed_for="hone serve") from error
    predictor = load(path, base=base, device=device, precision=precision)
    listening = _listen(host, port)
    print(
        f"serving {path} ({predictor.task.name}, bundle {predictor.bundle.digest[:12]}) "
        f"on http://{host}:{port}; try http://{host}:{port}/docs",
        file=sys.stderr,
        flush=True,
    )
    config = uvicorn.Config(make_app(predictor), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; said before anything claims to serve.

    Raises:
        HoneError: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except (OSError, OverflowError) as error:
        raise HoneError(
            f"cannot listen on {host}:{port}: {error}",
            fix="Stop what listens there, or name another: --host HOST --port PORT.",
            code="serve.address",
        ) from error
    return listening
