"""What of the data training does not see, or no answer will have: ends of texts to write, under ``long_target:
truncate``, entities and answers that no row holds whole, and answers longer than any that is given."""

from __future__ import annotations

from hone.report.catalog import Language, slice_name, word
from hone.tasks.entities import LOST
from hone.tasks.questions import LONG_ANSWERS, LOST_ANSWERS
from hone.tasks.rows import CUT, OTHER, Rows
from hone.tasks.text_generation import LEARNED

TOLD = {LOST: "warn.lost", LOST_ANSWERS: "warn.lost_answers", LONG_ANSWERS: "warn.long_answers"}  # column -> sentence


def cut_texts(rows: Rows) -> tuple[int, int]:
    """How many texts of encoded rows are cut, and how many there are; none of a task that writes none."""
    if CUT not in rows.table.column_names:
        return 0, 0
    if OTHER + CUT in rows.table.column_names:
        rows = rows.sides
    several = LEARNED in rows.table.column_names  # texts of a row, each by its beginning and its end
    count = int(rows.lists(LEARNED).offsets[-1]) // 2 if several else len(rows)
    return int(rows.scalar(CUT).sum()), count


def unseen_said(rows: Rows, name: str, language: Language) -> list[str]:
    """Sentences about what training does not see of the data ``name``, of which ``rows`` were encoded to learn from;
    none where it sees everything."""
    said, split = [], slice_name(name, language)
    cut, count = cut_texts(rows)
    if cut:
        said.append(word("warn.cut_targets", language, share=f"{cut / count:.1%}", count=f"{cut:,}", split=split))
    for column, sentence in TOLD.items():
        if column in rows.table.column_names and (lost := int(rows.scalar(column).sum())):
            said.append(word(sentence, language, count=f"{lost:,}", split=split))
    return said
