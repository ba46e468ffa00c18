"""``fill-mask``: transformers' own scores at masked places, masks drawn anew, what a text is measured by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.nn import functional

import hone
from hone.bundle.bundle import Bundle
from hone.core.errors import BundleError, RecipeError
from hone.core.progress import Silent
from hone.evaluate.answering import Answered, unmeasured_warnings
from hone.models.masked import scores_at
from hone.models.model import Model, build_model
from hone.pipeline.recipe import make_recipe
from hone.pipeline.run import run_stages
from hone.predict.predictor import load
from hone.tasks.make import make_task
from hone.tasks.masking import drawn, nearest_window, spread
from hone.tasks.protocol import LossOptions
from hone.tasks.rows import Rows
from hone.tasks.settings import FillMaskSettings

TEXTS = ["i want my money back", "help", "refunding 我的 card was not good"]


def made(folder: Path, **settings: Any) -> Any:
    return make_task("fill-mask", FillMaskSettings.model_validate(settings), labels=(), folder=folder)


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Model:
    torch.manual_seed(0)
    return build_model(tiny_base, made(tiny_base).head, dropout=0.0).eval()


@pytest.fixture(scope="module")
def alone(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("alone")
    model.backbone.save_pretrained(folder)  # type: ignore[operator]
    return transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()


def answers(task: Any, model: Model, texts: list[str]) -> list[dict[str, Any]]:
    rows = Rows(task.encode({"text": texts}, purpose="predict"))
    batch = task.collate(rows, np.arange(len(rows)))
    with torch.inference_mode():
        found: list[dict[str, Any]] = task.join({"text": texts}, rows, task.decode(model(batch), batch), constants={})
    return found


def test_transformers_alone_gives_the_same_scores_at_the_masks(tiny_base: Path, model: Model, alone: Any) -> None:
    text = "i want my [MASK] back , please [MASK] me"
    [found] = answers(made(tiny_base), model, [text])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    inputs = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        chances = alone(**inputs).logits[inputs["input_ids"] == tokenizer.mask_token_id].softmax(1)
    assert len(found["masks"]) == 2
    for place, row in zip(found["masks"], chances, strict=True):
        best, ids = row.topk(5)
        assert [filling["token"] for filling in place["fillings"]] == tokenizer.convert_ids_to_tokens(ids.tolist())
        assert [filling["score"] for filling in place["fillings"]] == pytest.approx(best.tolist(), abs=1e-6)


def test_pseudo_perplexity_is_that_of_each_token_masked_in_turn(tiny_base: Path, model: Model, alone: Any) -> None:
    [found] = answers(made(tiny_base), model, [TEXTS[0]])
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    ids = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    logs = []
    for place in range(1, ids.shape[1] - 1):
        masked = ids.clone()
        masked[0, place] = tokenizer.mask_token_id
        with torch.inference_mode():
            logs.append(float(alone(input_ids=masked).logits[0, place].log_softmax(0)[ids[0, place]]))
    assert [place["log_probability"] for place in found["masks"]] == pytest.approx(logs, abs=1e-5)
    assert found["pseudo_perplexity"] == pytest.approx(np.exp(-np.mean(logs)), rel=1e-5)


def test_a_filling_stands_where_the_mask_did(tiny_base: Path, model: Model) -> None:
    [found] = answers(made(tiny_base, top_k=300), model, ["i want [MASK]!"])
    texts = {filling["token"]: filling["text"] for filling in found["masks"][0]["fillings"]}
    assert texts["card"] == "i want card!"
    assert texts["##s"] == "i wants!"
    assert found["masks"][0]["token"] is found["pseudo_perplexity"] is None


def test_a_long_text_is_read_in_windows_and_each_place_once(tiny_base: Path, model: Model) -> None:
    words = ["card", "[MASK]", "money", "day", "time"] * 12
    task = made(tiny_base, max_length=16, stride=4)
    [found] = answers(task, model, [" ".join(words)])
    starts = [place["start"] for place in found["masks"]]
    text = " ".join(words)
    assert starts == [i for i in range(len(text)) if text.startswith("[MASK]", i)]
    [cut] = answers(made(tiny_base, max_length=16, long_text="truncate"), model, [text])
    assert cut["truncated"]
    assert 0 < len(cut["masks"]) < len(starts)


def test_a_text_whose_masks_are_cut_off_is_not_measured(tiny_base: Path, model: Model) -> None:
    task = made(tiny_base, max_length=16, long_text="truncate")
    [found] = answers(task, model, ["card money day time " * 12 + "[MASK]"])
    assert found == {"masks": [], "pseudo_perplexity": None, "truncated": True}
    assert task.scored([found], {"text": [""]}).unmeasured == {"warn.no_places": 1}
    told = Answered(task, {}, [found], np.zeros((1, 4)), task.scored([found], {"text": [""]}), np.array([99]))
    assert unmeasured_warnings(told, "en")[0].startswith("1 of 1 texts have masks beyond")


def test_windows_without_places_are_read_to_learn_from_alone(tiny_base: Path, model: Model) -> None:
    task = made(tiny_base, max_length=16, stride=4)
    texts = ["card money day time " * 12 + "[MASK] day", "", "card"]
    told = Rows(task.encode({"text": texts}, purpose="predict"))
    assert told.example.tolist() == [0, 1, 2]
    assert len(Rows(task.encode({"text": texts}, purpose="learn"))) > 5
    [found] = answers(task, model, texts[:1])
    assert [place["start"] for place in found["masks"]] == [texts[0].index("[MASK]")]


def test_scores_are_held_for_masked_places_alone(tiny_base: Path, model: Model) -> None:
    task = made(tiny_base)
    rows = Rows(task.encode({"text": TEXTS}, purpose="learn"))
    batch = task.draw(rows, np.arange(3), rng=np.random.default_rng(0))
    assert model(batch)["logits"].shape == (len(batch["gold"]), task.tokenizer.vocab_size)
    assert len(batch["gold"]) < int(batch["attention_mask"].sum())


def test_the_loss_is_the_cross_entropy_over_masked_tokens(tiny_base: Path) -> None:
    task = made(tiny_base)
    batch = task.draw(Rows(task.encode({"text": TEXTS}, purpose="learn")), np.arange(3), rng=np.random.default_rng(0))
    logits = torch.randn(len(batch["gold"]), task.tokenizer.vocab_size)
    loss = task.loss({"logits": logits}, batch, options=LossOptions())
    assert loss.weight == len(batch["gold"]) >= 3
    assert float(loss.total / loss.weight) == pytest.approx(float(functional.cross_entropy(logits, batch["gold"])))


def test_texts_without_a_token_to_mask_teach_nothing(tiny_base: Path, model: Model) -> None:
    task = made(tiny_base)
    batch = task.draw(Rows(task.encode({"text": ["", "🙂"]}, purpose="learn")), np.arange(2),
                      rng=np.random.default_rng(0))  # fmt: skip
    loss = task.loss(model(batch), batch, options=LossOptions())
    assert (float(loss.total.detach()), loss.weight) == (0.0, 1.0)


def test_eight_in_ten_are_masked_one_swapped_and_one_kept(tiny_base: Path) -> None:
    task = made(tiny_base, mlm_probability=0.5)
    rows = Rows(task.encode({"text": ["card " * 50] * 200}, purpose="learn"))
    batch = task.draw(rows, np.arange(200), rng=np.random.default_rng(0))
    at, gold = batch["mask_places"], batch["gold"]
    seen = batch["input_ids"][at[:, 0], at[:, 1]]
    assert len(gold) / 10_000 == pytest.approx(0.5, abs=0.03)
    assert float((seen == task.tokenizer.mask_id).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert float((seen == gold).float().mean()) == pytest.approx(0.1, abs=0.03)
    untouched = torch.ones_like(batch["input_ids"], dtype=torch.bool)
    untouched[at[:, 0], at[:, 1]] = False
    assert bool((batch["input_ids"][untouched] != task.tokenizer.mask_id).all())


def test_the_same_generator_draws_the_same_and_another_draws_others(tiny_base: Path) -> None:
    task = made(tiny_base)
    rows = Rows(task.encode({"text": ["card " * 40]}, purpose="learn"))
    one, same, other = (task.draw(rows, np.array([0]), rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert one["mask_places"].tolist() != other["mask_places"].tolist()


def test_whole_words_are_hidden_together_and_a_chinese_character_is_one(tiny_base: Path) -> None:
    task = made(tiny_base, whole_word=True)
    rows = Rows(task.encode({"text": [TEXTS[2]]}, purpose="learn"))
    words = rows.row("words", 0)
    tokens = task.tokenizer.words_of(rows.row("input_ids", 0).tolist())
    assert words[0] == words[-1] == -1
    assert words[tokens.index("我")] != words[tokens.index("的")]
    grid = np.tile(words, (300, 1)).astype(np.int64)
    hidden = drawn(grid, share=0.3, whole=True, rng=np.random.default_rng(0))
    assert hidden.any(axis=1).all()
    for word in np.unique(words[words >= 0]):
        together = hidden[:, words == word]
        assert (together.all(axis=1) == together.any(axis=1)).all()
    assert not hidden[:, words < 0].any()


def test_places_are_spread_over_the_text() -> None:
    assert spread(np.arange(5), 8).tolist() == [0, 1, 2, 3, 4]
    assert spread(np.arange(100), 4).tolist() == [12, 37, 62, 87]


def test_a_place_is_asked_in_the_window_where_it_is_farthest_from_the_ends() -> None:
    assert nearest_window(np.array([0, 5, 7, 15]), [(0, 10), (4, 14), (6, 16)]).tolist() == [0, 0, 1, 2]


def test_a_base_without_a_mask_token_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    with pytest.raises(BundleError) as raised:
        made(tmp_path)
    assert raised.value.code == "base.no-mask"


@pytest.fixture(scope="module")
def bundle(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    values = {
        "version": 1, "task": "fill-mask", "base": str(tiny_base),
        "data": {"train": str(folder / "train.jsonl"), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 4, "learning_rate": 1e-3, "save_steps": None}],
    }  # fmt: skip
    found = hone.run(values, out=folder / "run").bundle
    assert found is not None
    return found.path


class Stopping(Silent):
    """Ends the work in its third step, as a kill would."""

    def __init__(self) -> None:
        self.done = 0

    def begin(self, what: str, *, total: int, unit: str) -> None:
        self.done = 0 if what == "training" else -1000

    def advance(self, units: int, **figures: float) -> None:
        self.done += units
        if self.done > 2:
            raise KeyboardInterrupt


def test_a_base_whose_scores_are_not_tied_to_its_table_learns(tiny_base: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    config = transformers.AutoConfig.from_pretrained(base, tie_word_embeddings=False)
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(base)
    rows = tmp_path / "train.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS * 4), encoding="utf-8")
    values = {"version": 1, "task": "fill-mask", "base": str(base), "data": {"train": str(rows), "validation": "none"},
              "stages": [{"kind": "finetune", "max_steps": 3, "keep": "last"}]}  # fmt: skip
    found = hone.run(values, out=tmp_path / "run").bundle
    assert found is not None
    learned, before = (load_file(folder / "model.safetensors") for folder in (found.path, base))
    name = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(learned[name], before[name])


def test_a_run_that_was_cut_off_draws_the_same_masks_again(tiny_base: Path, tmp_path: Path) -> None:
    rows = [{"text": f"{text} {more}"} for text in TEXTS for more in ("a", "b")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stage = {"kind": "finetune", "max_steps": 5, "learning_rate": 1e-2, "save_steps": 2,
             "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "techniques": ["ema"]}  # fmt: skip
    values = {
        "version": 1, "task": "fill-mask", "base": str(tiny_base), "stages": [stage],
        "data": {"train": str(tmp_path / "train.jsonl"), "validation": "none"},
    }  # fmt: skip
    recipe = make_recipe(values, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_stages(recipe, out=tmp_path / "cut", progress=Stopping())
    assert [path.name for path in (tmp_path / "cut").glob("stages/*/checkpoints/step-*")] == ["step-000000002"]
    found = [run_stages(recipe, out=tmp_path / out, progress=Silent()) for out in ("cut", "whole")]
    assert found[0].reports["finetune"].facts["resumed_at_step"] == 2
    digests = [one.bundle.digest for one in found if one.bundle is not None]
    assert digests[0] == digests[1]


def test_a_trained_bundle_promises_and_keeps_the_logits_of_transformers(bundle: Path) -> None:
    manifest = json.loads((bundle / "hone.json").read_text(encoding="utf-8"))
    assert manifest["plain"] == {"auto_class": "AutoModelForMaskedLM", "gives": "logits"}
    text = "i want my [MASK] back"
    inputs = transformers.AutoTokenizer.from_pretrained(bundle)(text, return_tensors="pt")
    with torch.inference_mode():
        logits = transformers.AutoModelForMaskedLM.from_pretrained(bundle).eval()(**inputs).logits[0, 4]
    [answer] = load(bundle, device="cpu").predict(text)
    scores = [filling["score"] for filling in answer["masks"][0]["fillings"]]
    assert scores == pytest.approx(logits.softmax(0).topk(5).values.tolist(), abs=1e-5)


def compressed(bundle: Path, method: str, folder: Path) -> Path:
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    values = {
        "version": 1, "task": "fill-mask", "data": {"train": str(folder / "train.jsonl"), "validation": "none"},
        "stages": [{"kind": "compress", "method": method, "on": "train"}],
    }  # fmt: skip
    recipe = make_recipe(values, folder=folder)
    found = run_stages(recipe, out=folder / "run", progress=Silent(), bundle=Bundle.open(bundle)).bundle
    assert found is not None
    return found.path


@pytest.mark.parametrize("method", ["vocabulary", "distill", "onnx", "low-rank", "prune", "sparse"])
def test_what_rests_on_labels_or_changes_the_vocabulary_is_refused(bundle: Path, tmp_path: Path, method: str) -> None:
    with pytest.raises(RecipeError) as raised:
        compressed(bundle, method, tmp_path)
    assert {fault.code for fault in raised.value.faults} == {"compress.masked-tokens"}


def test_weights_of_few_bits_fill_as_before(bundle: Path, tmp_path: Path) -> None:
    child = load(compressed(bundle, "weight-only", tmp_path), device="cpu")
    text = "i want my [MASK] back"
    [found], [expected] = (one.predict(text)[0]["masks"] for one in (child, load(bundle, device="cpu")))
    scores = [[filling["score"] for filling in place["fillings"]] for place in (found, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=0.005)


def test_another_task_is_learned_from_it(bundle: Path, tmp_path: Path) -> None:
    rows = [{"text": f"{text} {more}", "label": i % 2} for more in ("", "now") for i, text in enumerate(TEXTS)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {
        "version": 1, "task": "text-classification", "base": str(bundle),
        "data": {"train": str(tmp_path / "train.jsonl"), "validation": "none"},
        "stages": [{"kind": "finetune", "max_steps": 1, "learning_rate": 1e-9, "save_steps": None}],
    }  # fmt: skip
    child = hone.run(values, out=tmp_path / "run").bundle
    assert child is not None
    one, other = (transformers.AutoModel.from_pretrained(path).eval() for path in (bundle, child.path))
    ids = torch.tensor([[2, 7, 9, 3]])
    with torch.inference_mode():
        assert torch.allclose(one(ids).last_hidden_state, other(ids).last_hidden_state, atol=1e-4)


def test_a_net_without_a_head_over_its_vocabulary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8"
    )
    values = {
        "version": 1, "task": "fill-mask", "base": {"architecture": "dan"}, "stages": ["finetune"],
        "data": {"train": str(tmp_path / "train.jsonl"), "validation": "none"},
    }  # fmt: skip
    with pytest.raises(RecipeError) as raised:
        hone.run(values, out=tmp_path / "run")
    assert [fault.code for fault in raised.value.faults] == ["recipe.no-masked-head"]


@pytest.mark.parametrize("kind", ["RobertaConfig", "DistilBertConfig", "AlbertConfig"])
def test_scores_at_some_places_are_those_of_the_whole_text(kind: str) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
             "embedding_size": 8, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}  # fmt: skip
    taken = {name: size for name, size in sizes.items() if hasattr(getattr(transformers, kind)(), name)}
    config = getattr(transformers, kind)(vocab_size=40, **taken)
    whole = transformers.AutoModelForMaskedLM.from_config(config).eval()
    given = {"input_ids": torch.randint(5, 40, (2, 6)), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
    places = torch.tensor([[0, 2], [1, 5], [1, 0]])
    with torch.inference_mode():
        expected = whole(**given).logits[places[:, 0], places[:, 1]]
        assert torch.allclose(scores_at(whole, given, places), expected, atol=1e-6)
