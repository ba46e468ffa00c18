"""`Constraint`: what a whole text has to be, as a regular expression or a JSON schema says it.

Both are read by llguidance (extra ``constraints``), as one grammar for what may be written next and for whether a text
is as it should be. It builds automata while they are needed (Earley's parser over lexemes that are derivatives of
regular expressions), so nothing is made ahead of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from hone.core.errors import MissingExtra

Lead = Literal["none", "optional", "required"]
WHITE_SPACE = "[ ]"  # between the parts of a JSON text: one at most, for a weak model never ends otherwise
BYTES = 256
KEPT = 32  # constraints whose matchers are kept: each text is asked of one


@dataclass(frozen=True)
class Constraint:
    """What a text has to be, of exactly one kind.

    Attributes:
        regex: Regular expression for the whole text, as Rust's crate ``regex`` reads it: no look-around, no references
            back.
        json_schema: Schema, as JSON, of a JSON text on one line, whose properties come in the schema's order.
    """

    regex: str | None = None
    json_schema: str | None = None

    def grammar(self, lead: Lead = "none") -> str:
        """The grammar as llguidance takes it.

        Args:
            lead: Whether a space may, or has to, stand before the text: decoders drop it.

        Raises:
            MissingExtra: llguidance is not installed.
            ValueError: It cannot be read.
        """
        matcher = library().LLMatcher
        if self.regex is not None:
            before = {"none": "", "optional": " ?", "required": " "}[lead]
            return str(matcher.grammar_from_regex(f"{before}(?:{self.regex})" if before else self.regex))
        schema = json.loads(self.json_schema or "")
        own = schema.get("x-guidance", {})
        if not isinstance(own, dict):
            raise ValueError(f"x-guidance is {json.dumps(own, ensure_ascii=False):.60}, and has to be an object")
        options = {"whitespace_pattern": WHITE_SPACE, **own}
        if lead == "none":
            return str(matcher.grammar_from_json_schema(schema, overrides=options))
        before = {"optional": '" "?', "required": '" "'}[lead]
        told = json.dumps({**schema, "x-guidance": options})
        return str(matcher.grammar_from_lark(f"start: {before} body\nbody: %json {told}"))

    def holds(self, text: str) -> bool:
        """Whether a text is as it should be.

        Raises:
            MissingExtra: llguidance is not installed.
        """
        matcher = _matcher(self).deep_copy()
        told = list(text.encode(errors="surrogatepass"))
        return bool(matcher.try_consume_tokens(told) == len(told) and matcher.is_accepting())

    def fault(self) -> str:
        """What is wrong with it, in words; empty where there are texts that it allows.

        Raises:
            MissingExtra: llguidance is not installed.
        """
        try:
            grammar = self.grammar()
        except ValueError as error:
            return str(error)
        _, told = library().LLMatcher.validate_grammar_with_warnings(grammar)
        if told:
            return _short(told[0])
        matcher = library().LLMatcher(_bytes(), grammar, log_level=0)
        if matcher.is_error():
            return _short(matcher.get_error())
        if not matcher.is_accepting():
            matcher.compute_bitmask()  # finds out that no text can begin
            if matcher.is_stopped():
                return "no text is allowed by it"
        return ""


def constraint_of(*, regex: str | None, json_schema: Mapping[str, Any] | None) -> Constraint | None:
    """The constraint of two settings of which one at most is given."""
    if regex is None and json_schema is None:
        return None
    return Constraint(regex, None if json_schema is None else json.dumps(json_schema, ensure_ascii=False))


def library() -> Any:
    """llguidance.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtra(
            "llguidance", extra="constraints", needed_for="a regex or a JSON schema of what is written"
        ) from error
    return llguidance


def vocabulary(
    tokens: list[bytes], *, ends: list[int], special: list[int], encode: Callable[[bytes], list[int]]
) -> Any:
    """llguidance's view of a vocabulary.

    Args:
        tokens: The bytes that each token adds to a text; none of those that are not written.
        ends: Tokens that end texts.
        special: Tokens that stand for no bytes.
        encode: Tokens of some bytes: where a constraint leaves only these bytes, it leaves only these tokens.
    """

    class Told:
        eos_token_id, bos_token_id = ends[0], None
        special_token_ids = special

        def __init__(self) -> None:
            self.tokens = tokens

        def __call__(self, told: bytes) -> list[int]:
            return encode(told)

    found = library()
    return found.LLTokenizer(found.TokenizerWrapper(Told()), eos_token=ends)


@lru_cache(maxsize=KEPT)
def _matcher(constraint: Constraint) -> Any:
    """llguidance's matcher of texts as bytes, before any; only copied."""
    return library().LLMatcher(_bytes(), constraint.grammar(), log_level=0)


@cache
def _bytes() -> Any:
    """A vocabulary of bytes, and one token that ends texts."""
    tokens = [*(bytes([byte]) for byte in range(BYTES)), b"end"]
    return vocabulary(tokens, ends=[BYTES], special=[BYTES], encode=list)


def _short(told: str) -> str:
    """The reason that an error of llguidance gives, without the places in grammars that are not the user's."""
    found = re.search(r"^error: (.+)$", told, flags=re.MULTILINE)
    first = found[1] if found else told.splitlines()[0]
    return re.sub(r"^at \d+\(\d+\): ", "", first).strip()
