"""The English words of comparisons of two bundles; `hone.report.words_compare_zh` has the same keys."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "compare": "Comparison",
    "first": "First",
    "second": "Second",
    "first_bundle": "First bundle",
    "conclusion.better": "The second is better: {measure} {values}{chance}.",
    "conclusion.worse": "The second is worse: {measure} {values}{chance}.",
    "conclusion.other": "The two differ: {measure} {values}{chance}.",
    "conclusion.open": "These rows do not tell the two apart: {measure} {values}{chance}.",
    "compared": "Measures of both",
    "note.compared": "Each p value says how often chance alone makes a difference as large: answers of the two are exchanged row by "
    "row. Below 0.05 they are told apart. It is of one measure: among twenty, one falls below it by chance.",
    "p_value": "p",
    "second_is": "The second is",
    "verdict.better": "better",
    "verdict.worse": "worse",
    "verdict.other": "different",
    "verdict.open": "not told apart",
    "changed": "What changed",
    "note.changed": "Whether their answers are right; and how many are not the same, right or wrong, where that can be told.",
    "both_right": "Right by both",
    "only_first_right": "Right by the first alone",
    "only_second_right": "Right by the second alone",
    "both_wrong": "Wrong by both",
    "answered_otherwise": "Answered otherwise",
    "rows_lost": "Worse than before",
    "note.rows_lost": "Rows that the second answers worse than the first: those that the first alone has right, then others, the largest loss first; all are in differences.jsonl.",
    "rows_gained": "Better than before",
    "note.rows_gained": "Rows that the second answers better than the first: those that it alone has right, then others, the largest gain first.",
    "equal_answers": "Equal answers",
    "about.equal_answers": "Share of the rows to which both say the same.",
    "warn.other_labels": "The two know different labels. The first alone: {first}. The second alone: {second}. Differences have intervals, but no p values: answers cannot be exchanged.",
    "warn.other_counts": "The two are not counted alike: their labels stand in another order, or their settings ask for other measures. Differences have intervals, but no p values: answers cannot be exchanged.",
    "warn.other_tokens": "Left out, for the two read other tokens and these count in tokens: {names}.",
}
