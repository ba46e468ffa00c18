"""Fewer bits are those of passes that write too: scores move a little, are float32, and every search goes through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hone.models.model import build_model
from hone.models.tiny import write_tiny_writer
from hone.models.writers.writer import Continuing
from hone.predict.batching import score_rows
from hone.predict.engine import TorchEngine
from hone.tasks.make import make_task
from hone.tasks.rows import Rows
from hone.tasks.writing_settings import TextGenerationSettings, TranslationSettings

SHARED = "the card is broken and where is my laptop please " * 4
TEXTS = [SHARED + "help", SHARED + "now"]
SEARCHES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"num_beams": 2},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 3},
}


def engines(folder: Path, kind: Any, decoding: dict[str, Any]) -> tuple[Any, Rows, TorchEngine, TorchEngine]:
    """A task, its rows, and an engine in float32 and one in bf16, both over transformers' own passes, as on a GPU."""
    base = write_tiny_writer(folder / kind, kind=kind, positions=256)
    asked = {**decoding, "max_new_tokens": 6}
    if kind == "gpt2":
        task = make_task("text-generation", TextGenerationSettings(decoding=asked), labels=(), folder=base)
        rows = Rows(task.encode({"prompt": TEXTS}, purpose="predict"))
    else:
        task = make_task("translation", TranslationSettings(decoding=asked), labels=(), folder=base)
        rows = Rows(task.encode({"source": TEXTS}, purpose="predict"))
    model = build_model(base, task.head).eval()
    model.lean = True
    plain, fewer = (TorchEngine(model, torch.device("cpu")) for _ in range(2))
    fewer._dtype = torch.bfloat16
    return task, rows, plain, fewer


@pytest.mark.parametrize("kind", ["gpt2", "bart", "t5"])
def test_scores_move_and_are_whole(kind: str, tmp_path: Path) -> None:
    _, rows, plain, fewer = engines(tmp_path, kind, {})
    ids = torch.from_numpy(rows.row("input_ids", 0).astype("int64"))[None]
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        (_, one), (state, other) = (each.writer.begin(ids, mask, hidden=True) for each in (plain, fewer))
        after = fewer.writer.step(state, one.argmax(1))
    assert (other.dtype, after.dtype) == (torch.float32, torch.float32)
    assert state.hidden is None or state.hidden.dtype == torch.float32
    assert 0 < float((one - other).abs().max()) < 0.1 * float(one.abs().max())


def test_what_is_recurrent_stays_in_float32(tmp_path: Path) -> None:
    task, rows, plain, fewer = engines(tmp_path, "rnn-seq2seq", {})
    assert [one.texts for one in score_rows(task, fewer, rows)] == [one.texts for one in score_rows(task, plain, rows)]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("kind", ["gpt2", "bart", "t5"])
def test_every_search_writes_in_fewer_bits(kind: str, search: str, tmp_path: Path) -> None:
    task, rows, _, fewer = engines(tmp_path, kind, SEARCHES[search])
    drafts = score_rows(task, fewer, rows)
    assert all(1 <= one.texts[0][0].tokens <= 6 for one in drafts)
    if kind == "gpt2":
        assert isinstance(fewer.writer._writer, Continuing)  # type: ignore[attr-defined]
        assert search == "contrastive" or fewer.writer.saved > 0  # type: ignore[attr-defined]
