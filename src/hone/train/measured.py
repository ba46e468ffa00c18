"""A model that is measured while it trains."""

from __future__ import annotations

import math

from hone.core.errors import HoneError
from hone.models.heads import Outputs
from hone.predict.engine import TorchEngine
from hone.tasks.rows import Batch


class Measured(TorchEngine):
    """Scores that are no finite numbers end the training here, before a measure fails over them; minus infinity is what
    cannot be, and passes."""

    def forward(self, batch: Batch) -> Outputs:
        """See `hone.predict.engine.Engine.forward`.

        Raises:
            HoneError: A score is infinite, or no number.
        """
        outputs = super().forward(batch)
        for name, value in outputs.items():
            if value.numel() and not float(value.detach().amax()) < math.inf:  # what is no number is no maximum either
                raise HoneError(
                    f"the model gives {name} that are no finite numbers for rows that it is measured on",
                    fix="Lower learning_rate.",
                    code="train.scores-not-finite",
                )
        return outputs
