"""`Model`: a backbone with heads on it, composed; built from a base, loaded from a folder, saved to one."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from hone.core.errors import BundleError, RecipeError
from hone.core.settings import Settings
from hone.models.addressed import addressed, by_head
from hone.models.architectures import ARCHITECTURES, Architecture, Stack
from hone.models.body import body_of
from hone.models.dropout import set_dropout
from hone.models.encoder import FAMILIES, Encoder, Reads, quicken, slacken
from hone.models.files import own_file, read_own, write_own
from hone.models.grouped import Bits
from hone.models.heads import HEADS, Gives, Head, HeadSpec, Outputs
from hone.models.nets import NetConfig, class_for, read_config
from hone.models.noise import Noise
from hone.models.quiet import quiet_loading
from hone.models.token_scores import mean_scores, token_scores

HEAD_FILE = "head.safetensors"
AFTER_PADDING = ("altclip", "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm",
                 "mluke", "mpnet", "roberta", "xlm-roberta", "xmod")  # fmt: skip
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)  # what libraries raise for damaged files


class Model(nn.Module):
    """A backbone and a head, or several.

    ``forward(batch)`` takes ``input_ids`` and ``attention_mask``, int64 [batch, tokens], and whatever the head reads;
    it returns the head's named scores. ``noise`` draws the masks of the backbone's dropout. A batch may hold
    ``lower_states`` (see `lower_states`) in place of what the frozen layers would give, and ``token_type_ids``, int64
    [batch, tokens], which a backbone that does not tell types apart is not handed. A batch for several heads holds a
    batch for each (see `hone.models.addressed`), and so do the scores.

    Attributes:
        others: Heads beside the first one, by name.
        begun: Names of the weights of the backbone that its folder does not have: they are drawn, or tied to others.
        types: Whether the backbone tells token types apart.
        lean: Whether nothing is kept of weights in another form, so that other models can share them.
        tuning: By which adapter method it is tuned, and that method's decided settings; None: no adapter is in it.
        bits: That its base is held in (see `hone.models.adapters.held_base`); None: in float32.
    """

    token_scores: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        *,
        others: Mapping[str, Head] | None = None,
        begun: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.others = nn.ModuleDict(others)
        self.begun = frozenset(begun)
        self.types = tells_types(backbone)
        self.noise = Noise()
        self.lean = False
        self.tuning: tuple[str, Settings] | None = None
        self.bits: Bits | None = None
        self.before: Any = None  # see `hone.models.adapters.prompts`
        reads: Reads = "first" if all(one.reads == "first" for one in self._heads().values()) else "tokens"
        self._encoder = (quicken(backbone, reads=reads, noise=self.noise),)  # registered in the backbone already
        self.register_buffer("token_scores", None, persistent=False)

    @property
    def encoder(self) -> Encoder | None:
        """The backbone's encoder where it is ours."""
        return self._encoder[0]

    def _heads(self) -> dict[str, Any]:
        return {"": self.head, **dict(self.others.items())}

    def forward(self, batch: Mapping[str, Tensor]) -> Outputs:
        if not self.others:
            return self._scores(self.head, batch)
        heads, found = self._heads(), Outputs()
        for name, own in by_head(batch).items():
            found |= addressed(self._scores(heads[name], own), name)
        return found

    def _scores(self, head: Any, batch: Mapping[str, Tensor]) -> Outputs:
        typed = self._typed(batch)
        if self.token_scores is not None and not typed:  # the table has what tokens of type 0 add to the scores
            return {"logits": mean_scores(self.token_scores, head, batch)}
        if self.before is not None:
            told = self.before.scores(self, head, batch) if head.sparse else self.before.states(self, batch)
            answered: Outputs = head(told, batch)
            return answered
        if self.encoder is not None:
            self.encoder.given = batch.get("lower_states")
            if head.gives == "hidden" and not head.sparse and self.encoder.takes(self.embeddings.LayerNorm.weight):
                embedded = self.embeddings(input_ids=batch["input_ids"], **typed)
                found: Outputs = head(self.encoder.states(embedded, batch["attention_mask"]), batch)
                return found
        given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], **typed}
        if head.stacked:
            given = {name: value.unsqueeze(0) for name, value in given.items()}
        if head.sparse:
            asked: Outputs = head(head.scores(self.backbone, given, batch), batch)
            return asked
        out = (self.backbone if head.gives == "logits" else self.body)(**given)
        states = out.logits if head.gives == "logits" else out.last_hidden_state
        scores: Outputs = head(states, batch)
        return scores

    def _typed(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The entry ``token_type_ids`` of a batch that has it, where the backbone tells types apart. Not every base
        that a BERT tokenizer stands on does: DistilBERT takes none, RoBERTa's table has one row."""
        return {name: batch[name] for name in ("token_type_ids",) if name in batch and self.types}

    def fix(self, *, keep: Literal["all", "nothing"] = "all") -> Model:
        """Promise that no weight changes any more: what answering makes of them is then made once.

        Args:
            keep: ``nothing`` keeps no copy of a weight in another form, where many models share the weights.
        """
        self.requires_grad_(False)
        if keep == "nothing":
            self.lean = True
            if self.encoder is not None:
                self.encoder.lean = True
            return self
        if self.encoder is not None:
            self.encoder.fixed = True
            if not len(self.encoder.layer):
                self.token_scores = token_scores(self.embeddings, self.head)
        return self

    @contextmanager
    def module_by_module(self) -> Iterator[None]:
        """Within it transformers' own layers run, so that hooks on their parts are called."""
        with self.encoder.aside() if self.encoder is not None else nullcontext():
            yield

    def traceable(self) -> Model:
        """A copy on the CPU, for prediction, that a tracer can follow through any batch: its encoder is transformers'
        own, for ours lays a batch out by the tokens it finds there, and attention is spelled out."""
        copied = copy.deepcopy(self).to("cpu").eval()
        slacken(copied.backbone)
        copied._encoder = (None,)
        backbone: Any = copied.backbone
        backbone.set_attn_implementation("eager")
        return copied

    def shed(self) -> None:
        """Go on with the first head alone, and without a head of transformers' own that was another's."""
        self.others = nn.ModuleDict()
        if self.head.gives == "hidden":
            self.backbone = self.body

    def freeze(self, layers: int) -> None:
        """Let the embeddings and the first ``layers`` layers learn nothing, and run without dropout.

        Raises:
            RecipeError: The backbone is none whose layers are known here.
        """
        if self.encoder is None:
            kind = getattr(self.backbone.config, "model_type", "?")
            raise RecipeError(
                f"freeze_layers on a base of type {kind!r}",
                expected=f"one of {', '.join(sorted(FAMILIES))}, with GELU",
                code="recipe.freeze-layers",
            )
        self.encoder.freeze(layers)
        embeddings = self.embeddings
        embeddings.requires_grad_(False)
        embeddings.dropout.p = 0.0

    def lower_states(self, batch: Mapping[str, Tensor]) -> Tensor:
        """States after the frozen layers, float32 [n, width]: the batch's tokens row after row, without padding."""
        assert self.encoder is not None
        with torch.no_grad():
            embedded: Tensor = self.embeddings(input_ids=batch["input_ids"], **self._typed(batch))
        return self.encoder.lower(embedded, batch["attention_mask"])

    @property
    def body(self) -> Any:
        """What of the backbone gives states: all of it, or what is under a head of transformers' own."""
        return body_of(self.backbone)

    @property
    def embeddings(self) -> Any:
        """The backbone's embeddings module: words, positions, token types, their norm."""
        return self.body.embeddings


def own_parts(model: Model) -> dict[str, nn.Module]:
    """Modules of a head of transformers' own by their names in the backbone, the pooler below it among them; none
    where the head is hone's, or was trained with the base, as one that writes."""
    backbone: Any = model.backbone
    if model.head.gives != "logits" or model.head.writes:
        return {}
    body_name = backbone.base_model_prefix
    parts = {name: child for name, child in backbone.named_children() if name != body_name}
    pooler = getattr(getattr(backbone, body_name), "pooler", None)
    if pooler is not None:
        parts[f"{body_name}.pooler"] = pooler
    return {name: part for name, part in parts.items() if any(True for _ in part.parameters())}


def position_limit(config: Any) -> int:
    """Most positions a backbone with this configuration reads. Of `AFTER_PADDING` two stand for none."""
    limit = int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or 512)
    return limit - 2 if config.model_type.startswith(AFTER_PADDING) else limit


def stack_of(config: Any) -> Stack:
    """What a model of this configuration is; one that may be told to be either is an encoder."""
    if isinstance(config, NetConfig):
        architecture: Architecture = ARCHITECTURES[config.architecture]
        return architecture.stack
    if getattr(config, "is_encoder_decoder", False):
        return "encoder-decoder"
    kind = config.model_type
    writes = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "decoder" if writes else "encoder"


def tells_types(backbone: Any) -> bool:
    """Whether a backbone tells token types apart: it takes them, and has more than one. A configuration alone may have
    their number from the model it was distilled from."""
    takes = "token_type_ids" in inspect.signature(backbone.forward).parameters
    return takes and (getattr(backbone.config, "type_vocab_size", None) or 0) > 1


def build_model(
    folder: Path,
    spec: HeadSpec,
    *,
    dropout: float | None = None,
    head_from: Path | None = None,
    others: Mapping[str, HeadSpec] | None = None,
) -> Model:
    """Compose a model from the backbone in ``folder`` and a head, or several.

    Args:
        folder: A base model or a bundle, Hugging Face layout, safetensors, or with a weights file of hone's own.
        spec: The head. All that are of transformers' own, here and among ``others``, are of one class.
        others: More heads by name, newly initialized.
        dropout: Dropout everywhere in place of the configuration's own; None leaves that.
        head_from: File the head's weights are read from; None: newly initialized, from torch's global generator.

    Raises:
        BundleError: The folder cannot be opened, weights are missing in it or have other shapes, or the head
            file does not fit the head.
    """
    every = (spec, *(others or {}).values())
    carrier = next((one for one in every if HEADS[one.kind].gives == "logits"), spec)  # whose class the backbone has
    kind: type[Head] = HEADS[carrier.kind]
    own = kind.gives == "logits"
    try:
        with quiet_loading():
            config = read_config(folder)
            auto_class = class_for(config, kind.auto_class)
            _configure(config, carrier, dropout=dropout, own=own)
            made = own and (head_from is None or carrier is not spec)
            file, new_head = own_file(folder), made and not kind.writes
            read = _read_plain if file is None else read_own
            backbone, wanting = read(file or folder, config, auto_class, new_head=new_head)
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    _require_loaded(folder, backbone, wanting, gives=kind.gives, new_head=new_head)
    if not own and getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None  # ours reads token states; an unused pooler would be trained weights that do nothing
    head_dropout = float(getattr(config, "hidden_dropout_prob", 0.1)) if dropout is None else dropout
    make = partial(_new_head, backbone=backbone, width=int(config.hidden_size), dropout=head_dropout)
    head = make(spec)
    head.adjust(backbone)
    if head_from is not None and any(True for _ in head.parameters()):
        _load_head(head, head_from)
    return Model(backbone, head, others={name: make(one) for name, one in (others or {}).items()}, begun=wanting)


def _new_head(spec: HeadSpec, *, backbone: Any, width: int, dropout: float) -> Head:
    kind: type[Head] = HEADS[spec.kind]
    tied = {"embedded": int(backbone.get_input_embeddings().weight.shape[1])} if kind.tied else {}
    return kind(spec.labels, width=width, dropout=dropout, **tied, **spec.settings)


def _read_plain(folder: Path, config: Any, auto_class: Any, *, new_head: bool) -> tuple[Any, set[str]]:
    """The backbone that transformers reads from ``folder``, and the names of the weights that it made up."""
    backbone, found = auto_class.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=new_head,  # a bundle with other labels as the base: a new head
        output_loading_info=True,
    )
    return backbone, {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}


def _configure(config: Any, spec: HeadSpec, *, dropout: float | None, own: bool) -> None:
    if dropout is not None:
        set_dropout(config, dropout, own=own)
    if own and spec.labels:
        config.num_labels = len(spec.labels)
        config.id2label = dict(enumerate(spec.labels))
        config.label2id = {label: i for i, label in enumerate(spec.labels)}


def unreadable(folder: Path, error: Exception) -> BundleError:
    """What is told of a model that cannot be opened."""
    return BundleError(
        f"the model in {folder} cannot be opened: {error}",
        expected="a model in the Hugging Face layout with safetensors weights, or a bundle's",
        code="base.unreadable",
    )


def _require_loaded(folder: Path, backbone: Any, wanting: set[str], *, gives: Gives, new_head: bool) -> None:
    """Raise when weights were made up: transformers draws at random, and only logs, what a folder lacks."""
    if new_head:
        wanting = {name for name in wanting if name.startswith(f"{backbone.base_model_prefix}.")}
    if new_head or gives == "hidden":
        wanting = {name for name in wanting if "pooler." not in name}  # many bases have none: it is new, or not read
    if wanting:
        raise BundleError(
            f"the weights in {folder} lack {len(wanting)} tensors that config.json asks for, or have them in other "
            f"shapes, {min(wanting)} among them",
            expected="weights of the very model that config.json describes",
            code="base.unreadable",
        )


def _load_head(head: Head, file: Path) -> None:
    try:
        head.load_state_dict(load_file(file))
    except UNREADABLE as error:
        raise BundleError(f"the head in {file} does not fit: {error}", code="bundle.head") from error


def save_model(model: Model, folder: Path) -> list[str]:
    """Write the model into ``folder``: backbone and head; returns the names of the files written."""
    written = [*save_backbone(model, folder), *save_head(model, folder)]
    return sorted(written)


def save_backbone(model: Model, folder: Path) -> list[str]:
    """Write the backbone into ``folder``, in the Hugging Face layout unless its layers are of hone's own (see
    `hone.models.files`); returns the names of the files written."""
    backbone: Any = model.backbone
    with quiet_loading():
        if not write_own(backbone, folder):
            backbone.save_pretrained(folder, max_shard_size="2GB")
    return sorted(path.name for path in folder.iterdir())


def save_head(model: Model, folder: Path) -> list[str]:
    """Write the head's own weights into ``folder``; returns the names of the files written, none where it has none."""
    if not any(True for _ in model.head.parameters()):
        return []
    save_file({name: value.contiguous() for name, value in model.head.state_dict().items()}, folder / HEAD_FILE)
    return [HEAD_FILE]


def read_limit(folder: Path) -> int:
    """`position_limit` of the configuration in ``folder``.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        with quiet_loading():
            return position_limit(read_config(folder))
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
