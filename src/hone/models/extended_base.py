"""A base whose vocabulary is extended by the words of a domain: `extend_base`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hone.core.errors import RecipeError
from hone.core.lineage import digest_value
from hone.models.architectures import ExtensionSettings
from hone.models.base import Base, digest_base
from hone.models.learned_tokenizer import count_words, join_further
from hone.models.new_base import made_once
from hone.models.plain_base import plain_config, plain_model
from hone.models.quiet import quiet_loading
from hone.models.tokenizer import Tokenizer, load_tokenizer

VERSION = 3  # raised whenever another base is made of the same
Splits = dict[str, list[str]]  # new token -> the tokens that it was before


def extend_base(base: Base, texts: Iterable[str], *, tokens: int, least: int, folder: Path) -> int:
    """Write into ``folder`` the base with at most ``tokens`` more entries in its vocabulary; gives how many.

    Of a WordPiece vocabulary they are the words of the texts that save the most tokens; of a byte-level or other BPE
    what merging goes on to make of its tokens, every new merge after all old ones. So a text in which no new token
    occurs has the tokens that it had. A new token's rows, of the embeddings and of the output (which are the same where
    the base ties them), begin as the mean of those of the tokens it was before (Hewitt 2021; Yao et al. 2021).

    Args:
        least: How often a new token occurs in the texts at least.

    Raises:
        RecipeError: The base's tokenizer is of another kind, or transformers does not open the base.
        BundleError: It cannot be opened.
    """
    plain_config(base, what="extended")
    tokenizer = load_tokenizer(base.folder)
    form = json.loads(tokenizer.pretrained.backend_tokenizer.to_str())
    words = count_words(tokenizer.pretrained.backend_tokenizer, texts)
    kind = form["model"]["type"]
    if kind == "WordPiece":
        longest = form["model"]["max_input_chars_per_word"]  # a longer one is unknown, whatever is in the vocabulary
        known = {word: count for word, count in words.items() if len(word) <= longest}
        splits = _whole_words(tokenizer, known, most=tokens, least=least)
    elif kind == "BPE":
        splits = _merged(form, tokenizer, words, most=tokens, least=least)
    else:
        raise RecipeError(
            f"a base whose tokenizer is of the kind {kind}",
            expected="WordPiece or BPE",
            fix="Leave its vocabulary as it is, or begin from nothing: base: {architecture: ...}.",
            code="base.vocabulary-kind",
        )
    first = tokenizer.vocab_size
    old = dict(form["model"]["vocab"])
    form["model"]["vocab"].update({token: first + i for i, token in enumerate(splits)})
    rows = [[old[part] if part in old else _unknown(tokenizer) for part in parts] for parts in splits.values()]
    _write_model(base, rows, size=first, folder=folder)
    _write_tokenizer(tokenizer, form, folder)
    return len(splits)


def _unknown(tokenizer: Tokenizer) -> int:
    return tokenizer.unk_id if tokenizer.unk_id is not None else tokenizer.pad_id


def _whole_words(tokenizer: Tokenizer, words: Mapping[str, int], *, most: int, least: int) -> Splits:
    """The words that take the most tokens more than the one they will be, of equals the first by its letters; unknown
    ones before, each as good as many tokens."""
    model = tokenizer.pretrained.backend_tokenizer.model
    frequent = sorted(word for word, count in words.items() if count >= least)
    split = {word: [token.value for token in model.tokenize(word)] for word in frequent}
    unknown = tokenizer.pretrained.unk_token
    saved = {word: words[word] * (len(word) if unknown in parts else len(parts) - 1)
             for word, parts in split.items() if unknown in parts or len(parts) > 1}  # fmt: skip
    best = sorted(saved, key=lambda word: (-saved[word], word))[:most]
    return {word: split[word] for word in best}


def _merged(form: dict[str, Any], tokenizer: Tokenizer, words: Mapping[str, int], *, most: int, least: int) -> Splits:
    """What further merges make; they are added to ``form``."""
    model = tokenizer.pretrained.backend_tokenizer.model
    spelled = [([token.value for token in model.tokenize(word)], count) for word, count in sorted(words.items())]
    known, splits = set(form["model"]["vocab"]), Splits()
    merges: list[Any] = form["model"]["merges"]
    for (left, right), part in join_further(spelled, least=least, without=known):
        if len(splits) == most:
            break
        splits[part] = [*splits.get(left, [left]), *splits.get(right, [right])]
        merges.append(f"{left} {right}" if merges and isinstance(merges[0], str) else [left, right])
    return splits


def _write_model(base: Base, rows: Sequence[Sequence[int]], *, size: int, folder: Path) -> None:
    """The base's model with rows for the tokens from ``size`` on, each the mean of the old rows ``rows``."""
    model = plain_model(base)
    with quiet_loading():
        model.resize_token_embeddings(max(model.config.vocab_size, size + len(rows)), mean_resizing=False)
        output = model.get_output_embeddings()
        tables = {id(table): table for table in (
            model.get_input_embeddings().weight,
            getattr(output, "weight", None),
            getattr(output, "bias", None),
        ) if table is not None}  # fmt: skip
        with torch.no_grad():
            for table in tables.values():
                for token, parts in enumerate(rows, start=size):
                    table[token] = table[list(parts)].mean(dim=0)
        model.save_pretrained(folder)


def _write_tokenizer(tokenizer: Tokenizer, form: Mapping[str, Any], folder: Path) -> None:
    tokenizer.save(folder)
    for vocabulary in ("vocab.txt", "vocab.json", "merges.txt"):  # the old ones; tokenizer.json is what is read
        (folder / vocabulary).unlink(missing_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(form, ensure_ascii=False), encoding="utf-8")


def extended(
    base: Base, settings: ExtensionSettings, texts: Callable[[], Iterable[str]], *, source: str, cache: Path
) -> Base:
    """The base that `extend_base` makes; from the cache where it has been made before.

    Args:
        source: Digest of the texts.
        cache: Folder that it is kept in.

    Raises:
        HoneError: As `extend_base`, or the cache cannot be written to.
    """
    made = {"extends": base.digest, **settings.model_dump(mode="json", exclude={"extends"}), "texts": source}
    folder = cache / digest_value({**made, "version": VERSION})

    def write(place: Path) -> None:
        extend_base(base, texts(), tokens=settings.new_tokens, least=settings.min_frequency, folder=place)

    made_once(folder, write)
    return Base(f"{base.name} extended", folder, digest_base(folder), made=made)


def tokens_added(old: Base, new: Base) -> int:
    """How many entries more the vocabulary of ``new`` has."""
    return load_tokenizer(new.folder).vocab_size - load_tokenizer(old.folder).vocab_size
