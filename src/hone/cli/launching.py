"""``hone launch``, and what the processes that it starts say."""

from __future__ import annotations

import os
import sys

import typer

from hone.core.processes import place
from hone.pipeline.launch import Launch, launch, of_hone, parse_nodes, require_launchable


def launch_command(
    arguments: list[str], *, nodes: str, procs_per_node: int | None, head: str, max_restarts: int, show: bool
) -> None:
    """Run a command in several processes, or say what to type where."""
    require_launchable(arguments)
    how = Launch(parse_nodes(nodes), procs_per_node or _gpus(), head=head, max_restarts=max_restarts)
    if show:
        typer.echo("\n".join(how.lines(arguments)))
        return
    code = launch(how, of_hone(arguments))
    if code:
        raise typer.Exit(code)


def quiet_unless_first() -> None:
    """Of several processes only the first prints results."""
    if not place().first:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends


def named(words: str) -> str:
    """An error as this process says it: one of several says which it is."""
    here = place()
    return f"hone: {words}" if here.count == 1 else f"hone (process {here.number} of {here.count}): {words}"


def _gpus() -> int:
    """GPUs of this machine; 1 where it has none."""
    import torch

    return max(1, torch.cuda.device_count())
