"""Settings of a search."""

import dataclasses
from pathlib import Path
from typing import Literal

from frcnn.tuning.space import Space
from frcnn.tuning.tuned_spec import TunedSpec

Objective = Literal["mAP", "flops", "latency"]
Pruner = Literal["asha", "hyperband", "none"]

# mAP is maximized; the other objectives are minimized.
DIRECTIONS: dict[Objective, Literal["maximize", "minimize"]] = {
    "mAP": "maximize",
    "flops": "minimize",
    "latency": "minimize",
}
# Titles for people, with units.
TITLES: dict[Objective, str] = {
    "mAP": "validation mAP",
    "flops": "operations per image, G",
    "latency": "latency per image, ms",
}
PRUNERS: tuple[Pruner, ...] = ("asha", "hyperband", "none")


@dataclasses.dataclass(frozen=True)
class TuneSettings:
    """Settings of a search, resolved and checked.

    Attributes:
        spec: Spec that the search starts from.
        space: Fields to vary.
        folder: Results folder.
        trials: Number of trials of the whole study, including those of earlier runs.
        hours: Time for the whole study, h, including that of earlier runs; `None`: no limit.
        jobs: Maximum number of concurrent trials.
        objectives: Objectives to optimize; `mAP` first.
        pruner: Rule that ends bad trials early.
        seed: Seed of the search.
        mixed: Whether the trials compute their layers in 16 bits.
    """

    spec: TunedSpec
    space: Space
    folder: Path
    trials: int
    hours: float | None
    jobs: int
    objectives: tuple[Objective, ...]
    pruner: Pruner
    seed: int
    mixed: bool = False

    @property
    def epochs(self) -> int:
        """Number of epochs of a trial that is not stopped early."""
        return self.spec.epochs
