"""Does a small causal model from nothing, in half an hour of two cores, tell English novels better than counting does?

python benchmarks/pretrain/novels.py novels --seeds 1 --out runs/pretrain
HONE_DATA names the folder of the datasets. The recipe NAME.yaml learns from its corpus, a book a document, and is
measured on held-out books, read once. Beside its perplexity stands that of a modified Kneser-Ney model (Chen and
Goodman 1999; `../generation/kneser_ney.py`), which counts the same tokens and is asked for the same ones: all but the
first of a row, of which the network has read nothing. The network is asked twice: row by row, as hone measures it, and
as counting is, of a book from its beginning on, where it reads as much before each token as it can, half a row or more.
The order is the best for the last book of the corpus by the counts of those before; the model then counts all of them.
--choose KEY=VALUE ... learns with other settings from all books but that last one and measures on it: what the recipe
says was chosen so, and no held-out book was read for it. The result goes to benchmarks/pretrain/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "generation")]

from kneser_ney import Counts, KneserNey  # noqa: E402
from rows import lines_of  # noqa: E402
from seeds import Run, arguments, each_seed, recipe_of, reports_of  # noqa: E402

from hone.bundle.bundle import Bundle  # noqa: E402
from hone.bundle.stage import CORPUS, HELD_OUT  # noqa: E402
from hone.cli.console import Lines  # noqa: E402
from hone.core.progress import Silent  # noqa: E402
from hone.data.dataset import Dataset  # noqa: E402
from hone.models.tokenizer import Tokenizer, load_tokenizer  # noqa: E402
from hone.pipeline.corpora import read_corpora  # noqa: E402
from hone.pipeline.recipe import Recipe, apply_overrides  # noqa: E402
from hone.pipeline.run import run_stages  # noqa: E402
from hone.pipeline.yaml_file import parse_yaml  # noqa: E402
from hone.tasks.objectives.documents import Documents  # noqa: E402
from hone.tasks.rows import Rows  # noqa: E402
from hone.train.pretrain_settings import PretrainSettings  # noqa: E402

ORDERS = 6
WINDOWS_AT_ONCE = 16
Told = list[tuple[list[int], NDArray[np.bool_]]]  # the tokens of a document, and which of them a network tells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(parser, seeds=[1], out="runs/pretrain")
    parser.add_argument(
        "--choose", nargs="*", metavar="KEY=VALUE", help="measure on the last book, with other settings"
    )
    given = parser.parse_args()
    if given.choose is None:
        for run in each_seed(given, measured, here=HERE):
            print(shown(run))
    else:
        choose(given)


def measured(values: Mapping[str, Any], seed: int, out: Path) -> Run:
    """One run of the recipe; one that was stopped goes on."""
    recipe = recipe_of(values, seed=seed)
    report = reports_of(values, seed, out)["pretrain"]
    parts, tokenizer = told_parts(recipe, out / "bundle")
    network = network_of(out / "bundle", parts[HELD_OUT], tokenizer, recipe=recipe)
    counting = beside(parts[CORPUS], parts[HELD_OUT], tokenizer)
    if network["tokens"] != counting["tokens"]:
        raise RuntimeError(f"the network was asked {network['tokens']} tokens, counting {counting['tokens']}")
    return {
        "seed": seed,
        "bundle": Bundle.open(out / "bundle").digest,
        "facts": report["facts"],
        "measures": {
            f"{m['slice']} {m['name']}": [m["value"], m["low"], m["high"], m["n"]] for m in report["measures"]
        },
        "network": network,
        "kneser_ney": counting,
    }


def told_parts(recipe: Recipe, folder: Path) -> tuple[dict[str, Told], Tokenizer]:
    """What is learned and what is held out, in the tokens of the bundle in ``folder``."""
    settings, tokenizer = recipe.stages[0].settings, load_tokenizer(folder)
    assert isinstance(settings, PretrainSettings)
    assert settings.max_length is not None
    _, texts = read_corpora(recipe, recipe.stages, Silent())
    return {name: told(each, tokenizer, max_tokens=settings.max_length) for name, each in texts.items()}, tokenizer


def told(dataset: Dataset, tokenizer: Tokenizer, *, max_tokens: int) -> Told:
    """The documents, as a causal network learns them and is measured by them."""
    rows = Rows(Documents(tokenizer, max_tokens=max_tokens).encode(dataset.slice(0, len(dataset)), purpose="learn"))
    found: Told = []
    ids: list[int] = []
    asked: list[bool] = []
    for i in range(len(rows)):
        piece, last = rows.row("input_ids", i).tolist(), bool(rows.scalar("last")[i])
        asked += [bool(rows.scalar("first")[i]), *([True] * (len(piece) - 1 + last))]
        ids += [*piece, *([tokenizer.eos_id] if last else [])]
        if last:
            found.append((ids, np.array(asked)))
            ids, asked = [], []
    return found


def beside(learned: Told, held_out: Told, tokenizer: Tokenizer) -> dict[str, Any]:
    """The Kneser-Ney model of the order that tells the last of the learned documents best."""
    of_order = of_orders(learned[:-1], learned[-1:], tokenizer)
    best, books = min(of_order, key=lambda n: of_order[n]), [ids for ids, _ in learned]
    value, tokens = perplexity(Counts(books, vocabulary=tokenizer.vocab_size, order=best).model(best), held_out)
    return {
        "vocabulary": tokenizer.vocab_size,
        "counted_tokens": sum(map(len, books)),
        "perplexity_of_order_on_the_last_book": of_order,
        "order": best,
        "perplexity": value,
        "tokens": tokens,
    }


def network_of(folder: Path, held_out: Told, tokenizer: Tokenizer, *, recipe: Recipe) -> dict[str, Any]:
    """What the network in ``folder`` says of the tokens that counting is asked for, and how many they are."""
    settings = recipe.stages[0].settings
    assert isinstance(settings, PretrainSettings)
    assert settings.max_length is not None
    length = Documents(tokenizer, max_tokens=settings.max_length).room  # of the rows that it learned
    value, tokens = perplexity(Network(folder, begin=tokenizer.bos_id, length=length), held_out)
    return {"perplexity": value, "tokens": tokens}


class Network:
    """The learned model, asked like `KneserNey`: windows of ``length`` tokens, of which each begins half of that after
    the one before, tell their later half, and the first one of a document all of it.

    Args:
        folder: A bundle.
        begin: Token that stands before a document.
    """

    def __init__(self, folder: Path, *, begin: int | None, length: int) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval()
        self._before, self._length = [] if begin is None else [begin], length

    def log_probabilities(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """Natural logarithm of the probability of each token after those before it, float64 [tokens], text by text; NaN
        for a first one that nothing stands before."""
        return [self._of([*self._before, *text])[len(self._before) :] for text in texts]

    @torch.inference_mode()
    def _of(self, ids: list[int]) -> NDArray[np.float64]:
        found = np.full(len(ids), np.nan)
        last = max(0, len(ids) - self._length)
        starts = [*range(0, last, self._length // 2), last]
        for at in range(0, len(starts), WINDOWS_AT_ONCE):
            some = starts[at : at + WINDOWS_AT_ONCE]
            given = torch.tensor([ids[start : start + self._length] for start in some])
            logs = torch.log_softmax(self._model(input_ids=given).logits[:, :-1].double(), dim=2)
            told = logs.gather(2, given[:, 1:, None]).squeeze(2).numpy()
            for start, own in zip(some, told, strict=True):
                skipped = self._length // 2 - 1 if start else 0
                here = found[start + 1 + skipped : start + 1 + len(own)]
                here[np.isnan(here)] = own[skipped:][np.isnan(here)]
        return found


def of_orders(learned: Told, asked: Told, tokenizer: Tokenizer) -> dict[int, float]:
    """The perplexity of counting by every order."""
    counts = Counts([ids for ids, _ in learned], vocabulary=tokenizer.vocab_size, order=ORDERS)
    return {n: perplexity(counts.model(n), asked)[0] for n in range(1, ORDERS + 1)}


def perplexity(model: KneserNey | Network, documents: Told) -> tuple[float, int]:
    """Of the tokens that a network tells, each after all before it in its document; and how many the model told of
    them."""
    logs = model.log_probabilities([ids for ids, _ in documents])
    asked = np.concatenate([each[these] for each, (_, these) in zip(logs, documents, strict=True)])
    told = asked[~np.isnan(asked)]
    return float(np.exp(-told.mean())), len(told)


def shown(run: Run) -> str:
    """Both, one under the other."""
    value, low, high, tokens = run["measures"]["held_out perplexity"]
    counted, read = run["kneser_ney"], run["network"]
    lines = [
        f"{'network, row by row':24} {value:8.2f} [{low:.2f}, {high:.2f}] of {tokens} rows",
        f"{'network':24} {read['perplexity']:8.2f} of {read['tokens']} tokens",
        f"{'Kneser-Ney, order ' + str(counted['order']):24} {counted['perplexity']:8.2f} of {counted['tokens']} tokens",
    ]
    return "\n".join(lines)


def choose(given: argparse.Namespace) -> None:
    """Learn from all books but the last, with other settings, and print what comes of it on the last."""
    values, _ = parse_yaml((HERE / f"{given.name}.yaml").read_text(), file=given.name)
    apply_overrides(values, given.choose)
    place = Path(given.out) / "choose" / ("_".join(given.choose).replace("/", "-") or "as-is")
    place.mkdir(parents=True, exist_ok=True)
    corpus = Path(os.environ["HONE_DATA"]) / values["data"]["corpus"]["path"]
    lines = lines_of(corpus)
    last = json.loads(lines[-1])["doc"]
    for name in (CORPUS, HELD_OUT):
        own = [line for line in lines if (json.loads(line)["doc"] == last) == (name == HELD_OUT)]
        file = place / f"{name}.jsonl"
        file.write_text("\n".join(own) + "\n", encoding="utf-8")
        values["data"][name] = {**values["data"][name], "path": str(file.absolute())}
    recipe = recipe_of(values)
    report = run_stages(recipe, out=place, progress=Lines()).reports["pretrain"]
    parts, tokenizer = told_parts(recipe, place / "bundle")
    found = {f"{m.slice} {m.name}": m.value for m in report.measures}
    found["network"] = network_of(place / "bundle", parts[HELD_OUT], tokenizer, recipe=recipe)
    found["kneser_ney"] = of_orders(parts[CORPUS], parts[HELD_OUT], tokenizer)
    print(json.dumps({"settings": given.choose, **found, "facts": report.facts}), flush=True)


if __name__ == "__main__":
    main()
