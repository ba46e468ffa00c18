"""Languages that a base tells apart by tokens of their own, as mBART, mBART-50 and NLLB do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hone.core.errors import Fault, RecipeError, did_you_mean
from hone.models.tokenizer import Tokenizer

CODES_NAMED = 12
NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
KEYS = ("source_language", "target_language")


@dataclass(frozen=True)
class WrittenForm:
    """How texts to write are written in token ids.

    Attributes:
        prefix, suffix: Before and after each.
        start: What a decoder reads first, where that is the language, as mBART has it; None: what the base says.
        forced: What every text begins with, where that is one token: the language, as mBART-50 and NLLB have it, or
            what begins every row, as BART's ``<s>``.
    """

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    start: int | None = None
    forced: int | None = None


def codes_of(tokenizer: Tokenizer) -> list[str]:
    """The languages that a tokenizer has tokens for, as it calls them; none where it does not tell languages apart."""
    pretrained = tokenizer.pretrained
    if not hasattr(type(pretrained), "src_lang"):
        return []
    named = {str(getattr(pretrained, name)) for name in NAMED}
    return sorted(set(map(str, pretrained.all_special_tokens)) - named)


def language_faults(settings: Any, tokenizer: Tokenizer) -> list[Fault]:
    """What is wrong with the languages that the settings name, or leave open."""
    codes, asked = codes_of(tokenizer), {key: getattr(settings, key, None) for key in KEYS if hasattr(settings, key)}
    if not asked:
        return []
    if not codes:
        return [
            Fault("task.no-languages", f"the language {code!r}, and a base that has no tokens for languages",
                  "a base that has, such as mBART or NLLB", field=f"task.{key}",
                  fix="Leave both languages out; T5 is told by an instruction.")
            for key, code in asked.items()
            if code is not None
        ]  # fmt: skip
    return [
        Fault("task.language", "nothing" if code is None else f"the language {code!r}",
              "a language of this base", field=f"task.{key}", fix=_near(code, codes))
        for key, code in asked.items()
        if code not in codes
    ]  # fmt: skip


def _near(code: str | None, codes: list[str]) -> str:
    """Which code was meant: one that begins so, or is spelled nearly so; else the first codes."""
    begun = [known for known in codes if code and known.lower().startswith(code.lower())]
    if begun:
        return f"Did you mean {' or '.join(map(repr, begun[:3]))}?"
    found = did_you_mean(code or "", codes)
    more = f" and {len(codes) - CODES_NAMED} more" if len(codes) > CODES_NAMED else ""
    return found if found.startswith("Did") else f"Known: {', '.join(codes[:CODES_NAMED])}{more}."


def spoken(settings: Any, tokenizer: Tokenizer) -> tuple[Tokenizer, WrittenForm]:
    """The tokenizer for sources in the language that the settings name, and how texts to write are written.

    Raises:
        RecipeError: The base has no such language, or has languages and the settings name none.
    """
    faults = language_faults(settings, tokenizer)
    if faults:
        raise RecipeError.of(faults, what="task")
    code: str | None = getattr(settings, "target_language", None)
    if code is None:
        forced = tokenizer.prefix[0] if len(tokenizer.prefix) == 1 else None
        return tokenizer, WrittenForm(tuple(tokenizer.prefix), tuple(tokenizer.suffix), forced=forced)
    pretrained = tokenizer.pretrained
    pretrained.tgt_lang = code
    pretrained.set_tgt_lang_special_tokens(code)
    written = Tokenizer(pretrained)
    pretrained.src_lang = settings.source_language  # which also sets the special tokens of sources again
    own = pretrained.convert_tokens_to_ids(code)
    rest = tuple(i for i in (*written.prefix, *written.suffix) if i != own)
    # mBART's decoder reads the language, which its labels have at their end; the others begin texts with it.
    if own in written.suffix and not getattr(pretrained, "legacy_behaviour", False):
        return Tokenizer(pretrained), WrittenForm((), rest, start=own)
    return Tokenizer(pretrained), WrittenForm((own,), rest, forced=own)
