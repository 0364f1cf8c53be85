"""Drops or repeats training images according to `sample_modifier_config`."""

from collections import Counter
from collections.abc import Mapping

from frcnn.class_names import stored_class_name
from frcnn.data.conversion.settings import SampleSettings

DEFAULT_IMBALANCE = 1.0


class SampleModifier:
    """Number of copies for each image; counts the images written to enforce the limit per fold."""

    def __init__(self, settings: SampleSettings, folds: int, validation_fold: int | None) -> None:
        """Creates the modifier.

        Args:
            settings: Changes to make.
            folds: Number of folds.
            validation_fold: Fold that stays unchanged; `None` if all folds are for training.
        """
        self._settings = settings
        self._validation_fold = validation_fold
        self._targets = {
            stored_class_name(source): target for source, target in settings.class_mapping.items()
        }
        training_folds = folds if validation_fold is None else max(folds - 1, 1)
        self._limit = settings.most // training_folds if settings.most else None
        self._written: Counter[int] = Counter()

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
        if len(targets) == 1 and next(iter(targets)) in self._settings.dropped:
            return 0
        return 1 + self._settings.duplicates if self._has_rare_classes(targets) else 1

    def _has_rare_classes(self, targets: Counter[str]) -> bool:
        dominant = self._settings.dominant
        if not dominant:
            return False
        dominant_count = sum(targets[name] for name in set(dominant))
        imbalance = self._settings.imbalance
        return any(
            count > imbalance.get(name, DEFAULT_IMBALANCE) * dominant_count
            for name, count in targets.items()
            if name not in dominant
        )
