"""The HTTP application: ``POST /predict``, ``/livez``, ``/readyz``, ``/metrics``, ``/docs``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, create_model

import hone
from hone.core.errors import DataError, HoneError
from hone.data.fields import Field as InputField
from hone.predict.predictor import Predictor
from hone.predict.shelf import Shelf
from hone.serve.docs_page import docs_page
from hone.serve.limits import BodyLimit
from hone.serve.meters import Meters

MAX_INPUTS = 1024  # inputs of one request; more belong into several, or into `hone predict`
MAX_BODY_BYTES = 32 << 20


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


class Span(BaseModel):
    """A stretch of an input's ``text``, in characters, end exclusive."""

    model_config = ConfigDict(extra="ignore", strict=True)
    start: int
    end: int


KINDS: dict[str, Any] = {"text": str, "tokens": list[str], "texts": list[str], "span": Span}


def make_app(served: Predictor | Shelf) -> FastAPI:
    """The application over opened bundles; it is ready once each has answered a first text of its own.

    One bundle answers at ``/predict``; each of several at ``/predict/NAME``.
    """
    predictors: Mapping[str, Predictor] = served if isinstance(served, Shelf) else {"": served}
    routes = {f"/predict/{name}".rstrip("/"): predictor for name, predictor in predictors.items()}
    meters = Meters()
    ready = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for predictor in predictors.values():
            await asyncio.to_thread(predictor.predict, [warm_up(predictor.input_choices)])
        ready.set()
        yield

    app = FastAPI(title="hone", version=hone.__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(BodyLimit, limit_bytes=MAX_BODY_BYTES)
    expected = {path: expected_of(predictor.input_choices) for path, predictor in routes.items()}
    _add_errors(app, meters, expected=expected)
    for path, predictor in routes.items():
        _add_predict(app, path, predictor, meters)
    if isinstance(served, Shelf):
        _add_choice(app, meters, list(routes))
    _add_pages(app, routes, ready=ready, meters=meters, expected=expected)
    return app


def _add_predict(app: FastAPI, path: str, predictor: Predictor, meters: Meters) -> None:
    async def predict(body: Any) -> Any:
        """Answer one input or a list of them."""
        inputs = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        inputs = [one.model_dump() if isinstance(one, BaseModel) else one for one in inputs]
        if len(inputs) > MAX_INPUTS:
            raise DataError(
                f"found {len(inputs)} inputs in one request",
                expected=f"at most {MAX_INPUTS}",
                fix="Send them in several requests.",
                code="request.too-many-inputs",
            )
        began = time.perf_counter()
        with meters.in_flight.track_inprogress():
            predictions = await asyncio.to_thread(predictor.predict, inputs) if inputs else []
        meters.answered(predictions, seconds=time.perf_counter() - began)
        return {"predictions": predictions, "bundle": predictor.bundle.digest}

    # The request's schema is known only now, from the task's fields.
    predict.__annotations__["body"] = request_of(predictor.input_choices)
    failures: dict[int | str, dict[str, Any]] = {413: {"model": Failure}, 422: {"model": Failure}}
    app.post(path, response_model=Answer, responses=failures)(predict)


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
    ready: asyncio.Event,
    meters: Meters,
    expected: Mapping[str, str],
) -> None:
    @app.get("/livez", response_class=PlainTextResponse)
    async def livez() -> str:
        """The process answers."""
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> PlainTextResponse:
        """Every bundle is loaded and has answered once."""
        return PlainTextResponse("ok" if ready.is_set() else "loading", status_code=200 if ready.is_set() else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Prometheus text format."""
        return PlainTextResponse(generate_latest(meters.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        return docs_page(routes, expected=expected)


def request_of(choices: Sequence[Sequence[InputField]]) -> type[BaseModel]:
    """The request's schema, from the task's input fields: texts, token lists where the task reads tokens, or objects
    where it reads several texts."""
    kinds: Any = str | list[str]
    if any(field.kind == "tokens" for fields in choices for field in fields):
        kinds = kinds | list[list[str]]
    if all(len(fields) > 1 for fields in choices):
        parts: dict[str, Any] = {field.name: (KINDS[field.kind], ...) for field in choices[0]}
        one = create_model("Input", __config__=ConfigDict(extra="forbid", strict=True), **parts)
        kinds = one | list[one]  # type: ignore[valid-type]
    fields: dict[str, Any] = {"inputs": (kinds, Field(description="one input, or a list"))}
    request: type[BaseModel] = create_model("Request", __config__=ConfigDict(extra="forbid", strict=True), **fields)
    return request


def expected_of(choices: Sequence[Sequence[InputField]]) -> str:
    """What a request looks like, for who sent another one."""
    if all(len(fields) > 1 for fields in choices):
        shapes = {
            "text": '"text"',
            "tokens": '["word", ...]',
            "texts": '["text", ...]',
            "span": '{"start": 0, "end": 4}',
        }
        one = ", ".join(f'"{field.name}": {shapes[field.kind]}' for field in choices[0])
        return f'{{"inputs": {{{one}}}}}, or a list of such objects'
    return '{"inputs": "text" or ["text", ...]}'


def warm_up(choices: Sequence[Sequence[InputField]]) -> Any:
    """An input that every bundle of the task can answer."""
    texts = next((fields for fields in choices if all(field.kind == "text" for field in fields)), choices[0])
    if len(texts) == 1:
        return "warm-up"
    made: dict[str, Any] = {"texts": ["warm-up"]}
    return {
        field.name: {"start": i, "end": i + 1} if field.kind == "span" else made.get(field.kind, "warm-up")
        for i, field in enumerate(texts)
    }


def _add_errors(app: FastAPI, meters: Meters, *, expected: Mapping[str, str]) -> None:
    @app.exception_handler(HoneError)
    async def hone_error(request: Request, error: HoneError) -> JSONResponse:
        return _failure(meters, error.code, str(error), status=422 if isinstance(error, DataError) else 500)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        places = "; ".join(f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors())
        message = f"Found a request that cannot be read ({places}). Expected {expected[request.url.path]}."
        return _failure(meters, "request.invalid", message, status=422)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return _failure(meters, "hone.failed", "The request failed unexpectedly; see the server's log.", status=500)


def _failure(meters: Meters, code: str, message: str, *, status: int) -> JSONResponse:
    meters.failed(code)
    return JSONResponse(Failure(code=code, message=message).model_dump(), status_code=status)
