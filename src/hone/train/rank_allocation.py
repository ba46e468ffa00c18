"""Which ranks of ``adalora`` are taken away when: peft's own schedule and scores, at the moments of the loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hone.core.errors import RecipeError
from hone.models.adapters.adalora import AdaLoraLinear, AdaLoraSettings
from hone.models.adapters.linear import tuned_modules
from hone.train.technique import Course, Technique

ADAPTER = "default"  # peft looks for its adapters' name in those of weights
AVERAGES = ("exp_avg_ipt", "exp_avg_unc")


class _Named(nn.Module):
    """The adapter's weights under the names that peft's allocator knows them by."""

    def __init__(self, layers: Mapping[str, AdaLoraLinear]) -> None:
        super().__init__()
        self._each = [
            (f"{name}.{own}.{ADAPTER}", value) for name, layer in layers.items() for own, value in layer.own()
        ]

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self._each)


class RankAllocation(Technique):
    """Scores every rank by what the loss would lose without it, and sets those to zero that matter least, ever more of
    them from step ``tinit`` to ``tfinal`` steps before the end; the outer matrices are held near orthogonal (Zhang et
    al. 2023, equations 4, 8 and 10).

    Args:
        settings: Of the method.
        course: Whose model is tuned by it.

    Raises:
        RecipeError: The steps before and after leave none in which ranks are taken away.
    """

    def __init__(self, settings: AdaLoraSettings, course: Course) -> None:
        from peft import AdaLoraConfig
        from peft.tuners.adalora.layer import RankAllocator

        modules = tuned_modules(course.model.backbone)
        self._layers = {name: layer for name, layer in modules.items() if isinstance(layer, AdaLoraLinear)}
        self._weight, self._steps, self._done = settings.orth_reg_weight, course.steps, 0
        last = course.steps // 3 if settings.tfinal is None else settings.tfinal
        left = max(0, course.steps - last - 1)
        first = min(course.steps // 10, left) if settings.tinit is None else settings.tinit
        if first + last >= course.steps:
            raise RecipeError(
                f"tinit {first} and tfinal {last} of adalora in a training of {course.steps:,} steps",
                expected="fewer together than the steps, or no rank would be taken away",
                fix="Leave them out: null is a tenth and a third of the steps.",
                code="recipe.adalora-steps",
            )
        self._until = course.steps - last
        named = {"init_r": settings.init_r, "target_r": settings.target_r, "deltaT": settings.deltaT,
                 "beta1": settings.beta1, "beta2": settings.beta2}  # fmt: skip
        config = AdaLoraConfig(**named, tinit=first, tfinal=last, total_step=course.steps)
        self._names = _Named(self._layers)
        self._ranks = RankAllocator(self._names, config, ADAPTER)
        self._pattern: dict[str, list[bool]] | None = None

    def penalty(self) -> Tensor:
        apart = [_from_identity(w @ w.t()) for layer in self._layers.values() for w in (layer.lora_A, layer.lora_B.t())]
        return self._weight * torch.stack(apart).mean()

    def on_backward(self) -> None:
        if self._done < self._until:
            self._ranks.update_ipt(self._names)

    def on_step(self, step: int) -> None:
        self._done = step
        budget, due = self._ranks.budget_schedule(step)
        if (step < self._until and due) or step == self._until:
            self._pattern = self._ranks.mask_to_budget(self._names, budget)
        elif step > self._until and self._pattern is not None:
            self._ranks.mask_using_rank_pattern(self._names, self._pattern)

    @property
    def ripe(self) -> int:
        """Where the ranks have come down to ``target_r``."""
        return self._until

    def state(self) -> dict[str, Tensor]:
        kept = {f"{kind}.{name}": value for kind in AVERAGES for name, value in getattr(self._ranks, kind).items()}
        pattern = {f"pattern.{name}": torch.tensor(value) for name, value in (self._pattern or {}).items()}
        return {**kept, **pattern, "done": torch.tensor(self._done)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._done = int(state["done"])
        for kind in AVERAGES:
            setattr(self._ranks, kind, _under(kind, state))
        self._ranks.ipt = dict.fromkeys(self._ranks.exp_avg_ipt, torch.zeros(()))  # made anew at each step
        self._pattern = {name: value.tolist() for name, value in _under("pattern", state).items()} or None


def _from_identity(product: Tensor) -> Tensor:
    apart: Tensor = torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device))
    return apart


def _under(kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{kind}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
