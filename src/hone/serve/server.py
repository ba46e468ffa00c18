"""``hone serve``: verify and open a bundle, then answer until told to stop."""

from __future__ import annotations

import sys
from pathlib import Path

from hone.core.errors import MissingExtra
from hone.predict.predictor import load


def serve_bundle(path: Path, *, host: str, port: int, device: str) -> None:
    """Serve the bundle in ``path``; returns when the process is told to stop.

    Raises:
        BundleError: The bundle is damaged or has no task.
        MissingExtra: The serving packages are not installed.
    """
    try:
        import uvicorn

        from hone.serve.app import make_app
    except ImportError as error:
        raise MissingExtra(str(error.name), extra="serve", needed_for="hone serve") from error
    predictor = load(path, device=device)
    print(
        f"serving {path} ({predictor.task.name}, bundle {predictor.bundle.digest[:12]}) "
        f"on http://{host}:{port}; try http://{host}:{port}/docs",
        file=sys.stderr,
        flush=True,
    )
    uvicorn.run(make_app(predictor), host=host, port=port, log_level="warning", access_log=False)
