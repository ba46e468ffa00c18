"""A base made from nothing: a tokenizer learned from texts, and a model of random weights over it."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from hone.core.errors import BundleError, HoneError
from hone.core.lineage import digest_value
from hone.models.architectures import ARCHITECTURES, Architecture, BertSettings, NewBase
from hone.models.base import Base, digest_base
from hone.models.learned_tokenizer import learn_tokenizer
from hone.models.quiet import quiet_loading
from hone.models.tokenizer import Tokenizer

VERSION = 1  # raised whenever another base is made of the same
DIGEST = "digest"


def make_base(new: NewBase, texts: Callable[[], Iterable[str]], *, source: str, seed: int, cache: Path) -> Base:
    """The base that ``new`` describes; from the cache where it has been made before.

    Args:
        texts: What the tokenizer is learned from.
        source: Digest of those texts.
        seed: Of the weights; torch's global generator is left as it was.
        cache: Folder that it is kept in.

    Raises:
        HoneError: The folder cannot be written to.
    """
    made = {**new.decided(), "seed": seed, "texts": source}
    folder = cache / digest_value({**made, "version": VERSION})
    if not _whole(folder):
        try:
            _write(new, texts(), seed=seed, folder=folder)
        except OSError as error:
            raise HoneError(
                f"the cache folder {cache} cannot be written to: {error.strerror or error}",
                fix="Set HONE_CACHE to a folder that can be.",
                code="cache.not-writable",
            ) from error
    return Base(f"new {new.architecture}", folder, digest_base(folder), made=made)


def _whole(folder: Path) -> bool:
    """Whether all of a base lies there as it was written."""
    try:
        return (folder / DIGEST).read_text(encoding="utf-8") == digest_base(folder)
    except (OSError, UnicodeDecodeError, BundleError):
        return False


def _write(new: NewBase, texts: Iterable[str], *, seed: int, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".new.", dir=folder.parent))
    try:
        write_base(new, texts, seed=seed, folder=partial)
        (partial / DIGEST).write_text(digest_base(partial), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one
        try:
            os.replace(partial, folder)
        except OSError:
            if not _whole(folder):  # else another process was first, with the same
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_base(new: NewBase, texts: Iterable[str], *, seed: int, folder: Path) -> None:
    """Write the files of such a base into ``folder``, in the Hugging Face layout."""
    architecture: Architecture = ARCHITECTURES[new.architecture]
    settings: Any = new.settings
    tokenizer = Tokenizer(learn_tokenizer(settings.tokenizer, texts, max_tokens=settings.max_length))
    config = _named(architecture.config)(settings, tokenizer.vocab_size)
    config.pad_token_id = tokenizer.pad_id
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        _model(architecture, config).save_pretrained(folder)
        tokenizer.save(folder)


def _model(architecture: Architecture, config: Any) -> Any:
    from transformers import AutoModel

    return _named(architecture.net)(config) if architecture.net else AutoModel.from_config(config)


def bert_config(settings: BertSettings, vocab_size: int) -> Any:
    """transformers' configuration of a BERT of these sizes."""
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.inner or 4 * settings.hidden,
        max_position_embeddings=settings.max_length,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )


def _named(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
