"""`Spellings`: the bytes that each token adds to a text, read off a tokenizer's decoder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tokenizers import pre_tokenizers

from hone.core.errors import BundleError

UNKNOWN = "\ufffd"
WordSpace = Literal["none", "optional", "required"]


@dataclass(frozen=True, eq=False)
class Spellings:
    """What tokens say.

    Attributes:
        tokens: Bytes of each token within a text; none of a special token.
        special: Tokens that stand for no bytes.
        space: Whether a text's first token has a space before it that the decoder drops: ``none``, ``optional``, or
            ``required``, where tokens without one are no beginning of a text.
        encode: The tokenizer's own tokens of some bytes; None where they do not spell just these.
        views: What others made of these, for as long as they are kept.
    """

    tokens: tuple[bytes, ...]
    special: tuple[int, ...]
    space: WordSpace
    encode: Callable[[bytes], list[int] | None]
    views: dict[Any, Any] = field(default_factory=dict)


def spellings_of(backend: Any) -> Spellings:
    """The spellings of a fast tokenizer's vocabulary, which are held to what its decoder makes of each token.

    Args:
        backend: A ``tokenizers.Tokenizer``.

    Raises:
        BundleError: Its decoder is not byte-level, WordPiece's, or one of those that write spaces as a mark.
    """
    state = json.loads(backend.to_str())
    spell, space = _speller(state.get("decoder"))
    special = {token["id"] for token in state.get("added_tokens", []) if token["special"]}
    plain = {token["id"] for token in state.get("added_tokens", [])}  # written as they stand
    size = max([*backend.get_vocab(with_added_tokens=True).values()], default=-1) + 1
    names = [backend.id_to_token(i) for i in range(size)]
    tokens = tuple(
        b"" if name is None or i in special else name.encode() if i in plain else spell(name)
        for i, name in enumerate(names)
    )
    _check(backend, tokens, space=space)
    return Spellings(tokens, tuple(sorted(special)), space, _encoder(backend, tokens))


def _speller(decoder: Mapping[str, Any] | None) -> tuple[Callable[[str], bytes], WordSpace]:
    """What makes bytes of a token's name."""
    parts = (decoder or {}).get("decoders", [decoder or {"type": "nothing"}])
    kinds = [part["type"] for part in parts]
    if kinds == ["ByteLevel"]:
        table = _byte_table()
        return lambda name: bytes(table[c] for c in name) if all(c in table for c in name) else name.encode(), "none"
    if kinds == ["WordPiece"]:
        mark, clean = parts[0]["prefix"], parts[0]["cleanup"]
        return lambda name: _word_piece(name, mark, clean=clean), "required"
    marks = [part["replacement"] for part in parts if part["type"] == "Metaspace"]
    marks += [part["pattern"]["String"] for part in parts if part["type"] == "Replace" and part["content"] == " "]
    if len(marks) == 1 and set(kinds) <= {"Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"}:
        falls = "ByteFallback" in kinds
        schemes = {part.get("prepend_scheme", "always") for part in parts if part["type"] == "Metaspace"}
        drops = "Strip" in kinds or (schemes != {"never"} and "Metaspace" in kinds)
        return lambda name: _marked(name, marks[0], falls=falls), "optional" if drops else "none"
    raise _unlike(f"a decoder of the kind {' and '.join(kinds)}")


def _encoder(backend: Any, tokens: Sequence[bytes]) -> Callable[[bytes], list[int] | None]:
    """See `Spellings.encode`."""

    def encode(told: bytes) -> list[int] | None:
        with contextlib.suppress(UnicodeDecodeError):
            own = [int(i) for i in backend.encode(told.decode(), add_special_tokens=False).ids]
            return own if b"".join(tokens[i] for i in own) == told else None
        return None

    return encode


def _byte_table() -> dict[str, int]:
    """The byte of each character of byte-level tokens (Radford et al. 2019): printable ones stand for themselves, the
    rest for characters after the first 256, in order."""
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    own = {byte for byte in range(256) if chr(byte) in alphabet}
    moved = sorted(c for c in alphabet if ord(c) > 255)
    rest = (byte for byte in range(256) if byte not in own)
    return {**{chr(byte): byte for byte in own}, **dict(zip(moved, rest, strict=True))}


def _word_piece(name: str, mark: str, *, clean: bool) -> bytes:
    if name.startswith(mark):
        return name.removeprefix(mark).encode()
    return (name if clean and name in (".", "?", "!", ",") else f" {name}").encode()


def _marked(name: str, mark: str, *, falls: bool) -> bytes:
    if falls and len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes([int(name[3:5], 16)])
    return name.replace(mark, " ").encode()


def _check(backend: Any, tokens: Sequence[bytes], *, space: WordSpace) -> None:
    """Hold spellings to what the decoder makes of each token after another one.

    Raises:
        BundleError: They are not the same.
    """
    before = next((i for i, told in enumerate(tokens) if told.strip().isalpha() and len(told.strip()) == 1), None)
    if before is None:
        raise _unlike("a vocabulary without a letter")
    whole = [i for i, told in enumerate(tokens) if told and UNKNOWN not in told.decode(errors="replace")]
    said = backend.decode_batch([[before, i] for i in whole], skip_special_tokens=True)
    first = backend.decode([before], skip_special_tokens=True)
    for i, text in zip(whole, said, strict=True):
        if text != first + tokens[i].decode():
            raise _unlike(f"a decoder that makes {text!r} of {first!r} and {tokens[i].decode()!r}")


def _unlike(found: str) -> BundleError:
    return BundleError(
        f"{found}, where what is written has to keep to a regex or a JSON schema",
        expected="a tokenizer whose tokens are bytes, WordPieces, or words that a mark begins",
        fix="Leave the constraint out, or take a base with another tokenizer.",
        code="decoding.tokenizer",
    )
