"""torch's elastic agent, which starts the processes of this machine, watches them, and starts them again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from hone.core.errors import FINAL, INTERRUPTED

if TYPE_CHECKING:
    from hone.pipeline.launch import Launch

ENDING_SECONDS = 600  # that a process has to write its checkpoint when it is asked to end
MEETING_SECONDS = 900  # in which the machines find one another


class Agent(LocalElasticAgent):
    """Starts processes again that were killed or have failed, but not those that ended for a reason that stays, nor
    those that were interrupted, unless a machine may leave: then it alone was asked to end, and the others go on."""

    may_leave: bool = False

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result: RunResult = super()._monitor_workers(worker_group)
        codes = {failure.exitcode for failure in result.failures.values()}
        if codes & set(FINAL) or (codes == {INTERRUPTED} and not self.may_leave):
            self._remaining_restarts = 0
        return result


def run_agent(how: Launch, command: Sequence[str], *, name: str) -> Mapping[int, ProcessFailure]:
    """Run ``command`` in the processes of this machine until all of them have ended, for good.

    Args:
        name: What sets this launch apart from others that meet at the same place.

    Returns:
        Those that failed, by their number among the processes of all machines; nothing where all went well.

    Raises:
        RendezvousError: The machines did not meet.
        SignalException: It was asked to end, and so were they.
    """
    program, *arguments = command
    met = get_rendezvous_handler(RendezvousParameters("c10d", how.endpoint, name, *how.nodes, timeout=MEETING_SECONDS))
    spec = WorkerSpec(
        role="default",
        local_world_size=how.procs_per_node,
        entrypoint=program,
        args=tuple(arguments),
        rdzv_handler=met,
        max_restarts=how.max_restarts,
        monitor_interval=0.1,
    )
    agent = Agent(spec, DefaultLogsSpecs(log_dir=os.devnull), shutdown_timeout=ENDING_SECONDS)
    agent.may_leave = how.nodes[0] < how.nodes[1]
    goes_on = False
    try:
        ended: RunResult | None = agent.run()  # None of a machine that the others did not need
    except SignalException:
        goes_on = True  # one machine goes; the others may do without it
        raise
    finally:
        if not goes_on:
            met.shutdown()
    return {} if ended is None else ended.failures
