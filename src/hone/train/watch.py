"""What a training is stopped by: a loss, a gradient or a weight that is no number, a loss that leaps; what that came of
is kept and named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from hone.core.errors import HoneError
from hone.core.processes import ALONE, Place
from hone.data.dataset import Dataset
from hone.tasks.rows import IntArray
from hone.train.checkpoint import UNWRITTEN, Position
from hone.train.pieces import local

MEMORY = 0.98  # of the running mean of the loss
SETTLED = 50  # steps before a leap is one
NATS = 1.0  # that a leap has at least, however low the mean is
NAMED = 8  # examples that a message names
FIX = "Look at these rows; lower learning_rate, or set mixed_precision to 'no'."


class Watch:
    """Looks at loss and gradient of every step before it is made.

    Args:
        folder: Where the batches of the step that ends a training go; of several processes each one's own.
        leap: The loss of a step may be so many times the running mean; None: anything that is a number.
        place: Where an example stands: a file and a line, say.
        fixed: Names of weights that do not learn.
    """

    def __init__(
        self,
        folder: Path,
        *,
        leap: float | None,
        place: Callable[[int], str],
        process: Place = ALONE,
        fixed: Set[str] = frozenset(),
    ) -> None:
        self._folder, self._leap, self._place, self._process, self._fixed = folder, leap, place, process, fixed

    def look(self, loss: float, *, position: Position, batches: Sequence[Mapping[str, Tensor]], rows: IntArray) -> None:
        """Let a loss pass, or end the training.

        Args:
            rows: The examples that the batches were made of, int64 [n].

        Raises:
            HoneError: It is no finite number, or leaps.
        """
        if math.isfinite(loss) and not self._leaps(loss, position):
            position.mean_loss = loss if position.mean_loss is None else (
                MEMORY * position.mean_loss + (1 - MEMORY) * loss)  # fmt: skip
            return
        finite = math.isfinite(loss)
        raise HoneError(
            self._of("loss", loss, position, batches, rows),
            expected=f"at most {self._leap} times its running mean, {position.mean_loss:.4g}"
            if finite
            else "a finite number",
            fix="Look at these rows; lower learning_rate, or set max_loss_leap to null." if finite else FIX,
            code="train.loss-leaps" if finite else "train.loss-not-finite",
        )

    def look_back(
        self, norm: float, *, position: Position, batches: Sequence[Mapping[str, Tensor]], rows: IntArray
    ) -> None:
        """Let the norm of a step's gradients pass, or end the training before they move a weight.

        Args:
            rows: As of `look`.

        Raises:
            HoneError: It is no finite number.
        """
        if not math.isfinite(norm):
            raise HoneError(
                self._of("norm of the gradients", norm, position, batches, rows),
                expected="a finite number",
                fix=FIX,
                code="train.gradient-not-finite",
            )

    def look_at(self, model: nn.Module, *, position: Position, anywhere: Callable[[bool], bool]) -> None:
        """Let the weights that a step has left pass to where they will be kept, or end the training before they are.

        Args:
            anywhere: Whether any process says so: each may have a part of the weights.

        Raises:
            HoneError: One of them is no finite number.
        """
        learned = {name: local(weight) for name, weight in model.named_parameters() if name not in self._fixed}
        wrong = [name for name, weight in learned.items() if not bool(weight.isfinite().all())]
        if anywhere(bool(wrong)):
            named = ", ".join(wrong[:NAMED]) + (", ..." if len(wrong) > NAMED else "")
            raise HoneError(
                f"step {position.step} left weights that are no finite numbers: {named or 'those of another process'}",
                fix="Lower learning_rate.",
                code="train.weights-not-finite",
            )

    def _of(
        self,
        what: str,
        value: float,
        position: Position,
        batches: Sequence[Mapping[str, Tensor]],
        rows: IntArray,
    ) -> str:
        """What was found, of which rows, and where the batches are kept."""
        named = ", ".join(map(self._place, rows[:NAMED].tolist())) + (", ..." if len(rows) > NAMED else "")
        kept = f"; {self._kept(position, batches)}" if batches else ""  # other processes may have them all
        return f"the {what} at step {position.step + 1} is {value:.6g}, of {named}{kept}"

    def _leaps(self, loss: float, position: Position) -> bool:
        mean = position.mean_loss
        if self._leap is None or mean is None or position.step < SETTLED:
            return False
        return loss > self._leap * mean and loss > mean + NATS

    def _kept(self, position: Position, batches: Sequence[Mapping[str, Tensor]]) -> str:
        """Where the batches of a step are kept now; or why not, which is not to hide what ended the training."""
        of = f"-process-{self._process.number}" if self._process.count > 1 else ""
        file = self._folder / f"stopped-at-{position.step + 1}{of}.safetensors"
        tensors = {f"{i}.{name}": value for i, batch in enumerate(batches) for name, value in batch.items()}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, file)
        except UNWRITTEN as error:
            return f"its batch could not be kept in {file}: {error}"
        return f"its batch is kept in {file}"


def numbered(row: int) -> str:
    """The place of an example of which nothing but its number is known."""
    return f"row {row + 1}"


def places_in(data: Dataset) -> Callable[[int], str]:
    """Where the examples of a data set stand: a file and a line, where that is known."""

    def place(row: int) -> str:
        file, line = data.place(row)
        return f"{numbered(row)} of {file}" if line is None else f"{file}:{line}"

    return place


def norm_of(found: Tensor | None) -> dict[str, float]:
    """The gradient's norm as the log has it: none of a step that was left out, its loss being scaled too much."""
    norm = math.nan if found is None else float(found)
    return {"gradient_norm": norm} if math.isfinite(norm) else {}
