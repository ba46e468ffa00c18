"""What is wrong with some examples is counted over all portions of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hone.data.dataset import Dataset
from hone.models.tiny import write_tiny_writer
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.table import SETTINGS


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("base") / "base", kind="gpt2")


TALK = [{"role": "user", "text": "money"}]
CASES: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "lengths": ({"max_target_length": 4}, {"prompt": ["a"] * 3, "text": ["money " * 9, "a", "money " * 9]}),
    "attributes": ({"attributes": {"tone": ["good"]}}, {"text": ["a"] * 3, "tone": ["bad", "good", "god"]}),
    "conversations": (
        {"max_target_length": 4},
        {"messages": [[*TALK, {"role": "assistant", "text": "thanks " * n}] for n in (9, 1, 9)]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_all_are_counted(case: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, columns = CASES[case]
    task = make_task("text-generation", SETTINGS["text-generation"].model_validate(settings), labels=(), folder=base)
    data = Dataset.from_columns("train", columns)
    monkeypatch.setattr(Dataset, "portions", lambda self: iter([(0, 1), (1, 2), (2, 3)]))
    with pytest.raises(Exception, match="2 of 3") as caught:
        encoded(task, data, cache=tmp_path)
    assert "2 of 3 (66.7%)" in str(caught.value)
    assert caught.value.examples == [0, 2]  # type: ignore[attr-defined]
