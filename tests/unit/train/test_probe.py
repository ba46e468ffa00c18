"""`head_init: probe`: the fitted head is the logistic regression on the base's features, and training starts there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, Ridge
from training_bench import Bench, dataset
from transformers import RobertaConfig, RobertaForSequenceClassification

from hone.bundle.bundle import Bundle
from hone.bundle.stage import Inputs, Outcome, Run, TaskChoice
from hone.core.errors import RecipeError
from hone.core.progress import Silent
from hone.data.dataset import Dataset
from hone.models.base import resolve_base
from hone.models.heads import HeadSpec, SequenceLogits
from hone.models.model import Model, build_model
from hone.tasks.encoded import encoded
from hone.tasks.make import make_task
from hone.tasks.protocol import LossOptions, Task
from hone.tasks.rows import Rows
from hone.tasks.settings import MultiLabelSettings, TextClassificationSettings, TextRegressionSettings
from hone.tasks.table import SETTINGS, TASKS
from hone.train import finetune as module
from hone.train import probe
from hone.train.finetune import finetune
from hone.train.probe import PENALTY, fit_head, logistic_regression, probed
from hone.train.settings import FinetuneSettings

CPU = torch.device("cpu")


def fit(bench: Bench, model: Model, **options: Any) -> None:
    fit_head(model, bench.task, bench.rows(), seed=0, options=LossOptions(**options), progress=Silent(), device=CPU)


def test_it_is_the_regression_that_scikit_learn_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    around = torch.randn(200, 6, generator=generator)
    labels = (around @ torch.randn(6, 4, generator=generator) + torch.randn(200, 4, generator=generator)).argmax(1)
    features = around + 3.0
    weight, bias = logistic_regression(features, labels, classes=4)
    reference = LogisticRegression(C=1 / (2 * PENALTY * 200), max_iter=5000, tol=1e-8).fit(features, labels)
    ours = torch.softmax(features @ weight.T + bias, 1).double()
    torch.testing.assert_close(ours, torch.from_numpy(reference.predict_proba(features)), atol=2e-3, rtol=0)


def test_label_weights_and_smoothing_are_those_of_training(bench: Bench) -> None:
    model, weights = bench.model(), torch.ones(len(bench.task.labels))
    weights[1] = 5.0
    fit(bench, model)
    plain = probed(model).weight.detach().clone()
    fit(bench, model, label_smoothing=0.5, class_weights=weights)
    assert probed(model).weight.norm() < plain.norm()
    batch = bench.task.collate(bench.rows(), np.arange(len(bench.rows())))
    shares = torch.softmax(model.eval()(batch)["logits"], 1).mean(0)
    fit(bench, model)
    assert shares[1] > torch.softmax(model.eval()(batch)["logits"], 1).mean(0)[1]


@pytest.mark.parametrize("head", ["sequence-mean", "sequence-cls"])
def test_the_fitted_head_knows_the_training_rows_better(bench: Bench, head: str) -> None:
    torch.manual_seed(0)
    model = build_model(bench.base, HeadSpec(head, bench.task.labels), dropout=0.3)
    rows = bench.rows()
    batch = bench.task.collate(rows, np.arange(len(rows)))

    def loss() -> float:
        model.eval()
        with torch.no_grad():
            found = bench.task.loss(model(batch), batch, options=LossOptions())
        return float(found.total) / found.weight

    before = loss()
    model.train()
    fit(bench, model)
    assert model.training
    assert loss() < before


def features_of(model: Model, task: Task, rows: Rows) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What the last layer reads of every row, and what it makes of that."""
    read: list[torch.Tensor] = []
    hook = probed(model).register_forward_pre_hook(lambda _, given: read.append(given[0]))
    with torch.no_grad():
        logits = model.eval()(task.collate(rows, np.arange(len(rows))))["logits"]
    hook.remove()
    return read[0].double().numpy(), logits.double().numpy()


def texts_and_labels() -> tuple[list[str], list[str]]:
    columns = dataset().slice(0, 36)
    return list(columns["text"]), list(columns["label"])


def test_of_several_labels_each_has_its_own_regression(bench: Bench) -> None:
    texts, names = texts_and_labels()
    gold = [[name, *(["thanked"] if "thanks" in text else [])] for text, name in zip(texts, names, strict=True)]
    data = Dataset.from_columns("train", {"text": texts, "labels": gold})
    labels = ("broken", "password", "refund", "thanked")
    task = make_task("multi-label-classification", MultiLabelSettings(), labels=labels, folder=bench.base)
    rows = encoded(task, data, cache=bench.folder / "several")
    model = build_model(bench.base, task.head, dropout=0.3)
    fit_head(model, task, rows, seed=0, options=LossOptions(), progress=Silent(), device=CPU)
    features, logits = features_of(model, task, rows)
    for i, label in enumerate(labels):
        reference = LogisticRegression(C=1 / (2 * PENALTY * len(rows)), max_iter=5000, tol=1e-8)
        reference.fit(features, [label in each for each in gold])
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, i])), reference.predict_proba(features)[:, 1], atol=2e-3)


def test_a_number_is_fitted_as_ridge_regression_is(bench: Bench) -> None:
    texts, _ = texts_and_labels()
    data = Dataset.from_columns("train", {"text": texts, "score": [float(len(text)) for text in texts]})
    settings = TASKS["text-regression"].settled(TextRegressionSettings(), data)
    task = make_task("text-regression", settings, labels=("score",), folder=bench.base)
    rows = encoded(task, data, cache=bench.folder / "number")
    model = build_model(bench.base, task.head, dropout=0.3)
    fit_head(model, task, rows, seed=0, options=LossOptions(), progress=Silent(), device=CPU)
    features, logits = features_of(model, task, rows)
    scores = np.array([len(text) for text in texts])
    reference = Ridge(alpha=PENALTY * len(rows)).fit(features, (scores - scores.mean()) / scores.std())
    np.testing.assert_allclose(logits[:, 0], reference.predict(features), atol=2e-3)


def test_rows_of_a_label_that_is_never_shown_do_not_move_the_fit(bench: Bench) -> None:
    """Their label is beyond the head's."""
    texts, names = texts_and_labels()
    others = ["what is the weather", "sing me a song please"]
    data = Dataset.from_columns("train", {"text": [*texts, *others], "label": [*names, "other", "other"]})
    settings = TextClassificationSettings(unknown_label="other")
    task = make_task("text-classification", settings, labels=bench.task.labels, folder=bench.base)
    model, plain = bench.model(), bench.model()
    fit_head(model, task, encoded(task, data, cache=bench.folder / "unknown"), seed=0, options=LossOptions(),
             progress=Silent(), device=CPU)  # fmt: skip
    fit(bench, plain)
    torch.testing.assert_close(probed(model).weight, probed(plain).weight, rtol=1e-2, atol=1e-2)


PAIR = "text-pair-classification"


def pairs(folder: Path) -> tuple[Task, Dataset]:
    """36 pairs of texts over three labels, and a task that compares them."""
    texts, names = texts_and_labels()
    data = Dataset.from_columns("train", {"text_a": texts, "text_b": ["please help"] * len(texts), "label": names})
    settings = SETTINGS[PAIR].model_validate({"pooling": "pair"})
    return make_task(PAIR, settings, labels=tuple(sorted({*names})), folder=folder), data


def test_a_head_over_two_texts_is_fitted_to_how_they_compare(bench: Bench) -> None:
    task, data = pairs(bench.base)
    rows = encoded(task, data, cache=bench.folder / "pairs")
    model = build_model(bench.base, task.head, dropout=0.3)
    fit_head(model, task, rows, seed=0, options=LossOptions(), progress=Silent(), device=CPU)
    features, logits = features_of(model, task, rows)
    reference = LogisticRegression(C=1 / (2 * PENALTY * len(rows)), max_iter=5000, tol=1e-8)
    reference.fit(features, data.column("label"))
    chances = torch.softmax(torch.from_numpy(logits), 1).numpy()
    np.testing.assert_allclose(chances, reference.predict_proba(features), atol=2e-3)


def test_contrast_and_a_fitted_head_go_with_pairs(bench: Bench) -> None:
    _, data = pairs(bench.base)
    inputs = Inputs(
        task=TaskChoice(PAIR, SETTINGS[PAIR].model_validate({"pooling": "pair"})),
        base=resolve_base(str(bench.base)), data={"train": data}, recipe_digest="the recipe",
    )  # fmt: skip
    folder = bench.folder / "contrast"
    run = Run(seed=1, device="cpu", folder=folder, target=folder / "bundle", cache=folder / "cache")
    chosen = {"max_steps": 2, "head_init": "probe", "techniques": ["contrastive"], "save_steps": None}
    assert finetune(FinetuneSettings.model_validate(chosen), inputs, run).bundle is not None


def test_of_many_rows_some_are_drawn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    for most in (12, 36, 100):
        monkeypatch.setattr(probe, "MOST_ROWS", most)
        model = bench.model()
        fit(bench, model)
        fitted.append(probed(model).weight.detach().clone())
    assert torch.equal(fitted[1], fitted[2])
    assert not torch.allclose(fitted[0], fitted[1])


def test_a_head_over_words_is_refused(bench: Bench) -> None:
    model = build_model(bench.base, HeadSpec("token-linear", ("O", "B-x")))
    with pytest.raises(RecipeError, match="last layer is not known"):
        probed(model)


def test_the_last_layer_of_robertas_own_head_is_found() -> None:
    config = RobertaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
    )
    backbone = RobertaForSequenceClassification(config)
    model = Model(backbone, SequenceLogits(("a", "b", "c"), width=8, dropout=0.0))
    assert probed(model) is backbone.classifier.out_proj


def finetuned(base: Path, folder: Path, *, bundle: Bundle | None = None, task: str = "text-classification",
              data: Dataset | None = None, **settings: Any) -> Outcome:  # fmt: skip
    inputs = Inputs(
        task=TaskChoice(task, SETTINGS[task]()),
        base=resolve_base(str(base)),
        data={"train": data or dataset()},
        bundle=bundle,
    )
    chosen = FinetuneSettings.model_validate(
        {"save_steps": None, "head_init": "probe", "warmup_ratio": 0.0, "learning_rate": 1e-9, **settings}
    )
    return finetune(chosen, inputs, Run(seed=1, device="cpu", folder=folder, target=folder / "bundle",
                                        cache=folder.parent / "cache"))  # fmt: skip


def head_of(outcome: Outcome) -> torch.Tensor:
    assert outcome.bundle is not None
    return load_file(outcome.bundle.path / "head.safetensors")["linear.weight"]


def test_the_stage_starts_from_the_fitted_head(bench: Bench, tmp_path: Path) -> None:
    model = bench.model()
    fit(bench, model)
    trained = head_of(finetuned(bench.base, tmp_path / "run", max_steps=1))
    torch.testing.assert_close(trained, probed(model).weight.detach(), rtol=1e-3, atol=1e-4)


def test_a_head_that_goes_on_from_a_bundle_is_not_fitted_anew(bench: Bench, tmp_path: Path) -> None:
    first = finetuned(bench.base, tmp_path / "first", max_steps=1, head_init="random")
    second = finetuned(bench.base, tmp_path / "second", max_steps=1, bundle=first.bundle)
    torch.testing.assert_close(head_of(second), head_of(first), rtol=1e-3, atol=1e-5)


def test_a_resumed_run_does_not_fit_again(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finetuned(bench.base, tmp_path / "run", max_steps=2, save_steps=2)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(module, "fit_head", refuse)
    again = finetuned(bench.base, tmp_path / "run", max_steps=2, save_steps=2)
    assert again.report.facts["resumed_at_step"] == 2


def test_a_task_over_words_is_told_before_anything_runs(bench: Bench, tmp_path: Path) -> None:
    tags = Dataset.from_columns("train", {"tokens": [["Ada", "is"], ["in", "rome"]], "tags": [["B-PER", "O"]] * 2})
    with pytest.raises(RecipeError, match="no features of whole texts") as caught:
        finetuned(bench.base, tmp_path / "run", task="token-classification", data=tags)
    assert caught.value.code == "recipe.head-init"
