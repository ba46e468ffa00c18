"""How many of the texts to learn to write lose their end, under ``long_target: truncate``."""

from __future__ import annotations

from hone.report.catalog import Language, slice_name, word
from hone.tasks.rows import CUT, OTHER, Rows
from hone.tasks.text_generation import LEARNED


def cut_texts(rows: Rows) -> tuple[int, int]:
    """How many texts of encoded rows are cut, and how many there are; none of a task that writes none."""
    if CUT not in rows.table.column_names:
        return 0, 0
    if OTHER + CUT in rows.table.column_names:
        rows = rows.sides
    several = LEARNED in rows.table.column_names  # texts of a row, each by its beginning and its end
    count = int(rows.lists(LEARNED).offsets[-1]) // 2 if several else len(rows)
    return int(rows.scalar(CUT).sum()), count


def cut_said(rows: Rows, name: str, language: Language) -> list[str]:
    """A sentence about the texts of the data ``name`` that are cut; none where none is."""
    cut, count = cut_texts(rows)
    if not cut:
        return []
    split, share = slice_name(name, language), f"{cut / count:.1%}"
    return [word("warn.cut_targets", language, share=share, count=f"{cut:,}", split=split)]
