"""``vocabulary``: drop the tokens that a domain's texts never use, exactly.

On the texts that are given, tokens and answers stay what they were. WordPiece takes the longest piece that its
vocabulary has, WordLevel a whole word, Unigram the likeliest split: taking pieces away that no split used changes none.
BPE keeps the merges that lead to the kept tokens, in their order; none of those that are gone ever applied.
"""

from __future__ import annotations

import copy
import itertools
import json
import string
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import pre_tokenizers
from torch import nn

from hone.compress.given_rows import EXAMPLES_AT_ONCE, given_rows, tokens_of
from hone.compress.int8 import require_float
from hone.compress.named_ids import ids_needed, renumber_ids
from hone.compress.settings import VocabularySettings
from hone.compress.start import Made, Start
from hone.core.errors import RecipeError
from hone.data.fields import TO_WRITE
from hone.data.turns import texts_in
from hone.models.model import Model, save_model
from hone.models.quiet import quiet_loading
from hone.models.shapes import FactoredEmbedding
from hone.models.tokenizer import Tokenizer
from hone.report.catalog import slice_name
from hone.tasks.fields import shape_of
from hone.tasks.make import make_task
from hone.tasks.protocol import Deciding, Task, Writing


def prune_vocabulary(settings: VocabularySettings, start: Start) -> Made:
    """Keep the tokens of every text of ``start.data``, special tokens, those of single bytes, and single characters
    where asked for.

    Raises:
        RecipeError: The tokenizer is of a kind whose vocabulary cannot be cut exactly.
    """
    require_float(start)
    tokenizer = start.task.tokenizer
    form = json.loads(tokenizer.pretrained.backend_tokenizer.to_str())
    pieces = _pieces(form)
    kept = _used(start) | {int(token["id"]) for token in form["added_tokens"]} | {tokenizer.pad_id}
    kept |= {tokenizer.unk_id} if tokenizer.unk_id is not None else set()
    for config in _configurations(start.model.backbone):
        kept |= ids_needed(config) & {*pieces.values()}
    if settings.characters:
        marked = form["model"].get("continuing_subword_prefix") or ""
        seen = set(string.printable).union(_characters(start), *(piece for piece, i in pieces.items() if i in kept))
        kept |= {i for piece, i in pieces.items() if piece.removeprefix(marked) in seen}
    kept |= {pieces[piece] for piece in _byte_pieces(form) if piece in pieces}
    if form["model"]["type"] == "BPE":
        kept |= _parts(form, pieces, kept)
    order = sorted(kept)
    renumbered = {old: new for new, old in enumerate(order)}
    model = start.model
    if isinstance(start.task, Writing):
        model = Model(_shrunk_writer(model.backbone, order, renumbered), model.head)
    else:
        _shrink_table(model.backbone, order, renumbered)
    start = replace(start, model=model)
    task = _task(start, _renumber(form, renumbered), renumbered)
    facts: dict[str, int | float | str] = {
        "tokens_before": tokenizer.vocab_size,
        "tokens_kept": len(order),
        "fitted_to": ", ".join(slice_name(name, start.run.language) for name in start.data),
    }
    writes = isinstance(task, Writing)  # what is written may have wanted a token that is gone
    return Made(model, task, facts, decides=True, exact=not writes)


def _tokens(tokenizer: Tokenizer, values: Sequence[Any]) -> list[list[int]]:
    """Token ids of texts, or of rows of words; whole, whatever a row of the model holds."""
    if values and not isinstance(values[0], str):
        return [ids for ids, _ in tokenizer.encode_words(values)]
    return tokenizer.encode(values)


def _parts_of(start: Start) -> Iterator[Sequence[Any]]:
    """The inputs of all data, some thousand at a time, both texts of a pair; and the texts to write."""
    before = getattr(start.task.settings, "instruction", "")
    for dataset in start.data.values():
        for at in range(0, len(dataset), EXAMPLES_AT_ONCE):
            columns = dataset.slice(at, at + EXAMPLES_AT_ONCE)
            fields = shape_of(start.task, dataset.columns).fields
            texts = [field for field in fields if field.kind in ("text", "tokens", "texts", *TO_WRITE)]
            for field in texts:
                values = columns.get(field.name, [])
                if field.kind in ("references", "answered"):
                    values = list(itertools.chain.from_iterable(map(texts_in, values)))
                yield [before + text for text in values] if before and field.kind == "text" else values


def _used(start: Start) -> set[int]:
    """Ids of every token of every text, whatever a row holds of it; and of all that rows hold besides: special tokens,
    marks about spans and before turns, what is read before a text."""
    tokenizer = start.task.tokenizer
    used = {*tokenizer.prefix, *(tokenizer.middle or ()), *tokenizer.suffix}
    for values in _parts_of(start):
        used.update(*_tokens(tokenizer, values))
    for rows in given_rows(start.task, start.data):
        for column in tokens_of(rows):
            used.update(np.unique(column.flatten().to_numpy()).tolist())
    return used


def _characters(start: Start) -> set[str]:
    found: set[str] = set()
    for values in _parts_of(start):
        for value in values:
            found.update(value if isinstance(value, str) else "".join(value))
    return found | {character.lower() for character in found}


def _byte_pieces(form: Mapping[str, Any]) -> set[str]:
    """Names of the pieces that are one byte each, which spell out what no other piece does; none where the tokenizer
    takes texts to be characters."""
    if form["model"].get("byte_fallback"):
        return {f"<0x{byte:02X}>" for byte in range(256)}
    steps = json.dumps([form.get("normalizer"), form.get("pre_tokenizer")])
    return set(pre_tokenizers.ByteLevel.alphabet()) if '"ByteLevel"' in steps else set()


def _pieces(form: Mapping[str, Any]) -> dict[str, int]:
    """Token -> id of the model's own vocabulary."""
    kind, vocabulary = form["model"]["type"], form["model"]["vocab"]
    if kind in ("WordPiece", "WordLevel", "BPE"):
        return {str(piece): int(i) for piece, i in vocabulary.items()}
    if kind == "Unigram":
        return {str(piece): i for i, (piece, _) in enumerate(vocabulary)}
    raise RecipeError(
        f"a tokenizer of kind {kind}",
        expected="WordPiece, WordLevel, Unigram or BPE",
        fix="Compress this bundle by another method.",
        code="compress.tokenizer",
    )


def _parts(form: Mapping[str, Any], pieces: Mapping[str, int], kept: Iterable[int]) -> set[int]:
    """Of a BPE vocabulary: whatever merging makes on its way to the kept tokens, their characters included; and of
    ``form`` only the merges that lead there."""
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in form["model"]["merges"]]
    rank = {merge: i for i, merge in enumerate(merges)}
    names = {i: piece for piece, i in pieces.items()}
    needed = set[str]()
    used: set[tuple[str, ...]] = set()
    for i in kept:
        symbols = list(names.get(i, ""))
        needed.update(symbols)
        while True:
            pairs = [(rank[pair], at) for at, pair in enumerate(itertools.pairwise(symbols)) if pair in rank]
            if not pairs:
                break
            _, at = min(pairs)
            used.add((symbols[at], symbols[at + 1]))
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
            needed.add(symbols[at])
    form["model"]["merges"] = [list(merge) for merge in merges if merge in used]
    return {pieces[piece] for piece in needed if piece in pieces}


def _configurations(backbone: Any) -> list[Any]:
    """What names token ids of a model: its configuration, and of one that writes how it writes."""
    own = getattr(backbone, "generation_config", None)
    return [backbone.config] if own is None else [backbone.config, own]


def _shrunk_writer(backbone: Any, order: list[int], renumbered: Mapping[int, int]) -> Any:
    """A model that writes with the rows ``order`` of its embeddings and of what scores them, its ids renumbered."""
    config, tokens = copy.deepcopy(backbone.config), backbone.config.vocab_size
    config.vocab_size = len(order)
    read, said = backbone.get_input_embeddings(), backbone.get_output_embeddings()
    parts = (read.weight, said.weight, getattr(said, "bias", None))
    of_tokens = {part.data_ptr() for part in parts if part is not None}
    state = {
        name: value[torch.tensor(order)] if value.data_ptr() in of_tokens else value
        for name, value in backbone.state_dict().items()
    }
    for name, value in state.items():
        if name == "final_logits_bias" and value.shape[1] == tokens:
            state[name] = value[:, torch.tensor(order)]
    generation = copy.deepcopy(backbone.generation_config)
    for naming in (config, generation):
        renumber_ids(naming, renumbered)
    with quiet_loading():
        made = type(backbone)(config)
    made.load_state_dict(state)
    made.generation_config = generation
    return made


def _shrink_table(backbone: Any, order: list[int], renumbered: Mapping[int, int]) -> None:
    """Keep the rows ``order`` of the word embeddings, and renumber the ids that the configuration names."""
    table = backbone.get_input_embeddings()
    config = backbone.config
    padding = renumbered.get(table.padding_idx) if table.padding_idx is not None else None
    factored = isinstance(table, FactoredEmbedding)
    rows = (table.first if factored else table).weight.detach()[torch.tensor(order)].clone()
    shrunk = nn.Embedding(len(order), rows.shape[1], padding_idx=padding, _weight=rows)
    backbone.set_input_embeddings(FactoredEmbedding(shrunk, table.second) if factored else shrunk)
    config.vocab_size = len(order)
    renumber_ids(config, renumbered)


def _renumber(form: dict[str, Any], renumbered: Mapping[int, int]) -> dict[str, Any]:
    """A tokenizer's serialized form with the kept ids alone, under their new numbers."""
    model = form["model"]
    if model["type"] == "Unigram":
        model["vocab"] = [entry for i, entry in enumerate(model["vocab"]) if i in renumbered]
        model["unk_id"] = renumbered.get(model["unk_id"])
    else:
        model["vocab"] = {piece: renumbered[i] for piece, i in model["vocab"].items() if i in renumbered}
    for token in form["added_tokens"]:
        token["id"] = renumbered[token["id"]]
    if form.get("padding"):
        form["padding"]["pad_id"] = renumbered[form["padding"]["pad_id"]]
    _renumber_processor(form.get("post_processor"), renumbered)
    return form


def _renumber_processor(processor: Any, renumbered: Mapping[int, int]) -> None:
    """The special tokens that a post-processor adds, wherever they stand in it."""
    if processor is None:
        return
    for inner in processor.get("processors", ()):
        _renumber_processor(inner, renumbered)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [renumbered[i] for i in token["ids"]]
    for name in ("sep", "cls"):
        if name in processor:
            processor[name] = [processor[name][0], renumbered[processor[name][1]]]


def _task(start: Start, form: Mapping[str, Any], renumbered: Mapping[int, int]) -> Task:
    """The task over the model's folder with the tokenizer ``form``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start.task.tokenizer.save(folder)
        for vocabulary in ("vocab.txt", "vocab.json", "merges.txt"):  # of another size; tokenizer.json is what is read
            (folder / vocabulary).unlink(missing_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(form, ensure_ascii=False), encoding="utf-8")
        _drop_ids(folder / "tokenizer_config.json")
        save_model(start.model, folder)
        task = make_task(start.task.name, start.task.settings, labels=start.task.labels, folder=folder)
    _require_same(start.task.tokenizer, task.tokenizer, start)
    _require_same_rows(task, start, renumbered)
    if isinstance(task, Deciding) and isinstance(start.task, Deciding):
        return task.decided(start.task.decision)
    return task


def _drop_ids(file: Path) -> None:
    """Take the added tokens' old ids out of a tokenizer's configuration; tokenizer.json has the new ones."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("added_tokens_decoder", None)
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2), encoding="utf-8")


def _require_same(before: Tokenizer, after: Tokenizer, start: Start) -> None:
    """Raise unless the new tokenizer splits the given texts as the old one did: the promise of this method."""
    for values in _parts_of(start):
        old = [before.pretrained.convert_ids_to_tokens(row) for row in _tokens(before, values)]
        new = [after.pretrained.convert_ids_to_tokens(row) for row in _tokens(after, values)]
        if old != new:
            raise _differs(repr(next(value for value, *two in zip(values, old, new, strict=True) if two[0] != two[1])))


def _require_same_rows(after: Task, start: Start, renumbered: Mapping[int, int]) -> None:
    """The same of all that rows hold besides."""
    new_id = np.full(max(renumbered) + 1, -1, dtype=np.int64)
    new_id[list(renumbered)] = list(renumbered.values())
    both = zip(given_rows(start.task, start.data), given_rows(after, start.data), strict=True)
    for before, now in both:
        for one, other in zip(tokens_of(before), tokens_of(now), strict=True):
            same = one.value_lengths().equals(other.value_lengths())
            if not same or not np.array_equal(new_id[one.flatten().to_numpy()], other.flatten().to_numpy()):
                rows = zip(one.to_pylist(), other.to_pylist(), strict=True)
                odd = next(old for old, new in rows if new_id[old].tolist() != new)
                raise _differs(repr(start.task.tokenizer.decode([odd])[0]))


def _differs(text: str) -> RecipeError:
    return RecipeError(
        f"the tokenizer without its unused tokens splits {text:.60} otherwise",
        fix="Please report it with `hone env`; compress this bundle by another method meanwhile.",
        code="compress.vocabulary-differs",
    )
