"""Spec of a search or a trial. This is the only module of this package that sees the fields of a spec."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from frcnn.errors import SpecError
from frcnn.spec.load import parse_experiment
from frcnn.spec.schema.experiment import Experiment

_SETTING_IN_MESSAGE = re.compile(r" \(--set .*\)$", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class TunedSpec:
    """Spec that a search starts from, or that a trial trains.

    Attributes:
        experiment: The checked spec.
    """

    experiment: Experiment

    @property
    def source(self) -> str:
        """Name of the spec in messages; empty if it was built in Python."""
        return self.experiment.source

    @property
    def epochs(self) -> int:
        """Number of epochs of the training."""
        return self.experiment.training_config.num_epochs

    @property
    def seed(self) -> int:
        """Random seed."""
        return self.experiment.random_seed

    @property
    def rois(self) -> int:
        """Number of RoIs per image in inference."""
        return self.experiment.inference_config.rpn_nms_max_boxes

    @property
    def has_validation_set(self) -> bool:
        """Checks whether the spec names a validation set."""
        data = self.experiment.dataset_config
        return data.validation_data_source is not None or data.validation_fold is not None

    def value(self, path: str) -> Any:
        """Returns the value of a field.

        Args:
            path: Path of the field.

        Returns:
            Its value; a tuple for a list, `None` if it is not set.
        """
        value: Any = self.experiment
        for name, place in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
            value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
            if place and isinstance(value, tuple):
                value = value[int(place)] if int(place) < len(value) else None
            if value is None:
                return None
        return value

    def numbers(self, path: str) -> tuple[float, ...]:
        """Returns the numbers of a field.

        Args:
            path: Path of the field.

        Returns:
            Its items, or its single value; empty if it is not set.
        """
        value = self.value(path)
        if value is None:
            return ()
        return tuple(value) if isinstance(value, tuple) else (value,)

    def with_settings(self, settings: Sequence[str]) -> "TunedSpec":
        """Returns the spec with other values.

        Args:
            settings: Texts `FIELD=VALUE`.

        Returns:
            The checked copy.

        Raises:
            SpecError: The values are invalid or contradict each other.
        """
        text = self.to_text(secrets=True)
        return TunedSpec(parse_experiment(text, self.source, remarks=False, settings=settings).spec)

    def error_of(self, setting: str) -> str | None:
        """Returns the error in a value; `None` if the spec accepts it.

        Args:
            setting: Text `FIELD=VALUE`.
        """
        try:
            self.with_settings([setting])
        except SpecError as error:
            return _SETTING_IN_MESSAGE.sub("", error.problems[0].message)
        return None

    def to_text(self, *, secrets: bool = False) -> str:
        """Returns the spec as protobuf text.

        Args:
            secrets: Whether to include keys.
        """
        return self.experiment.to_text(secrets=secrets)
