"""`TextStream`: one text in pieces, while it is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator

from hone.predict.generation.written import Written
from hone.tasks.protocol import Prediction


class TextStream(Iterator[str]):
    """Hands out a text in pieces, each as soon as nothing that follows can change it; together they are the text.

    Args:
        pieces: Makes of a question, whether to stop, the pieces, and returns what was written; None where it stopped.
        whole: The task's answer of what was written.

    Attributes:
        prediction: What `hone.predict.predictor.Predictor.predict` answers, once the text has ended; None until then,
            and where it was closed before.
    """

    def __init__(
        self,
        pieces: Callable[[Callable[[], bool]], Generator[str, None, Written | None]],
        whole: Callable[[Written], Prediction],
    ) -> None:
        self.prediction: Prediction | None = None
        self._closed = threading.Event()
        self._pieces, self._whole = pieces(self._closed.is_set), whole

    def __next__(self) -> str:
        if self._closed.is_set():  # though more may have been written by then
            raise StopIteration
        try:
            return next(self._pieces)
        except StopIteration as ended:
            if ended.value is not None:
                self.prediction = self._whole(ended.value)
            raise

    def close(self) -> None:
        """Write no further; may be called while another thread waits for a piece, which ends with the token at hand."""
        self._closed.set()

    def __del__(self) -> None:
        self.close()
