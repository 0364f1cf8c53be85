"""Which training images are left out, and which are written several times."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from frcnn.data.conversion.plan import stored_class_name
from frcnn.errors import Problem, SpecError

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import SampleModifierConfig

DEFAULT_IMBALANCE = 1.0


class SampleModifier:
    """Decides image by image; counts what it lets through, for the limit by fold."""

    def __init__(self, config: "SampleModifierConfig", folds: int, validation_fold: int | None) -> None:
        """`validation_fold` stays as it is; None means that every fold is for training.

        Raises:
            SpecError: A class is named that is no value of the mapping.
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
        """How often to write an image with so many objects of each (lower-case) class; 0 leaves it out."""
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
            f'"{name}" is no value of source_to_target_class_mapping; expected one of {", ".join(known)}',
        )
        for field in ("filter_samples_containing_only", "dominant_target_classes")
        for name in getattr(config, field)
        if name not in known
    ]
    if problems:
        raise SpecError("dataset export spec", problems)
