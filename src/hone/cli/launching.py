"""``hone launch``, and what the processes that it starts say."""

from __future__ import annotations

import os
import sys

import typer

from hone.cli.options import Where
from hone.core.processes import place
from hone.pipeline.launch import Launch, launch, name_of, of_hone, parse_range, require_launchable


def launch_command(arguments: list[str], *, where: Where, max_restarts: int, show: bool) -> None:
    """Run a command in several processes, or say what to type where."""
    require_launchable(arguments)
    if where.on == "ray":
        _on_ray(arguments, where=where, max_restarts=max_restarts, show=show)
        return
    where.refuse(("workers", "per_worker"), fix="They are for --on ray.")
    how = Launch(
        parse_range(where.nodes or "1", option="--nodes"),
        where.procs_per_node or _gpus(),
        head=where.head,
        max_restarts=max_restarts,
        name=name_of(arguments),
    )
    if show:
        typer.echo("\n".join(how.lines(arguments)))
        return
    code = launch(how, of_hone(arguments))
    if code:
        raise typer.Exit(code)


def _on_ray(arguments: list[str], *, where: Where, max_restarts: int, show: bool) -> None:
    """The same in workers of a Ray cluster."""
    from hone.cli.main import exit_code
    from hone.pipeline.on_ray import OnRay, launch_on_ray, parse_resources

    where.refuse(("nodes", "procs_per_node"), fix="On Ray say how many with --workers.")
    how = OnRay(
        parse_range(where.workers or "", option="--workers"),
        parse_resources(where.per_worker or []),
        head=where.head,
        max_restarts=max_restarts,
    )
    if show:
        typer.echo("\n".join(how.lines(arguments)))
        return

    def say(words: str) -> None:
        typer.echo(words, nl=False, err=True)

    ended = launch_on_ray(how, arguments, command=exit_code, say=say)
    typer.echo(ended.printed, nl=False)
    if ended.code:
        raise typer.Exit(ended.code)


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
