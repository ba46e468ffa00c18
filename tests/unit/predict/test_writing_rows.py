from __future__ import annotations

from pathlib import Path

import torch

from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.writing_settings import TranslationSettings

SOURCES = ["the card", "my laptop is broken please help", "where", "new password", "a", "is it late", "email", "good"]


class TwoWorkers(TorchEngine):
    @property
    def workers(self) -> int:
        return 2


def test_workers_write_what_one_writes_in_the_order_of_the_rows(tmp_path: Path) -> None:
    base = write_tiny_writer(tmp_path / "bart")
    task = make_task("translation", TranslationSettings(decoding={"max_new_tokens": 8}), labels=(), folder=base)
    rows = Rows(task.encode({"source": SOURCES}, purpose="predict"))
    model = build_model(base, task.head).eval()
    told: list[int] = []
    one = score_rows(task, TorchEngine(model, torch.device("cpu")), rows)
    two = score_rows(task, TwoWorkers(model, torch.device("cpu")), rows, done=told.append)
    assert [draft.texts[0][0].text for draft in two] == [draft.texts[0][0].text for draft in one]
    assert len({draft.texts[0][0].text for draft in one}) > 3
    assert sum(told) == len(SOURCES)
