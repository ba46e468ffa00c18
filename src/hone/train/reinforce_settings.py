"""Settings of ``reinforce``; no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hone.bundle.stage import Stage
from hone.core.extras import TO_TRAIN
from hone.train.settings import FinetuneSettings, Positive

PROMPTS = "unlabeled"  # the one name of data without targets


class ReinforceSettings(FinetuneSettings):
    """Settings of the stage ``reinforce``; those of ``finetune`` mean the same, but for what is said here.

    Attributes:
        reward: The folder of the bundle that tells how good a text is: it labels texts, or gives them a number.
        label: The label whose probability is the reward; none where ``reward`` gives numbers.
        samples: Texts that are drawn for each prompt of a step; each is judged beside the mean of the others.
        beta: What a nat of log ratio to the parent costs of the reward: the smaller, the further the model may go.
        per_device_train_batch_size: Prompts of one forward pass, of ``samples`` texts each.
    """

    reward: Annotated[str, Field(min_length=1)]
    label: str = ""
    samples: Annotated[int, Field(ge=2)] = 4
    beta: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    num_train_epochs: Positive = 1.0
    learning_rate: Positive = 2e-5
    per_device_train_batch_size: Annotated[int, Field(ge=1)] = 8


REINFORCE = Stage(
    kind="reinforce",
    settings=ReinforceSettings,
    reads=(PROMPTS,),
    changes="model",
    work="hone.train.reinforce:reinforce",
    check="hone.train.prefer_faults:find_reinforce_faults",
    needs_bundle=True,
    bundles=("reward",),
    writes=True,
    needs=TO_TRAIN,
    shared=True,
)
