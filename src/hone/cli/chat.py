"""``hone chat``: a conversation on a terminal; elsewhere lines in, answers out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from hone.bundle.bundle import write_atomically
from hone.cli.decoding import parse_decoding
from hone.core.errors import HoneError, RecipeError, did_you_mean
from hone.predict.conversation import Conversation
from hone.predict.predictor import load
from hone.report.visible import as_plain

COMMANDS = {
    "/reset": "forget what was said",
    "/system": "begin anew with a system text: /system TEXT; alone: show it",
    "/save": "write the conversation as a row of training data: /save FILE",
    "/help": "these commands",
    "/exit": "end; so does Ctrl-D",
}


def chat_with(bundle: Path, *, system: str, decoding: Sequence[str], opening: Mapping[str, Any], as_json: bool) -> None:
    """Answer line after line until there are no more.

    Args:
        system: How to answer; empty: as the bundle has it.
        decoding: Settings as ``KEY=VALUE``.
        opening: Options of `hone.load`.
        as_json: One JSON object an answer on stdout, and nothing else there.

    Raises:
        HoneError: The bundle takes part in no conversation; or, where nobody sits at a terminal, a line cannot be
            answered.
    """
    settings = parse_decoding(decoding)
    predictor = load(bundle, **opening)
    conversation = Conversation(predictor.decoding(**settings) if settings else predictor, system=system)
    Chat(conversation, seen=sys.stdin.isatty() and not as_json, as_json=as_json).run()


class Chat:
    """Lines in, answers out.

    Args:
        seen: Whether somebody sits at a terminal and reads along: then there is a prompt, and what goes wrong is said
            and not the end.
    """

    def __init__(self, conversation: Conversation, *, seen: bool, as_json: bool) -> None:
        self._conversation, self._seen, self._as_json = conversation, seen, as_json
        self._left_out = False  # whether it was said that turns are

    def run(self) -> None:
        """Until the last line."""
        if not self._conversation.remembers:
            self._note("This bundle was taught by texts, not by conversations: each line is a prompt by itself.")
        elif self._seen:
            self._note("/help names the commands; Ctrl-D ends.")
        for line in self._lines():
            try:
                if self._obeyed(line):
                    return
            except HoneError as error:
                if not self._seen:
                    raise
                self._note(str(error))

    def _lines(self) -> Iterator[str]:
        if not self._seen:
            yield from (line.rstrip("\r\n") for line in sys.stdin)
            return
        import readline  # noqa: F401 - arrow keys and what was typed before

        while True:
            try:
                yield input("> ")
            except EOFError:
                typer.echo()
                return

    def _obeyed(self, line: str) -> bool:
        """Do what a line says, and tell whether it was to end. ``//`` begins a text that begins with ``/``."""
        if not line.strip():
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
            self._note("\n".join(f"{name:<8} {what}" for name, what in COMMANDS.items()))
        elif name == "/save":
            self._save(rest.strip())
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
            self._note("Stopped; the question is forgotten.")
            return
        found = self._conversation.prediction
        assert found is not None  # the answer is whole
        typer.echo(json.dumps(found, ensure_ascii=False) if self._as_json else "")
        sys.stdout.flush()
        if self._seen and not found["text"].strip():
            self._note("Nothing was answered; the question is forgotten.")
        if found["truncated"] and not self._left_out:
            what = "The oldest turns no longer fit, and are left out" if self._conversation.remembers else "It is cut"
            self._note(f"{what}: the model reads {self._conversation.room} tokens.")
        self._left_out = found["truncated"]

    def _begin(self, system: str | None) -> None:
        self._conversation.begin(system)
        self._left_out = False
        if self._seen:
            self._note("What was said is forgotten.")

    def _system(self, text: str) -> None:
        if text:
            self._begin(text)
        else:
            self._note(self._conversation.system or "There is no system text.")

    def _save(self, name: str) -> None:
        if not name or Path(name).exists():
            found = f"{name}, which is there already" if name else "no name of a file"
            raise RecipeError(f"found {found}", expected="/save FILE, a new one", code="chat.save")
        write_atomically(Path(name), self._conversation.row().encode())
        self._note(f"Written to {name}.")

    def _note(self, words: str) -> None:
        typer.secho(words, err=True, dim=self._seen)
