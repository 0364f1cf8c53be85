"""Drops or repeats training images according to `sample_modifier_config`."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from frcnn.data.conversion.plan import stored_class_name
from frcnn.errors import Problem, SpecError

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import SampleModifierConfig

DEFAULT_IMBALANCE = 1.0


class SampleModifier:
    """Number of copies for each image; counts the images written to enforce the limit per fold."""

    def __init__(self, config: "SampleModifierConfig", folds: int, validation_fold: int | None) -> None:
        """Creates the modifier.

        Args:
            config: `sample_modifier_config` of a spec.
            folds: Number of folds.
            validation_fold: Fold that stays unchanged; `None` if all folds are for training.

        Raises:
            SpecError: A class name is not a value of `source_to_target_class_mapping`.
        """
        self._config = config
        self._validation_fold = validation_fold
        self._targets = {
            stored_class_name(source): target
            for source, target in config.source_to_target_class_mapping.items()
        }
        training_folds = folds if validation_fold is None else max(folds - 1, 1)
        self._limit = config.max_training_samples // training_folds if config.max_training_samples else None
        self._written: Counter[int] = Counter()
        _check_classes(config)

    def copies(self, fold: int, class_counts: Mapping[str, int]) -> int:
        """Returns how often to write an image; 0 drops it.

        Args:
            fold: Fold of the image.
            class_counts: Number of objects in the image by stored class name.
        """
        if fold == self._validation_fold:
            return 1
        targets: Counter[str] = Counter()
        for name, count in class_counts.items():
            if name in self._targets:
                targets[self._targets[name]] += count
        copies = self._wanted(targets)
        if self._limit is not None:
            copies = min(copies, self._limit - self._written[fold])
        self._written[fold] += copies
        return copies

    def _wanted(self, targets: Counter[str]) -> int:
        if len(targets) == 1 and next(iter(targets)) in self._config.filter_samples_containing_only:
            return 0
        return 1 + self._config.num_duplicates if self._has_rare_classes(targets) else 1

    def _has_rare_classes(self, targets: Counter[str]) -> bool:
        dominant = self._config.dominant_target_classes
        if not dominant:
            return False
        dominant_count = sum(targets[name] for name in set(dominant))
        imbalance = self._config.minimum_target_class_imbalance
        return any(
            count > imbalance.get(name, DEFAULT_IMBALANCE) * dominant_count
            for name, count in targets.items()
            if name not in dominant
        )


def _check_classes(config: "SampleModifierConfig") -> None:
    known = sorted(set(config.source_to_target_class_mapping.values()))
    problems = [
        Problem(
            f"sample_modifier_config.{field}",
            f'"{name}" is not a value of source_to_target_class_mapping; expected one of {", ".join(known)}',
        )
        for field in ("filter_samples_containing_only", "dominant_target_classes")
        for name in getattr(config, field)
        if name not in known
    ]
    if problems:
        raise SpecError("dataset export spec", problems)
