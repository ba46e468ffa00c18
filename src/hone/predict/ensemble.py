"""Several bundles as one: the mean of what their scores stand for (Lakshminarayanan et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.heads import Outputs
from hone.predict.engine import Engine
from hone.tasks.divergence import NEVER, mask_of
from hone.tasks.protocol import Says, Task
from hone.tasks.rows import Batch

UNAVERAGED: dict[Says, str] = {
    "direction": "whose answers are directions, and those of two trainings have no common axes",
    "text": "whose texts are written token by token, each after what the same bundle wrote before",
}
SENTENCE_AND_WORDS = "sentence-and-words"  # the head that scores the whole text at its first place, before the words


class EnsembleEngine:
    """Scores whose chances are the mean of its members', of choices those within a row; a CRF's, which scores
    sequences, are themselves averaged, and its transitions with them. Beside a CRF, the label of the whole text is one
    whose chances are averaged.

    Args:
        task: That all members do, over rows that all read alike.
        engines: Theirs.
    """

    def __init__(self, task: Task, engines: Sequence[Engine]) -> None:
        self._task, self._engines = task, tuple(engines)

    def forward(self, batch: Batch) -> Outputs:
        each = [engine.forward(batch) for engine in self._engines]
        scores = [outputs["logits"].float() for outputs in each]
        says = self._task.says
        if says == "choice":
            return {"logits": mean_of_choices(scores, batch["texts"].tolist())}
        if not self.constants:
            mask = mask_of(self._task.decode(each[0], batch), scores[0]) if says == "place" else None
            return {"logits": mean_scores(scores, mask, says=says)}
        mean = torch.stack(scores).mean(0)
        if self._task.head.kind == SENTENCE_AND_WORDS:
            first = mean_scores([one[:, :1] for one in scores], None, says=says)
            mean = torch.cat([first, mean[:, 1:]], dim=1)
        return {**each[0], "logits": mean}

    @property
    def device(self) -> torch.device:
        """That of its first member."""
        return self._engines[0].device

    @property
    def computes_padding(self) -> bool:
        return any(engine.computes_padding for engine in self._engines)

    @property
    def tokens_at_once(self) -> int:
        return min(engine.tokens_at_once for engine in self._engines)

    @property
    def workers(self) -> int:
        return min(engine.workers for engine in self._engines)

    @property
    def constants(self) -> Mapping[str, Tensor]:
        each = [engine.constants for engine in self._engines]
        return {name: torch.stack([constants[name] for constants in each]).mean(0) for name in each[0]}

    @property
    def weights_bytes(self) -> int:
        return sum(engine.weights_bytes for engine in self._engines)


def mean_scores(scores: Sequence[Tensor], mask: Tensor | None, *, says: Says) -> Tensor:
    """Scores of which a task makes the mean of the chances that it makes of each of ``scores``; of numbers their mean.

    Args:
        scores: float32 [batch, ..., labels] each.
        mask: bool of that shape without labels; the rest is padding. Asked for where places are chosen among.
    """
    every = torch.stack(list(scores))
    if says == "number":
        return every.mean(0)
    if says in ("several", "spans"):
        yes, no = (_mean_of_logs(functional.logsigmoid(sign * every)) for sign in (1, -1))
        return yes - no
    if says == "place":
        assert mask is not None
        every = every.masked_fill(~mask.unsqueeze(-1), NEVER)
    return _mean_of_logs(functional.log_softmax(every, dim=2 if says == "place" else -1))


def mean_of_choices(scores: Sequence[Tensor], texts: Sequence[int]) -> Tensor:
    """The same of the choices of rows that have so many each: float32 [choices of all rows, 1], as ``scores`` are."""
    each = [
        torch.cat([functional.log_softmax(part, dim=0) for part in torch.split(one, list(texts))]) for one in scores
    ]
    return _mean_of_logs(torch.stack(each))


def _mean_of_logs(logs: Tensor) -> Tensor:
    """The logarithm of the mean over the first dimension of what ``logs`` are logarithms of."""
    return torch.logsumexp(logs, dim=0) - math.log(len(logs))
