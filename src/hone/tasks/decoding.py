"""How a task that writes text looks for it; no torch, so that a recipe is checked in a moment."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from hone.core.settings import Settings, unread
from hone.text.constraints import Constraint, constraint_of
from hone.text.words import contains_word

Text = Annotated[str, Field(min_length=1)]
V = TypeVar("V")


class DecodingSettings(Settings):
    """What is written of all that a model could write; under the key ``decoding`` of a task that writes.

    By default the likeliest token each time. ``num_beams`` above 1 is beam search, ``do_sample`` draws, and
    ``penalty_alpha`` with ``top_k`` is contrastive search; one of these at a time. Names and meanings are those of
    transformers' ``GenerationConfig``.

    Attributes:
        max_new_tokens: Most tokens of a text that is written, the one that ends it included; a text also ends where the
            model has no further positions.
        min_new_tokens: Tokens before which it may not end by itself.
        num_beams: Beginnings that beam search goes on with.
        length_penalty: Power of its number of tokens that a text's log-probability is divided by when texts are ranked;
            above 0 longer ones gain.
        early_stopping: When beam search ends: with True as soon as it has ``num_beams`` whole texts, with False when
            going on is not likely to find better ones, with ``never`` when it cannot.
        num_return_sequences: Texts for each prompt, best first: those that beam search found, or so many draws.
        do_sample: Draw each token by its probability.
        temperature: What the scores are divided by before drawing: below 1 likely tokens gain.
        top_k: Draw among so many of the likeliest tokens; in contrastive search: compare so many. None: among all.
        top_p: Draw among the likeliest tokens that together have this probability (Holtzman et al. 2020).
        min_p: Draw among the tokens that have this share of the likeliest one's probability (Nguyen et al. 2024).
        repetition_penalty: What the score of a token that stands before, in a prompt that is continued too, is divided
            by, or multiplied where it is below 0 (Keskar et al. 2019).
        no_repeat_ngram_size: No sequence of so many tokens stands twice; 0: any may.
        penalty_alpha: Contrastive search (Su et al. 2022): what being like a token before counts, beside a token's
            probability, which counts the rest to 1.
        regex: What the whole text has to be (`hone.text.constraints`); needs the extra ``constraints``.
        json_schema: Schema of the JSON text that is written; needs the same.
        stop_strings: The text ends before the first of these that it would have: letters, or a special token.
        required_words: What every text contains, as it stands here and not as part of a longer word (beam search).
        bad_words: What may not be written, in the tokens that the tokenizer makes of it, with or without a space before
            it; or a special token that ends no text.
        seed: Of what is drawn. Draws for a prompt depend on it and the prompt, not on what else is in the batch.
    """

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    min_new_tokens: Annotated[int, Field(ge=0)] = 0
    num_beams: Annotated[int, Field(ge=1)] = 1
    length_penalty: Annotated[float, Field(ge=-10, le=10)] = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: Annotated[int, Field(ge=1)] = 1
    do_sample: bool = False
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_k: Annotated[int, Field(ge=1)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    no_repeat_ngram_size: Annotated[int, Field(ge=0)] = 0
    penalty_alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    regex: Text | None = None
    json_schema: dict[str, Any] | None = None
    stop_strings: list[Text] = []
    required_words: list[Text] = []
    bad_words: list[Text] = []
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("regex")
    @classmethod
    def _regex(cls, value: str | None) -> str | None:
        return _allowing(value, constraint_of(regex=value, json_schema=None), what="a regular expression")

    @field_validator("json_schema")
    @classmethod
    def _schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return _allowing(value, constraint_of(regex=None, json_schema=value), what="a JSON schema")

    @model_validator(mode="after")
    def _consistent(self) -> DecodingSettings:
        wrong = [*self._searches(), *self._unused(), *self._beside_a_constraint()]
        if self.min_new_tokens > self.max_new_tokens:
            wrong.append(f"min_new_tokens ({self.min_new_tokens}) no more than max_new_tokens ({self.max_new_tokens})")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def search(self) -> Literal["greedy", "beam", "sample", "contrastive"]:
        """Which one it is."""
        if self.penalty_alpha is not None:
            return "contrastive"
        return "sample" if self.do_sample else "beam" if self.num_beams > 1 else "greedy"

    @property
    def constraint(self) -> Constraint | None:
        """What a whole text has to be, where it has to be something."""
        return constraint_of(regex=self.regex, json_schema=self.json_schema)

    def keeps(self, text: str) -> bool | None:
        """Whether a text is what the constraint, the required and the bad words want; None where there are none."""
        if self.constraint is None and not self.required_words and not self.bad_words:
            return None
        holds = self.constraint is None or self.constraint.holds(text)
        has = all(contains_word(text, word) for word in self.required_words)
        return holds and has and not any(contains_word(text, word) for word in self.bad_words)

    def _beside_a_constraint(self) -> list[str]:
        """Settings that a constraint leaves no room for: it alone says where a text ends and what stands in it."""
        both = sorted({*self.required_words} & {*self.bad_words})
        if self.constraint is None:
            return [f"{', '.join(map(repr, both))} in required_words or in bad_words, not in both"] if both else []
        names = ("min_new_tokens", "no_repeat_ngram_size", "stop_strings", "bad_words", "required_words")
        given = [name for name in names if getattr(self, name)]
        wrong = [f"no {', '.join(given)} beside a regex or a json_schema, which says all that"] if given else []
        if self.regex is not None and self.json_schema is not None:
            wrong.append("a regex or a json_schema, not both")
        return wrong

    def _searches(self) -> list[str]:
        """What is wrong with how the searches are asked for."""
        asked = {
            "num_beams above 1": self.num_beams > 1,
            "do_sample": self.do_sample,
            "penalty_alpha": self.penalty_alpha is not None,
        }
        names = [name for name, is_asked in asked.items() if is_asked]
        wrong = [f"one search, not {' and '.join(names)} together"] if len(names) > 1 else []
        if self.search == "contrastive" and (self.top_k is None or self.top_k < 2):
            wrong.append("top_k of 2 or more beside penalty_alpha: contrastive search compares so many tokens")
        if self.search in ("greedy", "contrastive") and self.num_return_sequences > 1:
            wrong.append(f"num_beams of {self.num_return_sequences} or more, or do_sample, for num_return_sequences")
        if self.search == "beam" and self.num_return_sequences > self.num_beams:
            wrong.append(f"num_return_sequences no more than num_beams ({self.num_beams})")
        return wrong

    def _unused(self) -> list[str]:
        """Settings that another search than the one asked for would read."""
        readers = {
            "do_sample": {"temperature", "top_p", "min_p", "seed"} if self.search != "sample" else set(),
            "do_sample or penalty_alpha": {"top_k"} if self.search in ("greedy", "beam") else set(),
            "num_beams above 1": {"early_stopping", "required_words"} if self.search != "beam" else set(),
        }
        return unread(self, readers)


def _allowing(value: V, constraint: Constraint | None, *, what: str) -> V:
    """``value``, which allows some text.

    Raises:
        ValueError: It cannot be read, or allows none.
        MissingExtra: What reads it is not installed.
    """
    fault = "" if constraint is None else constraint.fault()
    if fault:
        raise ValueError(f"{what} that can be kept to: {fault}")
    return value
