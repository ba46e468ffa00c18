"""A tokenizer as hone uses it: many texts at once, no hidden truncation, special tokens added by hone itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hone.core.errors import BundleError
from hone.core.lineage import canonical_json, digest_bytes
from hone.models.chat_marks import TEMPLATES
from hone.models.quiet import quiet_loading
from hone.models.spellings import Spellings, spellings_of


class Pieces(NamedTuple):
    """Token ids of a text, where each stands, in characters, end exclusive, and the number of its word, -1 of none."""

    ids: list[int]
    places: list[tuple[int, int]]
    words: list[int]


class Tokenizer:
    """A fast tokenizer with its special tokens taken apart.

    Attributes:
        prefix, suffix: Token ids before and after every row (for BERT ``[CLS]`` and ``[SEP]``).
        middle: Token ids between the two texts of a pair (``[SEP]``; for RoBERTa ``</s></s>``). None where no pair can
            be had: the tokenizer puts nothing between them, or makes a pair otherwise than of prefix, text, middle,
            text and suffix.
        types: Whether the second text of a pair, its suffix included, has token type 1; what is before it has 0.
        pad_id, unk_id, mask_id: Ids of padding, of the unknown token and of the mask token (None where the vocabulary
            has none).
        bos_id, eos_id: Ids of what stands before and after a text that is written; None where there is none.
        digest: sha256 of the tokenizer's serialized form, a chat template of its own, and the ids above, which stand in
            rows and which the base's configuration names.
        max_tokens: What the tokenizer's own configuration says a row may hold; None when it says nothing.
    """

    def __init__(self, pretrained: Any) -> None:
        self.pretrained = pretrained
        self._backend = pretrained.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        bare = self._backend.encode("a", add_special_tokens=False).ids
        whole = self._backend.encode("a", add_special_tokens=True).ids
        at = next(i for i in range(len(whole) - len(bare) + 1) if whole[i : i + len(bare)] == bare)
        self.prefix: list[int] = whole[:at]
        self.suffix: list[int] = whole[at + len(bare) :]
        self.middle, self.types = self._between()
        self._before_word = self._marks_words()
        self.unk_id: int | None = pretrained.unk_token_id
        self.mask_id: int | None = pretrained.mask_token_id
        self.bos_id: int | None = pretrained.bos_token_id
        self.eos_id: int | None = pretrained.eos_token_id
        self.pad_id: int = pretrained.pad_token_id if pretrained.pad_token_id is not None else 0
        own = pretrained.chat_template if pretrained.chat_template not in (None, *TEMPLATES) else ""
        said = canonical_json([self.bos_id, self.eos_id, self.mask_id, self._filler])
        self.digest = digest_bytes(self._backend.to_str().encode() + str(own).encode() + said)
        stated = getattr(pretrained, "model_max_length", None)
        self.max_tokens: int | None = int(stated) if stated is not None and stated < 1_000_000 else None

    def _between(self) -> tuple[list[int] | None, bool]:
        """``middle`` and ``types``, read off a pair that the backend made.

        A backend that was never told of pairs (a template for single texts alone) makes them without any special
        tokens, and others give their last token a type of its own (XLNet's): such rows would be no row of the base's.
        """
        first, second = (self._backend.encode(text, add_special_tokens=False).ids for text in ("a", "b"))
        pair = self._backend.encode("a", "b", add_special_tokens=True)
        before, after = [*self.prefix, *first], [*second, *self.suffix]
        begin = len(pair.ids) - len(after)  # of the second text
        middle = pair.ids[len(before) : begin]
        typed = pair.type_ids == [0] * begin + [1] * len(after)
        if not middle or pair.ids != [*before, *middle, *after] or (any(pair.type_ids) and not typed):
            return None, False
        return middle, typed

    def _marks_words(self) -> str:
        """What a word given alone needs before it to get the tokens it has inside a text: nothing, or a space.

        Byte-level tokenizers (RoBERTa's) mark the space before a word; without it words would run together.
        """
        inside = self._backend.encode("a a", add_special_tokens=False).ids
        alone = self._backend.encode(["a", "a"], is_pretokenized=True, add_special_tokens=False).ids
        return "" if alone == inside else " "

    @property
    def _filler(self) -> int:
        """What stands for a word without tokens."""
        return self.unk_id if self.unk_id is not None else self.pad_id

    @property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @cached_property
    def spellings(self) -> Spellings:
        """The bytes that each token adds to a text.

        Raises:
            BundleError: The decoder is of a kind that hone does not know so well.
        """
        return spellings_of(self._backend)

    def added_tokens(self) -> dict[int, Any]:
        """The tokens that stand beside the vocabulary, each a ``tokenizers.AddedToken``, by their ids."""
        return dict(self._backend.get_added_tokens_decoder())

    def special_tokens(self) -> dict[str, int]:
        """Ids of the special tokens, which `decode` leaves out, by what they are called."""
        return {token.content: id for id, token in self.added_tokens().items() if token.special}

    def vocabulary(self) -> list[str]:
        """The vocabulary's entries as they are written there, added tokens left out; in no order."""
        return list(self._backend.get_vocab(with_added_tokens=False))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return [row.ids for row in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of token ids, special tokens left out. Bytes that are no UTF-8, as a row that ends
        within a character has them, become the replacement character."""
        return list(self._backend.decode_batch([list(row) for row in rows], skip_special_tokens=True))

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Of each text: token ids without special tokens, and where each token stands, in characters, end exclusive."""
        encoded = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [(row.ids, row.offsets) for row in encoded]

    def encode_pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Of each text its tokens without special ones at its ends, where they stand, and of which words they are."""
        encoded = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [Pieces(row.ids, row.offsets, [-1 if w is None else w for w in row.word_ids]) for row in encoded]

    def words_of(self, ids: Sequence[int]) -> list[str]:
        """Tokens as the vocabulary writes them; empty where it has none of that id."""
        return [token or "" for token in self.pretrained.convert_ids_to_tokens(list(ids))]

    def encode_words(self, rows: Sequence[Sequence[str]]) -> list[tuple[list[int], list[int]]]:
        """Of each row of words: token ids, and for each word the index of its first one.

        A word that the tokenizer drops altogether (a control character, say) is given the unknown token, or where
        there is none the padding token, so that every word has at least one.
        """
        filler = self._filler
        encoded = self._backend.encode_batch(
            [[self._before_word + word for word in row] for row in rows],
            is_pretokenized=True,
            add_special_tokens=False,
        )
        out = []
        for row, encoding in zip(rows, encoded, strict=True):
            ids: list[int] = []
            first: list[int] = []
            for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
                while len(first) < word:  # words that gave no token
                    first.append(len(ids))
                    ids.append(filler)
                if word == len(first):
                    first.append(len(ids))
                ids.append(token)
            while len(first) < len(row):
                first.append(len(ids))
                ids.append(filler)
            out.append((ids, first))
        return out

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files into ``folder``.

        Raises:
            OSError: The disk is full, say.
        """
        try:
            self.pretrained.save_pretrained(folder)
        except Exception as error:
            if type(error) is Exception:  # all that the tokenizers package says of a file it cannot write
                raise OSError(str(error)) from error
            raise


def load_tokenizer(folder: Path) -> Tokenizer:
    """Open the fast tokenizer in ``folder``.

    Raises:
        BundleError: There is none, or only a slow one.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_loading():
            pretrained = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the parsers of a damaged file raise anything, bare exceptions too
        raise BundleError(f"no tokenizer can be opened in {folder}: {error}", code="base.no-tokenizer") from error
    if not getattr(pretrained, "is_fast", False):
        raise BundleError(
            f"the tokenizer in {folder} is a slow one",
            expected="a fast tokenizer (tokenizer.json)",
            code="base.no-tokenizer",
        )
    return Tokenizer(pretrained)
