"""Texts through codes of a few numbers, and back: what stands on a base to learn it as the reader of an autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hone.models.body import body_of
from hone.models.heads import Head, Outputs, linear_layer, mean_state


class TextOfCode(nn.Module):
    """Writes a text from its code: an LSTM that begins with the code and reads it beside every token (Bowman et al.
    2016). Embeddings, and with them the output, are the base's.

    Args:
        embedded: Width of the base's token embeddings.
        latent: Numbers of a code.
        inner: Width of the LSTM.
        layers: Its layers.
    """

    def __init__(self, *, embedded: int, latent: int, inner: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.begin = linear_layer(latent, 2 * layers * inner)
        self.before = nn.LayerNorm(embedded)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(embedded + latent, inner, layers, batch_first=True)
        self.up, self.after = linear_layer(inner, embedded), nn.LayerNorm(embedded)

    def forward(self, codes: Tensor, written: Tensor, places: Tensor, table: Tensor) -> Tensor:
        """Scores [n, vocabulary] of the tokens after ``places``, int64 [n, 2], of texts ``written``, int64 [batch,
        tokens], whose codes are float [batch, latent]."""
        read = self.dropout(self.before(functional.embedding(written, table)))
        read = torch.cat([read, codes[:, None].expand(-1, written.shape[1], -1)], dim=2)
        hidden, cell = self.begin(codes).view(len(codes), 2, -1, self.lstm.hidden_size).permute(1, 2, 0, 3)
        begun = (torch.tanh(hidden).float().contiguous(), cell.float().contiguous())
        with torch.autocast(read.device.type, enabled=False):  # cuDNN's runs in float16 even where bf16 is asked for
            states, _ = self.lstm(read.float(), begun)
        found = self.dropout(states[places[:, 0], places[:, 1]])
        return self.after(functional.gelu(self.up(found))) @ table.T  # type: ignore[no-any-return]


class Autoencoder(Head):
    """Base of both: codes are made of the mean of the base's states. ``written``, int64 [batch, tokens], is what the
    decoder reads, ``target_places``, int64 [n, 2], are the places whose next tokens it tells, as ``logits`` [n,
    vocabulary].

    Args:
        latent: Numbers of a code.
        size: Width of the decoder beside the base's.
        layers: Of the decoder.
    """

    sparse: ClassVar[bool] = True
    tied: ClassVar[bool] = True
    axes: ClassVar[tuple[str, ...]] = ("places",)
    drawn: ClassVar[str]  # an entry of a batch, float32 [batch, latent]: draws from a standard normal distribution

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        width: int,
        dropout: float,
        embedded: int,
        latent: int,
        size: float,
        layers: int,
    ) -> None:
        super().__init__()
        self.mean = linear_layer(width, latent)
        inner = max(1, round(width * size))
        self.decoder = TextOfCode(embedded=embedded, latent=latent, inner=inner, layers=layers, dropout=dropout)

    def codes(self, read: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Outputs]:
        """Of a vector a text, [batch, width], its code, float [batch, latent], and scores beside the decoder's."""
        raise TypeError(f"{type(self).__name__} makes no codes")

    def scores(self, backbone: Any, given: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Outputs:
        body = body_of(backbone)
        states = body(**given).last_hidden_state
        codes, beside = self.codes(mean_state(states, given["attention_mask"]), batch)
        table = backbone.get_input_embeddings().weight
        return {"logits": self.decoder(codes, batch["written"], batch["target_places"], table), **beside}

    def forward(self, states: Any, batch: Mapping[str, Tensor]) -> Outputs:
        """What `scores` gives."""
        found: Outputs = states
        return found

    def entries(self) -> tuple[str, ...]:
        return ("written", "target_places", self.drawn)


class VariationalAutoencoder(Autoencoder):
    """A text's code is drawn from a normal distribution of its own (Kingma and Welling 2014): ``means`` and
    ``log_variances``, float [batch, latent]. The variances begin at 1."""

    drawn = "noise"

    def __init__(self, labels: tuple[str, ...], **sizes: Any) -> None:
        super().__init__(labels, **sizes)
        self.log_variance = nn.Linear(self.mean.in_features, self.mean.out_features)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.zeros_(self.log_variance.bias)

    def codes(self, read: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Outputs]:
        means, log_variances = self.mean(read), self.log_variance(read)
        drawn = means + torch.exp(log_variances / 2) * batch["noise"]
        return drawn, {"means": means, "log_variances": log_variances}


class AdversarialAutoencoder(Autoencoder):
    """A discriminator tells codes from draws of the prior (Makhzani et al. 2016). Its scores, above zero where it takes
    a code for a draw, are of the ``codes`` themselves as ``fooled`` [batch], through which it learns nothing, and as
    ``told`` [2 * batch], of the codes and then of the draws ``prior``, through which nothing else learns.

    Args:
        discriminator: Width of its two inner layers.
        rate: What the discriminator learns at, beside the peak rate of what it tells (Heusel et al. 2017).
    """

    drawn = "prior"

    def __init__(self, labels: tuple[str, ...], *, discriminator: int, rate: float, **sizes: Any) -> None:
        super().__init__(labels, **sizes)
        latent, self._rate = self.mean.out_features, rate
        nn.init.normal_(self.mean.weight, std=self.mean.in_features**-0.5)  # codes in a point are never told apart
        self.discriminator = nn.Sequential(
            nn.Linear(latent, discriminator), nn.LeakyReLU(0.2), nn.Linear(discriminator, discriminator),
            nn.LeakyReLU(0.2), linear_layer(discriminator, 1),
        )  # fmt: skip

    def codes(self, read: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Outputs]:
        codes = self.mean(read)
        fixed = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, fixed, (codes,)).squeeze(1)
        told = self.discriminator(torch.cat([codes.detach(), batch["prior"].to(codes.dtype)])).squeeze(1)
        return codes, {"codes": codes, "fooled": fooled, "told": told}

    def rates(self) -> dict[str, float]:
        return {f"discriminator.{name}": self._rate for name, _ in self.discriminator.named_parameters()}
