"""Every entry of the table of tuning methods: what learns, what its bundle answers, and what peft makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from tuned_models import TEXTS, Tuned, choice, tuned

from hone.bundle.stage import Inputs, Run, TaskChoice
from hone.compress.merge import merge
from hone.compress.merging import MergeSettings
from hone.core.errors import RecipeError
from hone.models.adapters.method import shapes_of
from hone.models.adapters.table import METHODS
from hone.models.model import own_parts
from hone.models.quiet import quiet_loading
from hone.models.tiny import write_tiny_writer
from hone.predict.engine import TorchEngine
from hone.predict.predictor import Predictor, open_bundle
from hone.tasks.rows import Rows

peft = pytest.importorskip("peft")

OTHERS: dict[str, dict[str, Any]] = {
    "lora-dora": {"name": "lora", "use_dora": True, "target_modules": "all-linear"},
    "lora-rs": {
        "name": "lora",
        "use_rslora": True,
        "r": 4,
        "lora_alpha": 8.0,
        "target_modules": ["key", "output.dense"],
    },
}
EVERY = {name: {"name": name} for name in METHODS} | OTHERS
POOLINGS = ("mean", "cls")
PAIRS = [(key, pooling) for key in sorted(EVERY) for pooling in POOLINGS
         if pooling == "mean" or not METHODS[EVERY[key]["name"]].own_head]  # fmt: skip


@pytest.fixture(scope="module")
def made(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each method's tuned model, made once."""
    kept: dict[tuple[str, str], Tuned] = {}

    def make(key: str, pooling: str) -> Tuned:
        if (key, pooling) not in kept:
            folder = tmp_path_factory.mktemp("tuned")
            kept[key, pooling] = tuned(tiny_base, choice(**EVERY[key]), folder, pooling=pooling)
        return kept[key, pooling]

    return make


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_writer(tmp_path_factory.mktemp("decoder") / "base", kind="gpt2")


def batch_of(one: Tuned) -> dict[str, Tensor]:
    rows = Rows(one.task.encode({"text": TEXTS}, purpose="predict"))
    return one.task.collate(rows, torch.arange(len(TEXTS)).numpy())


def logits(one: Tuned) -> Tensor:
    return TorchEngine(one.model, torch.device("cpu")).forward(batch_of(one))["logits"]


@pytest.mark.parametrize(("key", "pooling"), PAIRS)
def test_what_was_written_answers_as_what_was_tuned(key: str, pooling: str, made: Any) -> None:
    one = made(key, pooling)
    engine = TorchEngine(one.model, torch.device("cpu"))
    here, there = Predictor(one.bundle, one.task, engine).predict(TEXTS), open_bundle(one.bundle).predict(TEXTS)
    assert [answer["label"] for answer in here] == [answer["label"] for answer in there]
    again = open_bundle(one.bundle).engine.forward(batch_of(one))["logits"]
    torch.testing.assert_close(again, logits(one), rtol=0, atol=1e-5)


@pytest.mark.parametrize("key", sorted(EVERY))
def test_a_bundle_of_an_adapter_holds_no_weight_of_the_base(key: str, made: Any) -> None:
    one = made(key, "mean")
    method = METHODS[EVERY[key]["name"]]
    assert (not method.adapter) == (one.bundle.path / "model.safetensors").is_file()
    if method.adapter:
        assert [r.digest for r in one.bundle.manifest.requires] == [one.base.digest]
        assert not list(one.bundle.path.glob("tokenizer*"))


@pytest.mark.parametrize("key", sorted(EVERY))
def test_the_number_of_weights_that_learn_is_known_beforehand(key: str, made: Any, tiny_base: Path) -> None:
    one = made(key, "mean")
    method = METHODS[EVERY[key]["name"]]
    settings = method.settings.model_validate({k: v for k, v in choice(**EVERY[key]).items() if k != "name"})
    said = method.learning(settings, shapes_of(tiny_base))
    if said is not None:
        parts = (one.model.backbone, *([one.model.before] if one.model.before is not None else []))
        assert said == sum(p.numel() for part in parts for p in part.parameters() if p.requires_grad)


@pytest.mark.parametrize(("key", "pooling"), [each for each in PAIRS if METHODS[EVERY[each[0]]["name"]].peft])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft asks by the old name
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")  # as peft writes them itself
def test_peft_computes_the_same(key: str, pooling: str, made: Any, tiny_base: Path) -> None:
    one, batch = made(key, pooling), batch_of(made(key, pooling))
    kind = getattr(transformers, one.model.head.auto_class)
    with quiet_loading():
        base = kind.from_pretrained(tiny_base, **({"num_labels": 3} if pooling == "cls" else {}))
        theirs = peft.PeftModel.from_pretrained(base, str(one.bundle.path)).eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        out = theirs(**inputs)
        states = out.logits if pooling == "cls" else out.last_hidden_state[:, -batch["input_ids"].shape[1] :]
        found = one.model.head(states, batch)["logits"]
    torch.testing.assert_close(found, logits(one), rtol=0, atol=1e-5)
    assert bool(own_parts(one.model)) == (pooling == "cls")


@pytest.mark.parametrize(("key", "pooling"), [each for each in PAIRS if METHODS[EVERY[each[0]]["name"]].merges])
def test_merged_is_what_was_tuned(key: str, pooling: str, made: Any, tmp_path: Path) -> None:
    one = made(key, pooling)
    outcome = merge(MergeSettings(), inputs_of(one), run_in(tmp_path))
    assert outcome.bundle is not None
    assert outcome.bundle.manifest.plain.gives == one.model.head.gives
    found = open_bundle(outcome.bundle).engine.forward(batch_of(one))["logits"]
    torch.testing.assert_close(found, logits(one), rtol=0, atol=1e-4)
    (agreement, apart) = outcome.report.measures
    assert (agreement.value, outcome.report.facts["data"]) == (1.0, "probes")
    assert apart.value is not None
    assert apart.value < 1e-4


@pytest.mark.parametrize("key", sorted(key for key in EVERY if not METHODS[EVERY[key]["name"]].merges))
def test_what_cannot_be_merged_is_refused(key: str, made: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        merge(MergeSettings(), inputs_of(made(key, "mean")), run_in(tmp_path))
    assert caught.value.code in ("merge.method", "merge.no-adapter")


@pytest.mark.parametrize("name", ["prefix", "prompt"])
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_a_decoder_that_reads_has_what_peft_sets_before_a_text(name: str, decoder: Path, tmp_path: Path) -> None:
    assert METHODS[name].faults(METHODS[name].settings(), shapes_of(decoder)) == []
    one = tuned(decoder, choice(name), tmp_path)
    batch = batch_of(one)
    with quiet_loading():
        base = transformers.AutoModel.from_pretrained(decoder)
        theirs = peft.PeftModel.from_pretrained(base, str(one.bundle.path)).eval()
    with torch.inference_mode():
        states = theirs(batch["input_ids"], batch["attention_mask"]).last_hidden_state
        found = one.model.head(states[:, -batch["input_ids"].shape[1] :], batch)["logits"]
    torch.testing.assert_close(found, logits(one), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in sorted(METHODS) if METHODS[name].own_head])
def test_what_stands_before_a_text_goes_with_heads_of_hone_alone(name: str, tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        tuned(tiny_base, choice(name), tmp_path, pooling="cls")
    assert caught.value.code == "recipe.method-head"


def inputs_of(one: Tuned) -> Inputs:
    return Inputs(task=TaskChoice(one.task.name, one.task.settings), base=None, data={}, bundle=one.bundle)


def run_in(folder: Path) -> Run:
    return Run(seed=1, device="cpu", folder=folder / "run", target=folder / "new", cache=folder / "cache")
