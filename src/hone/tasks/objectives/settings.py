"""The table of objectives, their settings, and which kind of model each is for; no torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hone.core.settings import Settings
from hone.core.tables import Table
from hone.models.architectures import Stack

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NEARLY = 1e-9  # of 1: sums of shares are those of floats

OBJECTIVES = Table(
    "objective",
    {
        "mlm": "hone.tasks.objectives.settings:MLM",
        "clm": "hone.tasks.objectives.settings:CLM",
        "span-corruption": "hone.tasks.objectives.settings:SPAN_CORRUPTION",
        "denoising": "hone.tasks.objectives.settings:DENOISING",
        "nsp": "hone.tasks.objectives.settings:NSP",
        "sop": "hone.tasks.objectives.settings:SOP",
        "rtd": "hone.tasks.objectives.settings:RTD",
        "contrastive": "hone.tasks.objectives.settings:CONTRASTIVE",
        "vae": "hone.tasks.objectives.settings:VAE",
        "aae": "hone.tasks.objectives.settings:AAE",
    },
    group="hone.objectives",
)


def sentinel(number: int) -> str:
    """How T5's vocabulary calls a mark that stands in place of a span."""
    return f"<extra_id_{number}>"


class DocumentSettings(Settings):
    """How documents become rows, beside how long a row may be.

    Attributes:
        segmenter: Digest of what cuts Chinese into words; ``characters``: each character is one.
    """

    segmenter: str = "characters"


@dataclass(frozen=True)
class ObjectiveEntry:
    """An entry of the table.

    Attributes:
        name: Its name in recipes.
        settings: Its settings model.
        work: ``module:class`` of the objective, a `hone.tasks.objectives.objective.DocumentObjective`.
        stack: What kind of model learns by it.
        masks: Whether it hides tokens, so that the vocabulary has to have a token for them.
        marks: Whether T5's marks do for that as well.
        noisy: Whether it lives by dropout.
    """

    name: str
    settings: type[ObjectiveSettings]
    work: str
    stack: Stack
    masks: bool = False
    marks: bool = False
    noisy: bool = False

    @property
    def kind(self) -> Any:
        """The objective's class."""
        module, _, name = self.work.partition(":")
        return getattr(importlib.import_module(module), name)


class ObjectiveSettings(Settings):
    """What every objective may be told.

    Attributes:
        weight: Of its mean loss beside those of the others.
    """

    weight: Positive = 1.0


class MlmSettings(ObjectiveSettings):
    """Settings of ``mlm``: masked language modeling (Devlin et al. 2019), other tokens hidden in every step (Liu et al.
    2019).

    Attributes:
        mlm_probability: Share of the tokens that are to be told.
        masking: What is hidden together: single ``tokens``; all pieces of a word (``words``), a Chinese character
            being a word unless the stage has a ``segmenter``; or ``spans`` of words (Joshi et al. 2020).
        mask_replace_prob: Share of the tokens to tell in whose places the mask stands; of ``spans`` all fare alike.
        random_replace_prob: Share in whose places another token stands. The rest stays as it is.
    """

    mlm_probability: Share = 0.15
    masking: Literal["tokens", "words", "spans"] = "tokens"
    mask_replace_prob: Annotated[float, Field(ge=0, le=1)] = 0.8
    random_replace_prob: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _shares(self) -> Self:
        total = self.mask_replace_prob + self.random_replace_prob
        if total > 1 + NEARLY:
            raise ValueError(f"mask_replace_prob and random_replace_prob of at most 1 together, not {total:g}")
        return self


class ClmSettings(ObjectiveSettings):
    """Settings of ``clm``: each token is told from those before it (Radford et al. 2019)."""


class SpanCorruptionSettings(ObjectiveSettings):
    """Settings of ``span-corruption`` (Raffel et al. 2020): spans of a text are taken out, and written after the marks
    that stand in their places. The marks are T5's, where the vocabulary has them, else its mask token.

    Attributes:
        noise_density: Share of the tokens that are taken out.
        mean_noise_span_length: Tokens of a span on average.
    """

    noise_density: Share = 0.15
    mean_noise_span_length: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 3.0


class DenoisingSettings(ObjectiveSettings):
    """Settings of ``denoising`` (Lewis et al. 2020): a text is written again from one in which spans are masked, one
    mask for each, and sentences stand in another order.

    Attributes:
        mask_ratio: Share of the tokens that are masked.
        poisson_lambda: Tokens of a span on average, drawn from a Poisson distribution; one of none puts a mask in.
        permute_sentences: Whether sentences change places.
    """

    mask_ratio: Share = 0.3
    poisson_lambda: Positive = 3.0
    permute_sentences: bool = True


class NspSettings(ObjectiveSettings):
    """Settings of ``nsp``: whether the second of two parts comes after the first in the text, or from another
    document (Devlin et al. 2019)."""


class SopSettings(ObjectiveSettings):
    """Settings of ``sop``: whether two parts of a text stand in their order or the other way (Lan et al. 2020)."""


class RtdSettings(ObjectiveSettings):
    """Settings of ``rtd``: which tokens a small generator, that learns ``mlm`` beside it, has replaced (Clark et al.
    2020). The generator is not kept.

    Attributes:
        mlm_probability: Share of the tokens that the generator tells.
        discriminator_weight: Of the loss a token beside the generator's.
        generator_size: Width of the generator beside the base's.
        generator_layers: Its layers.
    """

    mlm_probability: Share = 0.15
    discriminator_weight: Positive = 50.0
    generator_size: Annotated[float, Field(gt=0, le=1)] = 0.25
    generator_layers: Annotated[int, Field(ge=1)] = 2


class ContrastiveSettings(ObjectiveSettings):
    """Settings of ``contrastive``: the vectors of a text and its pair, or of a text without one that is read twice
    under other masks of dropout, are to be nearer to one another than to those of the other texts of the batch (Gao et
    al. 2021).

    Attributes:
        temperature: Cosines are divided by.
        pooling: What of the states the vector is.
    """

    temperature: Positive = 0.05
    pooling: Literal["mean", "cls"] = "mean"


class AutoencoderSettings(ObjectiveSettings):
    """What both autoencoders may be told. Neither code nor decoder is kept: a code is a linear layer over the mean of
    the base's states, which hold what it holds.

    Attributes:
        latent_size: Numbers of a text's code.
        decoder_size: Width of the decoder beside the base's.
        decoder_layers: Its layers.
    """

    latent_size: Annotated[int, Field(ge=1)] = 64
    decoder_size: Annotated[float, Field(gt=0, le=4)] = 1.0
    decoder_layers: Annotated[int, Field(ge=1)] = 1


class VaeSettings(AutoencoderSettings):
    """Settings of ``vae``: a text is written again from a code drawn from a normal distribution of its own, whose
    divergence from a standard one it costs (Bowman et al. 2016).

    Attributes:
        kl_weight: What the divergence costs in the end: at 1 the loss is the bound on the text's likelihood.
        kl_warmup: Share of the training over which that rises from nothing.
        free_bits: Bits of each number's mean divergence that cost nothing (Kingma et al. 2016).
        word_dropout: Share of the tokens that are hidden from the decoder.
    """

    kl_weight: Positive = 1.0
    kl_warmup: Annotated[float, Field(ge=0, le=1)] = 0.5
    free_bits: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.25
    word_dropout: Annotated[float, Field(ge=0, le=1)] = 0.3


class AaeSettings(AutoencoderSettings):
    """Settings of ``aae``: a text that lost some tokens is written again from its code, and a discriminator tells codes
    from draws of a standard normal distribution, which the codes learn to be like (Makhzani et al. 2016; Shen et al.
    2020).

    Attributes:
        word_deletion: Share of the tokens that are not read.
        adversarial_weight: Of the loss of being told apart in the end, beside the sum of the tokens'.
        adversarial_warmup: Share of the training over which that rises from nothing.
        discriminator_size: Width of the discriminator's inner layers.
        discriminator_rate: Its learning rate, in those of all others.
    """

    word_deletion: Annotated[float, Field(ge=0, lt=1)] = 0.3
    adversarial_weight: Positive = 1.0
    adversarial_warmup: Annotated[float, Field(ge=0, le=1)] = 1.0
    discriminator_size: Annotated[int, Field(ge=1)] = 256
    discriminator_rate: Positive = 1.0


MLM = ObjectiveEntry("mlm", MlmSettings, "hone.tasks.objectives.mlm:MaskedLanguage", "encoder", masks=True)
CLM = ObjectiveEntry("clm", ClmSettings, "hone.tasks.objectives.clm:CausalLanguage", "decoder")
SPAN_CORRUPTION = ObjectiveEntry(
    "span-corruption",
    SpanCorruptionSettings,
    "hone.tasks.objectives.rewriting:SpanCorruption",
    "encoder-decoder",
    masks=True,
    marks=True,
)
DENOISING = ObjectiveEntry(
    "denoising", DenoisingSettings, "hone.tasks.objectives.rewriting:Denoising", "encoder-decoder", masks=True
)
NSP = ObjectiveEntry("nsp", NspSettings, "hone.tasks.objectives.parts:NextSentence", "encoder")
SOP = ObjectiveEntry("sop", SopSettings, "hone.tasks.objectives.parts:SentenceOrder", "encoder")
RTD = ObjectiveEntry("rtd", RtdSettings, "hone.tasks.objectives.rtd:ReplacedTokenDetection", "encoder", masks=True)
CONTRASTIVE = ObjectiveEntry(
    "contrastive", ContrastiveSettings, "hone.tasks.objectives.contrastive:Contrastive", "encoder", noisy=True
)
VAE = ObjectiveEntry("vae", VaeSettings, "hone.tasks.objectives.vae:VariationalText", "encoder", masks=True)
AAE = ObjectiveEntry("aae", AaeSettings, "hone.tasks.objectives.aae:AdversarialText", "encoder")
