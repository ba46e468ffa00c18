"""A base made from nothing: a tokenizer learned from texts, and a model of random weights over it."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from hone.core.disk import not_writable
from hone.core.errors import BundleError
from hone.core.lineage import digest_value
from hone.models.architectures import ARCHITECTURES, Architecture, NewBase
from hone.models.base import Base, digest_base
from hone.models.cost import Size, size_told
from hone.models.divided import ways_of
from hone.models.learned_tokenizer import learn_tokenizer
from hone.models.nets import read_config
from hone.models.quiet import quiet_loading
from hone.models.tokenizer import Tokenizer

VERSION = 4  # raised whenever another base is made of the same
DIGEST = "digest"
CLASSES = {
    "encoder": "AutoModel",
    "decoder": "AutoModelForCausalLM",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}


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
    made_once(folder, lambda place: write_base(new, texts(), seed=seed, folder=place))
    return Base(f"new {new.architecture}", folder, digest_base(folder), made=made)


def made_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` fill ``folder`` with a base, unless one lies there whole. What it cannot read it tells by errors
    of its own: an OSError is taken for one of writing.

    Raises:
        HoneError: It cannot be written to, or is full; or what ``write`` raises.
    """
    if _whole(folder):
        return
    try:
        _write(write, folder)
    except (OSError, SafetensorError) as error:
        raise not_writable(folder.parent, error) from error


def _whole(folder: Path) -> bool:
    """Whether all of a base lies there as it was written."""
    try:
        return (folder / DIGEST).read_text(encoding="utf-8") == digest_base(folder)
    except (OSError, UnicodeDecodeError, BundleError):
        return False


def _write(write: Callable[[Path], None], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".new.", dir=folder.parent))
    try:
        write(partial)
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
    model, tokenizer = new_model(new, texts, seed=seed)
    with quiet_loading():
        model.save_pretrained(folder)
        tokenizer.save(folder)


def new_model(new: NewBase, texts: Iterable[str], *, seed: int) -> tuple[Any, Tokenizer]:
    """Such a base in memory: the model, with its head over the vocabulary where it writes, and its tokenizer."""
    architecture: Architecture = ARCHITECTURES[new.architecture]
    settings: Any = new.settings
    learned = learn_tokenizer(settings.tokenizer, texts, max_tokens=settings.max_length, stack=architecture.stack)
    tokenizer = Tokenizer(learned)
    config = _named(architecture.config)(settings, tokenizer.vocab_size)
    config.pad_token_id = tokenizer.pad_id
    if architecture.stack != "encoder":
        config.bos_token_id, config.eos_token_id = tokenizer.bos_id, tokenizer.eos_id
    if architecture.stack == "encoder-decoder":
        config.decoder_start_token_id = tokenizer.bos_id
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        model = _made(architecture, config)
        if architecture.begin:
            _named(architecture.begin)(model, settings)
        return model, tokenizer


def outlined(new: NewBase) -> Size:
    """The sizes of such a base with as many tokens as its tokenizer may learn, of which nothing is made."""
    architecture, settings = ARCHITECTURES[new.architecture], new.settings
    config = _named(architecture.config)(settings, settings.tokenizer.vocab_size)
    return _outline(lambda: _made(architecture, config))


def outlined_config(folder: Path) -> Size:
    """The sizes of the model that ``config.json`` in ``folder`` describes, whose weights need not be there."""
    config = read_config(folder)
    stacks = {"CausalLM": "decoder", "LMHeadModel": "decoder", "ForConditionalGeneration": "encoder-decoder"}
    named = "".join(config.architectures or ())
    stack = next((stack for end, stack in stacks.items() if named.endswith(end)), "encoder")
    return _outline(lambda: getattr(transformers, CLASSES[stack]).from_config(config))


def _outline(make: Callable[[], Any]) -> Size:
    with torch.device("meta"), quiet_loading():
        model = make()
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    size = size_told({**model.config.to_dict(), "architectures": [type(model).__name__]}, shapes)
    return replace(size, ways=ways_of(model.config))


def _made(architecture: Architecture, config: Any) -> Any:
    make = (
        _named(architecture.net) if architecture.net else getattr(transformers, CLASSES[architecture.stack]).from_config
    )
    return make(config)


def _named(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
