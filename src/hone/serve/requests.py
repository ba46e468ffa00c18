"""What a request to a bundle looks like, from its task: the schema, an example for people, one to warm up with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from hone.data.fields import Field as InputField
from hone.data.fields import required
from hone.serve.limits import MAX_INPUTS
from hone.tasks.decoding import DecodingSettings

Decoding = Annotated[dict[str, Any], WithJsonSchema(DecodingSettings.model_json_schema())]  # checked with the bundle's


class Span(BaseModel):
    """A stretch of an input's ``text``, in characters, end exclusive."""

    model_config = ConfigDict(extra="ignore", strict=True)
    start: int
    end: int


class Turn(BaseModel):
    """A turn of a conversation; what it says stands in ``text``, or in ``content``."""

    model_config = ConfigDict(extra="ignore", strict=True)
    role: str
    text: str | None = None
    content: str | None = None


MAX_WORDS = 64  # of one field of a row
MAX_WORD = 200  # characters of each
KINDS: dict[str, Any] = {
    "text": str,
    "tokens": list[str],
    "texts": Annotated[list[str], Field(max_length=MAX_INPUTS)],
    "span": Span,
    "turns": list[Turn],
    "label": str | int,
    "words": Annotated[list[Annotated[str, Field(max_length=MAX_WORD)]], Field(max_length=MAX_WORDS)],
}


def request_of(choices: Sequence[Sequence[InputField]], *, writes: bool = False) -> type[BaseModel]:
    """The request's schema, from the task's input fields: texts, token lists where the task reads tokens, or objects
    where it reads several texts, or conversations; of a task that writes also how."""
    kinds: Any = str | list[str]
    if any(field.kind == "tokens" for fields in choices for field in fields):
        kinds = kinds | list[list[str]]
    objects = [fields for fields in choices if is_object(fields) or len(fields) > 1]
    always = all(map(is_object, choices))
    for number, chosen in enumerate(objects):
        parts: dict[str, Any] = {field.name: _part(field) for field in chosen}
        one = create_model(f"Input{number or ''}", __config__=ConfigDict(extra="forbid", strict=True), **parts)
        alone = number == 0 and always  # then nothing but objects
        kinds = one | list[one] if alone else kinds | one | list[one]  # type: ignore[valid-type]
    fields: dict[str, Any] = {"inputs": (kinds, Field(description="one input, or a list"))}
    if writes:
        words = "settings of decoding that this request has otherwise than the bundle"
        fields["decoding"] = (Decoding | None, Field(default=None, description=words))
        fields["stream"] = (bool, Field(default=False, description="one text, in pieces, as server-sent events"))
    request: type[BaseModel] = create_model("Request", __config__=ConfigDict(extra="forbid", strict=True), **fields)
    return request


def _part(field: InputField) -> Any:
    """A field of an object as pydantic takes it."""
    if not field.required:
        return KINDS[field.kind] | None, None
    return KINDS[field.kind], Field(description=f"one of {', '.join(field.values)}" if field.values else None)


def is_object(fields: Sequence[InputField]) -> bool:
    """Whether an input has to be an object with these fields, rather than the one of them itself."""
    return len(required(fields)) > 1 or fields[0].kind == "turns"


def expected_of(choices: Sequence[Sequence[InputField]], *, writes: bool = False) -> str:
    """What a request looks like, for who sent another one."""
    more = ', and "decoding": {...} and "stream": true where wanted' if writes else ""
    return _inputs_of(choices) + more


def _inputs_of(choices: Sequence[Sequence[InputField]]) -> str:
    if all(map(is_object, choices)):
        shapes = {
            "text": '"text"',
            "tokens": '["word", ...]',
            "texts": '["text", ...]',
            "span": '{"start": 0, "end": 4}',
            "turns": '[{"role": "user", "text": "text"}, ...]',
            "label": '"value"',
            "words": '["word", ...]',
        }
        one = ", ".join(f'"{field.name}": {shapes[field.kind]}' for field in choices[0] if field.required)
        return f'{{"inputs": {{{one}}}}}, or a list of such objects'
    return '{"inputs": "text" or ["text", ...]}'


def warm_up(choices: Sequence[Sequence[InputField]]) -> Any:
    """An input that every bundle of the task can answer."""
    texts = next((fields for fields in choices if fields[0].kind == "text"), choices[0])
    if not is_object(texts):
        return "warm-up"
    made: dict[str, Any] = {"texts": ["warm-up"], "words": [], "turns": [{"role": "user", "text": "warm-up"}]}
    asked = [field for field in texts if field.required]
    return {
        field.name: {"start": i, "end": i + 1}
        if field.kind == "span"
        else next(iter(field.values), made.get(field.kind, "warm-up"))
        for i, field in enumerate(asked)
    }
