"""`Shelf`: several bundles open side by side; adapters over one base share its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hone.bundle.bundle import Bundle
from hone.core.errors import BundleError, did_you_mean
from hone.models.adapters.shared import share
from hone.models.base import Base
from hone.models.tokenizer import Tokenizer, load_tokenizer
from hone.predict.bases import bits_of, find_base
from hone.predict.engine import TorchEngine, engine_of
from hone.predict.formats import ADAPTERS, Precision
from hone.predict.predictor import Predictor, open_bundle, tuned_model, weights_format
from hone.tasks.protocol import Prediction


class Shelf(Mapping[str, Predictor]):
    """Predictors by name, chosen per request; safe to call from several threads.

    Each adapter is a model of its own whose weights of the base are the very same tensors: choosing another one changes
    nothing, loads nothing, and no request sees another's choice.
    """

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self._predictors = dict(predictors)

    def predict(self, inputs: Any, *, bundle: str) -> list[Prediction]:
        """Answers of one of the bundles (see `Predictor.predict`).

        Raises:
            BundleError: There is none of that name.
            DataError: The inputs are not of its task's kind.
        """
        return self[bundle].predict(inputs)

    def __getitem__(self, name: str) -> Predictor:
        if name not in self._predictors:
            raise BundleError(
                f"found no bundle called {name!r}", fix=did_you_mean(name, self._predictors), code="bundle.unknown-name"
            )
        return self._predictors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._predictors)

    def __len__(self) -> int:
        return len(self._predictors)

    def __contains__(self, name: object) -> bool:
        return name in self._predictors


class _Opener:
    """Opens bundles one after another, each base once."""

    def __init__(self, *, device: str, precision: Precision) -> None:
        self._device = device
        self._precision: Precision = precision
        self._bases: dict[str, Base] = {}
        self._tokenizers: dict[str, Tokenizer] = {}
        self._weights: dict[tuple[str, int | None], dict[str, Tensor]] = {}  # by digest of a base, and its bits

    def open(self, bundle: Bundle) -> Predictor:
        if weights_format(bundle) not in ADAPTERS:
            return open_bundle(bundle, device=self._device, precision=self._precision)
        base = self._base_of(bundle)
        if base.digest not in self._tokenizers:
            self._tokenizers[base.digest] = load_tokenizer(base.folder)
        model, task = tuned_model(bundle, base, tokenizer=self._tokenizers[base.digest])
        engine = engine_of(model.fix(keep="nothing"), device=self._device, precision=self._precision)
        assert isinstance(engine, TorchEngine)
        share(engine.model, self._weights.setdefault((base.digest, bits_of(bundle)), {}))
        return Predictor(bundle, task, engine)

    def _base_of(self, bundle: Bundle) -> Base:
        digest = next(need.digest for need in bundle.manifest.requires if need.role == "base")
        if digest not in self._bases:
            self._bases[digest] = find_base(bundle)
        return self._bases[digest]


def load_shelf(
    bundles: Mapping[str, Path | str] | Sequence[Path | str],
    *,
    device: str = "auto",
    precision: Precision = "float32",
    base: str = "",
) -> Shelf:
    """Open several bundles for prediction, after verifying every file of them.

    Args:
        bundles: Folders by name, or folders whose own names are taken.
        device, precision: As for `load`.
        base: As for `load`, of every adapter among them.

    Raises:
        BundleError: See `load`; or two have one name, or there is none. Or none stands on a ``base``.
    """
    named = bundles if isinstance(bundles, Mapping) else _named([Path(each) for each in bundles])
    if not named:
        raise BundleError("found no bundles to open", expected="at least one", code="bundle.none")
    opened = {name: Bundle.open(path) for name, path in named.items()}
    if base:
        over = {name: bundle.over(base) for name, bundle in opened.items() if bundle.stands_on_base}
        if not over:
            next(iter(opened.values())).over(base)  # raises
        opened |= over
    opener = _Opener(device=device, precision=precision)
    return Shelf({name: opener.open(bundle) for name, bundle in opened.items()})


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = path.resolve().name
        if name in found:
            raise BundleError(
                f"found two bundles called {name!r}: {found[name]} and {path}",
                expected="names that differ",
                fix="Name them: NAME=FOLDER on the command line, {name: folder} in Python.",
                code="bundle.same-name",
            )
        found[name] = path
    return found
