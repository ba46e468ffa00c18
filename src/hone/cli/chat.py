"""``hone chat``: a conversation on a terminal; elsewhere lines in, answers out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from hone.cli.columns import by_key
from hone.cli.decoding import parse_decoding
from hone.core.disk import write_atomically
from hone.core.errors import DataError, Fault, HoneError, RecipeError, did_you_mean
from hone.data.stream import STDIN, decoded_lines
from hone.predict.conversation import Conversation
from hone.predict.predictor import load
from hone.report.catalog import Language, word
from hone.report.visible import as_plain

COMMANDS = ("/reset", "/system", "/control", "/save", "/help", "/exit")


def chat_with(
    bundle: Path,
    *,
    system: str,
    controls: Sequence[str],
    decoding: Sequence[str],
    opening: Mapping[str, Any],
    as_json: bool,
    language: Language,
) -> None:
    """Answer line after line until there are no more.

    Args:
        system: How to answer; empty: as the bundle has it.
        controls: Attributes and keywords as ``KEY=VALUE``.
        decoding: Settings as ``KEY=VALUE``.
        opening: Options of `hone.load`.
        as_json: One JSON object an answer on stdout, and nothing else there.
        language: Of what is said beside the answers; errors are in English.

    Raises:
        HoneError: The bundle takes part in no conversation; or, where nobody sits at a terminal, a line cannot be
            answered.
    """
    settings = parse_decoding(decoding)
    told = by_key(controls, option="--control", form="KEY=VALUE", code="chat.control")
    predictor = load(bundle, **opening)
    predictor = predictor.decoding(**settings) if settings else predictor
    conversation = Conversation(predictor, system=system, controls=told)
    Chat(conversation, seen=sys.stdin.isatty() and not as_json, as_json=as_json, language=language).run()


class Chat:
    """Lines in, answers out.

    Args:
        seen: Whether somebody sits at a terminal and reads along: then there is a prompt, and what goes wrong is said
            and not the end.
    """

    def __init__(self, conversation: Conversation, *, seen: bool, as_json: bool, language: Language = "en") -> None:
        self._conversation, self._seen, self._as_json, self._language = conversation, seen, as_json, language
        self._left_out = False  # whether it was said that turns are

    def run(self) -> None:
        """Until the last line."""
        if not self._conversation.remembers:
            self._say("text_bundle")
        elif self._seen:
            self._say("welcome")
        for number, line in enumerate(self._lines(), start=1):
            try:
                if self._obeyed(line):
                    return
            except HoneError as error:
                if not self._seen:
                    raise _at(error, number) from error
                self._note(str(error))

    def _lines(self) -> Iterator[str]:
        if not self._seen:
            yield from (line.rstrip("\r\n") for line in decoded_lines(sys.stdin, STDIN))
            return
        import readline  # noqa: F401 - arrow keys and what was typed before

        while True:
            try:
                yield input("> ")
            except EOFError:
                typer.echo()
                return

    def _obeyed(self, line: str) -> bool:
        """Do what a line says, and tell whether it was to end. ``//`` begins a text that begins with ``/``. From a pipe
        a blank line has a blank answer. With ``--json`` answers keep step with lines; else one may have several."""
        if not line.strip():
            if not self._seen:
                typer.echo("null" if self._as_json else "")
            return False
        if not line.startswith("/") or line.startswith("//"):
            self._answer(line.removeprefix("/") if line.startswith("//") else line)
            return False
        name, _, rest = line.partition(" ")
        if name not in COMMANDS:
            raise RecipeError(
                f"found the unknown command {name}", fix=did_you_mean(name, COMMANDS), code="chat.command"
            )
        if name == "/help":
            self._note("\n".join(f"{name:<8} {word(f'talk.{name}', self._language)}" for name in COMMANDS))
        elif name == "/save":
            self._save(rest.strip())
        elif name == "/control":
            self._control(rest.strip())
        elif name == "/reset":
            self._begin(None)
        elif name == "/system":
            self._system(rest.strip())
        return name == "/exit"

    def _answer(self, text: str) -> None:
        pieces = self._conversation.ask(text)
        try:
            for piece in pieces:
                if not self._as_json:
                    typer.echo(as_plain(piece) if self._seen else piece, nl=False)
                    sys.stdout.flush()
        except KeyboardInterrupt:
            if not self._seen:
                raise
            typer.echo()
            self._say("stopped")
            return
        found = self._conversation.prediction
        assert found is not None  # the answer is whole
        typer.echo(json.dumps(found, ensure_ascii=False) if self._as_json else "")
        sys.stdout.flush()
        if self._seen and not found["text"].strip():
            self._say("nothing")
        if found["truncated"] and not self._left_out:
            self._say("left_out" if self._conversation.remembers else "is_cut", room=self._conversation.room)
        self._left_out = found["truncated"]

    def _begin(self, system: str | None) -> None:
        self._conversation.begin(system)
        self._left_out = False
        if self._seen:
            self._say("forgotten")

    def _system(self, text: str) -> None:
        if text:
            self._begin(text)
        else:
            self._note(self._conversation.system or word("talk.no_system", self._language))

    def _control(self, text: str) -> None:
        if text:
            self._conversation.control(by_key([text], option="/control", form="KEY=VALUE", code="chat.control"))
        else:
            told = self._conversation.controls.items()
            self._note("\n".join(f"{k}={v if isinstance(v, str) else '|'.join(v)}" for k, v in told)
                       or word("talk.no_controls", self._language))  # fmt: skip

    def _save(self, name: str) -> None:
        try:
            file = Path(name).expanduser()
            if not name or file.exists():
                found = f"{name}, which is there already" if name else "no name of a file"
                raise RecipeError(f"found {found}", expected="/save FILE, a new one", code="chat.save")
            write_atomically(file, self._conversation.row().encode())
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no such home folder
            raise RecipeError(
                f"found {name}, which cannot be written: {error}",
                expected="/save FILE, a new one in a folder that is there",
                code="chat.save",
            ) from error
        self._say("written", file=name)

    def _say(self, key: str, **values: object) -> None:
        self._note(word(f"talk.{key}", self._language, **values))

    def _note(self, words: str) -> None:
        typer.secho(words, err=True, dim=self._seen)


def _at(error: HoneError, line: int) -> HoneError:
    """The error with the line of standard input that it is about, where it is about what was said there."""
    kind = next((kind for kind in (DataError, RecipeError) if isinstance(error, kind)), None)
    if kind is None or any(fault.file for fault in error.faults):
        return error
    own = error.faults or (Fault(error.code, error.found.removeprefix("found "), error.expected, fix=error.fix),)
    return kind.of([replace(fault, file=STDIN, line=line) for fault in own], what="the conversation")
