"""Filters by lines: those that stand there again and again, and those of menus, notices and banners."""

from __future__ import annotations

from hone.data.corpus.filters.filter import Bounds, Filter, Measured

PHRASES = [
    "all rights reserved", "cookie policy", "enable javascript", "lorem ipsum", "privacy policy", "terms of use",
    "sign up for our newsletter", "click here to", "版权所有", "未经许可", "点击这里", "请登录", "隐私政策", "备案号",
]  # fmt: skip


class RepeatedLineBounds(Bounds):
    """Share of a document's characters in lines that stood there before (Rae et al. 2021)."""

    min: float | None = None
    max: float | None = 0.2


class BoilerplateBounds(Bounds):
    """Share of the lines that hold one of ``phrases``, whatever the case.

    Attributes:
        phrases: What tells such a line.
    """

    min: float | None = None
    max: float | None = 0.2
    phrases: list[str] = PHRASES


def _lines_of(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if line]


def _repeated(settings: RepeatedLineBounds) -> Measured:
    def share(text: str) -> float | None:
        seen: set[str] = set()
        again = total = 0
        for line in _lines_of(text):
            total += len(line)
            again += len(line) if line in seen else 0
            seen.add(line)
        return again / total if total else None

    return share


def _boilerplate(settings: BoilerplateBounds) -> Measured:
    phrases = [phrase.casefold() for phrase in settings.phrases]

    def share(text: str) -> float | None:
        lines = _lines_of(text.casefold())
        return sum(any(phrase in line for phrase in phrases) for line in lines) / len(lines) if lines else None

    return share


BOILERPLATE = Filter(BoilerplateBounds, _boilerplate)
REPEATED_LINES = Filter(RepeatedLineBounds, _repeated)
