"""`word`: every word that a page or the console shows, in the reader's language.

Measure, table, stage and column names are keys; so are the fixed sentences (``page.*``, ``plot.*``, ``talk.*``), the explanations of
measures (``about.*``) and of tables (``note.*``). Labels, file names and texts are data and never looked up.
"""

from __future__ import annotations

from typing import Literal

from hone.report import (
    measures_en,
    measures_zh,
    talk_en,
    talk_zh,
    words_compare_en,
    words_compare_zh,
    words_en,
    words_plan_en,
    words_plan_zh,
    words_warnings_en,
    words_warnings_zh,
    words_zh,
)

Language = Literal["en", "zh"]
CATALOGS: dict[Language, dict[str, str]] = {
    "en": {
        **measures_en.MEASURES,
        **words_en.WORDS,
        **words_warnings_en.WORDS,
        **talk_en.TALK,
        **words_plan_en.WORDS,
        **words_compare_en.WORDS,
    },
    "zh": {
        **measures_zh.MEASURES,
        **words_zh.WORDS,
        **words_warnings_zh.WORDS,
        **talk_zh.TALK,
        **words_plan_zh.WORDS,
        **words_compare_zh.WORDS,
    },
}


def word(key: str, language: Language = "en", **values: object) -> str:
    """The catalog's word for ``key``, its ``{places}`` filled with ``values``; else the key, underscores as spaces."""
    found = CATALOGS[language].get(key)
    if found is None:
        return key.replace("_", " ")
    return found.format(**values) if values else found


def explained(key: str, language: Language = "en") -> str:
    """The catalog's sentence for ``key`` (``note.confusion``), or nothing."""
    return CATALOGS[language].get(key, "")


def reason_in(sentence: str, language: Language = "en") -> str:
    """Why a measure has no value, which reports hold as an English sentence, in the reader's language."""
    return CATALOGS[language].get(sentence, sentence)


def slice_name(name: str, language: Language = "en") -> str:
    """The name of a slice, such as ``tokens 0-16``: its first word is looked up, the rest is data."""
    head, space, rest = name.partition(" ")
    return word(head, language) + space + rest if head in CATALOGS[language] else name
