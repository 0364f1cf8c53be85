"""Settings of a pruning, checked on creation. Names are those of the command's flags."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

from frcnn.errors import UsageError

Normalizer: TypeAlias = Literal["max", "L2"]
Criterion: TypeAlias = Literal["union", "intersection", "arithmetic_mean", "geometric_mean"]
NORMALIZERS: tuple[str, ...] = get_args(Normalizer)
CRITERIA: tuple[str, ...] = get_args(Criterion)


@dataclasses.dataclass(frozen=True)
class PruneSettings:
    """Settings of a pruning.

    Attributes:
        normalizer: Normalization of the norms of a layer's n filters: `max` divides by the largest norm,
            `L2` divides by the L2 norm of all n norms and multiplies by n.
        equalization_criterion: Rule that merges the scores of coupled filters.
        pruning_granularity: Each layer keeps a multiple of this many filters, or all.
        pruning_threshold: Filters with a higher score are kept.
        min_num_filters: Minimum number of filters per layer; all, if there are fewer.
        excluded_layers: Names of layers whose outputs are not pruned.
        target_params: Largest fraction of parameters to keep. Replaces the threshold.
        target_flops: Largest fraction of operations to keep. Replaces the threshold.
        rois: Number of RoIs per image in the operation count of the head.
    """

    normalizer: Normalizer = "max"
    equalization_criterion: Criterion = "union"
    pruning_granularity: int = 8
    pruning_threshold: float = 0.1
    min_num_filters: int = 16
    excluded_layers: tuple[str, ...] = ()
    target_params: float | None = None
    target_flops: float | None = None
    rois: int = 300

    def __post_init__(self) -> None:
        """Raises UsageError for all invalid values at once."""
        problems = [*self._choices(), *self._numbers()]
        if problems:
            raise UsageError("\n".join(problems), argument=problems[0].partition(" ")[0])

    @property
    def has_target(self) -> bool:
        """Returns whether the threshold has to be searched."""
        return self.target_params is not None or self.target_flops is not None

    def _choices(self) -> Iterator[str]:
        for name, allowed in (("normalizer", NORMALIZERS), ("equalization_criterion", CRITERIA)):
            if getattr(self, name) not in allowed:
                yield f"{name} {getattr(self, name)}: expected one of {', '.join(allowed)}"

    def _numbers(self) -> Iterator[str]:
        for name in ("pruning_granularity", "min_num_filters", "rois"):
            if getattr(self, name) < 1:
                yield f"{name} {getattr(self, name)}: expected 1 or more"
        if not (math.isfinite(self.pruning_threshold) and self.pruning_threshold >= 0):
            yield f"pruning_threshold {self.pruning_threshold:g}: expected a number from 0 up"
        for name in ("target_params", "target_flops"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                yield f"{name} {share:g}: expected a fraction of the original between 0 and 1, such as 0.15"
