"""The HTTP application: ``POST /predict``, ``/livez``, ``/readyz``, ``/metrics``, ``/docs``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import hone
from hone.core.errors import DataError, HoneError, MissingExtra, RecipeError
from hone.predict.generation.generate import Abandoned
from hone.predict.predictor import Predictor
from hone.predict.shelf import Shelf
from hone.serve.docs_page import docs_page
from hone.serve.limits import BodyLimit, most_to_read, require_bounded, require_few, require_room, require_short
from hone.serve.meters import Meters
from hone.serve.misread import misread
from hone.serve.requests import expected_of, request_of
from hone.serve.streams import Streams, TooManyStreams
from hone.tasks.protocol import Writing
from hone.tasks.writing_settings import WritingSettings

MAX_BODY_BYTES = 32 << 20
MOST_WAITING = 128  # requests whose texts are written at a time: each has a thread that waits for them


class Answer(BaseModel):
    """What ``POST /predict`` answers.

    Attributes:
        predictions: One object an input, in order; its shape is the task's.
        bundle: Digest of the bundle that answered.
    """

    predictions: list[dict[str, Any]]
    bundle: str


class Failure(BaseModel):
    """What is answered instead when a request cannot be served."""

    code: str
    message: str


def make_app(served: Predictor | Shelf) -> FastAPI:
    """The application over opened bundles, which may have answered a first text already: a first answer is slow.

    One bundle answers at ``/predict``; each of several at ``/predict/NAME``.
    """
    predictors: Mapping[str, Predictor] = served if isinstance(served, Shelf) else {"": served}
    routes = {f"/predict/{name}".rstrip("/"): predictor for name, predictor in predictors.items()}
    meters = Meters()
    app = FastAPI(title="hone", version=hone.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, limit_bytes=MAX_BODY_BYTES)
    expected = {
        path: expected_of(predictor.input_choices, writes=isinstance(predictor.task, Writing))
        for path, predictor in routes.items()
    }
    _add_errors(app, meters, expected=expected)
    streams, waiting = Streams(meters), ThreadPoolExecutor(MOST_WAITING, thread_name_prefix="write")
    for path, predictor in routes.items():
        _add_predict(app, path, predictor, meters=meters, streams=streams, waiting=waiting)
    if isinstance(served, Shelf):
        _add_choice(app, meters, list(routes))
    _add_pages(app, routes, meters=meters, expected=expected)
    return app


def _add_predict(
    app: FastAPI, path: str, predictor: Predictor, *, meters: Meters, streams: Streams, waiting: Executor
) -> None:
    writes = isinstance(predictor.task, Writing)
    threads = waiting if writes else None  # what reads keeps a thread at work: no more than asyncio's own at a time
    predictor = predictor if writes else predictor.within(most_to_read(predictor.task.max_tokens))
    several = {field.name for fields in predictor.input_choices for field in fields if field.kind == "texts"}

    async def predict(body: Any, request: Request) -> Any:
        """Answer one input or a list of them; of a task that writes also one text in pieces."""
        inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        inputs = [one.model_dump(exclude_none=True) if isinstance(one, BaseModel) else one for one in inputs]
        require_few(inputs, several=several)
        asked = predictor
        if writes and body.decoding is not None:
            asked = await asyncio.to_thread(_decoding, predictor, body.decoding, inputs=inputs)
        if writes and body.stream:
            return await streams.answer(asked, inputs)
        began = time.perf_counter()
        with meters.in_flight.track_inprogress():
            predictions = await answers(asked, inputs, request, threads=threads) if inputs else []
        meters.answered(predictions, seconds=time.perf_counter() - began)
        return {"predictions": predictions, "bundle": predictor.bundle.digest}

    # The request's schema is known only now, from the task's fields.
    predict.__annotations__["body"] = request_of(predictor.input_choices, writes=writes)
    failures: dict[int | str, dict[str, Any]] = {code: {"model": Failure} for code in (413, 422)}
    if writes:
        failures |= {429: {"model": Failure}, 501: {"model": Failure}}
    app.post(path, response_model=Answer, responses=failures)(predict)


async def answers(
    predictor: Predictor, inputs: Sequence[Any], request: Request, *, threads: Executor | None
) -> list[dict[str, Any]]:
    """The answers; nothing is read or written beyond the batch or the token at hand where the client has gone.

    Args:
        threads: Wait for them; None: asyncio's own, of which there are few, and which checks need too.

    Raises:
        Abandoned: It has.
    """
    gone = threading.Event()
    watching = asyncio.create_task(_watch(request, gone))
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, predictor.until(gone.is_set).predict, inputs)
    finally:
        gone.set()  # nor where the request was given up on here, as at the end of the service
        watching.cancel()


async def _watch(request: Request, gone: threading.Event) -> None:
    """Say when the client goes: after its body nothing else comes of it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _decoding(predictor: Predictor, values: Mapping[str, Any], *, inputs: Sequence[Any]) -> Predictor:
    """The same one, writing as a request asks for.

    Raises:
        DataError, RecipeError: It asks for too much, or for what cannot be; or its inputs cannot be used.
    """
    own = cast(WritingSettings, predictor.task.settings).decoding
    require_short(values, own)
    asked = predictor.decoding(**values)
    settings = cast(WritingSettings, asked.task.settings).decoding
    require_bounded(settings, own)
    require_room(settings, own, input_tokens=asked.tokens_of(inputs).tolist(), most_tokens=asked.task.max_tokens)
    return asked


def _add_choice(app: FastAPI, meters: Meters, paths: Sequence[str]) -> None:
    """What is said to a request that names none of several bundles, or one that is not there."""

    async def unchosen(request: Request) -> JSONResponse:
        found = (
            f"Found the path {request.url.path}. Expected one of {', '.join(paths)}, for several bundles are served."
        )
        return _failure(meters, "request.unknown-bundle", found, status=404)

    for path in ("/predict", "/predict/{name}"):
        app.post(path, include_in_schema=False)(unchosen)


def _add_pages(
    app: FastAPI,
    routes: Mapping[str, Predictor],
    *,
    meters: Meters,
    expected: Mapping[str, str],
) -> None:
    @app.get("/livez", response_class=PlainTextResponse)
    async def livez() -> str:
        """The process answers."""
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> str:
        """Every bundle is loaded and has answered once: `hone.serve.server` listens no sooner."""
        return "ok"

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Prometheus text format."""
        return PlainTextResponse(generate_latest(meters.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return docs_page(routes, expected=expected)


def _add_errors(app: FastAPI, meters: Meters, *, expected: Mapping[str, str]) -> None:
    @app.exception_handler(HoneError)
    async def hone_error(request: Request, error: HoneError) -> JSONResponse:
        return _failure(meters, error.code, str(error), status=_status(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        shape = expected[request.url.path]
        found = misread(error.errors(), expected=shape)
        message = f"Found a request that cannot be read ({found}). Expected {shape}."
        return _failure(meters, "request.invalid", message, status=422)

    @app.exception_handler(HTTPException)
    async def no_such_path(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        if path in expected and error.status_code != 405:  # such as a body that is no UTF-8
            message = f"Found a request that cannot be read ({error.detail}). Expected {expected[path]}."
            return _failure(meters, "request.invalid", message, status=error.status_code)
        message = f"Found {request.method} {path}. Expected POST {', POST '.join(expected)}, or GET /docs."
        response = _failure(meters, "request.unknown-path", message, status=error.status_code)
        response.headers.update(error.headers or {})  # of a wrong method, which ones are right
        return response

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return _failure(meters, "hone.failed", "The request failed unexpectedly; see the server's log.", status=500)


def _status(error: HoneError) -> int:
    """By whose doing it is: the request's, the load's, or the server's."""
    kinds = {DataError: 422, RecipeError: 422, TooManyStreams: 429, Abandoned: 499, MissingExtra: 501}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 500)


def _failure(meters: Meters, code: str, message: str, *, status: int) -> JSONResponse:
    meters.failed(code)
    return JSONResponse(Failure(code=code, message=message).model_dump(), status_code=status)
