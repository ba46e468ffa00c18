"""A model that writes as a policy: texts that it draws, what they are worth, and the gradient of the expected reward.

REINFORCE (Williams 1992) with each text's reward beside the mean of those of the other texts for its prompt, RLOO (Kool
et al. 2019; Ahmadian et al. 2024), and a penalty on the log ratio to the model that training starts from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from hone.models.heads import Outputs
from hone.models.model import Model
from hone.models.writers.make import writer_of
from hone.predict.engine import TorchEngine
from hone.predict.generation.generate import generate
from hone.predict.generation.written import Written
from hone.predict.rewards import Reward
from hone.predict.writing import vocabulary_of
from hone.tasks.decoding import DecodingSettings
from hone.tasks.pairs import summed
from hone.tasks.protocol import FloatArray, Loss, LossOptions, Says, Writing
from hone.tasks.rows import TARGET, Batch, IntArray, Rows
from hone.tasks.text_generation import LEARNED
from hone.tasks.written import WrittenText
from hone.train.processes import ONE, Processes

STRIDE = 1_000_003  # between the seeds of steps


def leave_one_out(rewards: Tensor) -> Tensor:
    """Of each reward, float [prompts, samples], the mean of the others for its prompt is taken."""
    count = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * (count / (count - 1))


def policy_loss(chances: Tensor, rewards: Tensor, reference: Tensor, *, beta: float) -> Tensor:
    """The loss of each prompt, float32 [prompts], whose gradient estimates, without bias, that of minus the expected
    ``reward - beta * log(p / r)``, ``p`` the probability of a text by the policy and ``r`` by the reference.

    Args:
        chances: Log-probabilities by the policy of texts that it has drawn, float32 [prompts, samples]; they learn.
        rewards: What the texts are worth, float32 [prompts, samples].
        reference: Their log-probabilities by the reference, float32 [prompts, samples].
    """
    worth = rewards - beta * (chances.detach() - reference)
    return -(leave_one_out(worth) * chances).mean(1)


class Policy:
    """A task that writes, learning from what its own texts are worth; the loop trains it with `act`.

    Args:
        model: What learns; it runs without dropout, for texts are drawn by it as it learns.
        rows: The prompts, encoded to predict.
        read: The prompts as a person reads them.
        reference: Runs the model that training starts from, as the model that learns runs: rounded as it is, so that a
            model that has not learned yet is at no distance from it.
        samples: Texts drawn for each prompt.
        beta: See `policy_loss`.
    """

    says: Says = "text"

    def __init__(
        self,
        task: WrittenText,
        model: Model,
        *,
        rows: Rows,
        read: Sequence[str],
        reward: Reward,
        reference: TorchEngine,
        samples: int,
        beta: float,
        seed: int,
    ) -> None:
        self.task, self.model, self.rows, self.read = task, model, rows, list(read)
        self.tokenizer, self.settings = task.tokenizer, task.settings
        self._reward, self._reference, self._samples, self._beta, self._seed = reward, reference, samples, beta, seed
        self._seen: list[tuple[float, float]] = []  # mean reward and log ratio of each batch since they were told
        self._prompts = task.prompts(rows)
        drawing = {"max_new_tokens": task.settings.decoding.max_new_tokens, "do_sample": True,
                   "num_return_sequences": samples}  # fmt: skip
        self._drawing = DecodingSettings.model_validate(drawing)

    def collate(self, rows: Rows, index: IntArray) -> Batch:
        """Which prompts are in the batch, int64 [prompts]; `act` draws their texts once the step is there."""
        return {"prompts": torch.from_numpy(index)}

    def act(self, batch: Batch, step: int) -> Batch:
        """The batch to learn from, of texts drawn by the model as it is: prompt after prompt, ``samples`` of each. With
        ``rewards`` and ``reference`` float32 [prompts, samples]."""
        index, device = batch["prompts"].cpu().numpy(), batch["prompts"].device
        texts = self.drawn(index, seed=self._seed + STRIDE * (step + 1))
        made, rewards, reference = self._judged(index, texts, by=self._reference)
        self.model.train()
        made["rewards"], made["reference"] = (torch.from_numpy(each).float() for each in (rewards, reference))
        return {name: value.to(device) for name, value in made.items()}

    def loss(self, outputs: Outputs, batch: Batch, *, options: LossOptions) -> Loss:
        """`policy_loss`, a prompt."""
        rewards = batch["rewards"]
        chances = chances_of(outputs, batch).view_as(rewards)
        self._seen.append((float(rewards.mean()), float((chances.detach() - batch["reference"]).mean())))
        each = policy_loss(chances, rewards, batch["reference"], beta=self._beta)
        return Loss(each.sum(), float(len(each)))

    def figures(self, processes: Processes = ONE) -> dict[str, float]:
        """The mean reward and the mean log ratio to the reference, of the texts that were learned since this was asked
        last, in any of the ``processes``, which all ask."""
        seen, self._seen = np.array(self._seen).reshape(-1, 2), []
        *sums, count = processes.sums(*seen.sum(axis=0).tolist(), len(seen))
        return dict(zip(("reward", "log_ratio"), (each / count for each in sums), strict=True)) if count else {}

    def drawn(self, index: IntArray, *, seed: int) -> list[list[Written]]:
        """Texts for each of the prompts ``index``, by the model as it is."""
        self.model.eval()
        chosen = [self._prompts[i][0] for i in index]
        drawing = self._drawing.model_copy(update={"seed": seed})
        backbone: Any = self.model.backbone
        writer = writer_of(backbone, self.model.before)
        return generate(writer, chosen, drawing, vocabulary=vocabulary_of(cast(Writing, self.task)))

    def worth(self, index: IntArray, *, seed: int, together: int) -> FloatArray:
        """Of texts drawn for the prompts ``index``: the mean reward, and the mean log ratio to the reference, float64
        [prompts, 2]. The texts of so many prompts go through a model ``together``, as many as learn."""
        texts = self.drawn(index, seed=seed)
        begins = range(0, len(index), together)
        return np.concatenate([self._worth(index[i : i + together], texts[i : i + together]) for i in begins])

    def _worth(self, index: IntArray, texts: Sequence[Sequence[Written]]) -> FloatArray:
        exact = TorchEngine(self._reference.model, self._reference.device)  # what is measured is in float32
        made, rewards, reference = self._judged(index, texts, by=exact)
        chances = chances_of(TorchEngine(self.model, self._reference.device).forward(made), made)
        ratios = chances.cpu().numpy().reshape(reference.shape) - reference
        return np.stack([rewards.mean(1), ratios.mean(1)], axis=1)

    def _judged(
        self, index: IntArray, texts: Sequence[Sequence[Written]], *, by: TorchEngine
    ) -> tuple[Batch, FloatArray, FloatArray]:
        """The batch of all texts, their rewards, and their log-probabilities by the reference, which ``by`` runs."""
        shape, flat = (len(index), self._samples), [text for each in texts for text in each]
        again = np.repeat(index, self._samples)
        ids = [[*text.ids, *([] if text.ending is None else [text.ending])] for text in flat]
        table = self.rows.table.take(pa.array(again)).append_column(TARGET, pa.array(ids, pa.list_(pa.int32())))
        if LEARNED in self.task.row_schema:
            table = table.append_column(LEARNED, pa.array([[0, len(one)] for one in ids], pa.list_(pa.int32())))
        batch = self.task.collate(Rows(table), np.arange(len(again)))
        rewards = self._reward.of([self.read[i] for i in again], [text.text or "" for text in flat])
        reference = chances_of(by.forward(batch), batch).cpu().numpy().astype(np.float64)
        return batch, rewards.reshape(shape), reference.reshape(shape)


def chances_of(outputs: Outputs, batch: Batch) -> Tensor:
    """Log-probabilities of the texts of a batch that `Policy.act` made, float32 [texts]."""
    logits = outputs["logits"].float()
    surprise = functional.cross_entropy(logits, batch["gold"].to(logits.device), reduction="none")
    return summed(-surprise, batch["counts"].to(logits.device))
