"""Decides whether a model is good enough for the next steps of a pipeline."""

import dataclasses
import math

from frcnn.errors import UsageError

# Part of the reason why a model fails that tells the two reasons apart.
BELOW_MINIMUM = "is below the minimum"


@dataclasses.dataclass(frozen=True)
class Gate:
    """Requirements for a model's mAP.

    Attributes:
        minimum: Minimum mAP, 0 to 1.
        baseline: mAP of the model to replace; `None` if there is none.
        tolerance: Maximum difference by which the mAP may be below `baseline`.
    """

    minimum: float = 0.0
    baseline: float | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Checks the numbers.

        Raises:
            UsageError: A number is out of range.
        """
        for name, value in (("minimum mAP", self.minimum), ("baseline mAP", self.baseline or 0.0)):
            if not 0.0 <= value <= 1.0:
                raise UsageError(f"{name} {value:g}: expected a number from 0 to 1, such as 0.5 for 50 %.")
        if not (self.tolerance >= 0.0 and math.isfinite(self.tolerance)):
            raise UsageError(f"tolerance {self.tolerance:g}: expected 0 or more, in units of mAP.")

    def objections(self, mean_ap: float) -> tuple[str, ...]:
        """Returns the reasons why a model fails, for display; empty if it passes.

        Args:
            mean_ap: mAP of the model, 0 to 1.
        """
        found = []
        if mean_ap < self.minimum:
            found.append(f"mAP {mean_ap:.4f} {BELOW_MINIMUM} {self.minimum:.4f}")
        if self.baseline is not None and mean_ap < self.baseline - self.tolerance:
            found.append(
                f"mAP {mean_ap:.4f} is more than {self.tolerance:.4f} below the {self.baseline:.4f} of the "
                "model it would replace"
            )
        return tuple(found)
