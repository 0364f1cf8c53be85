"""Numbers the channels of a network and records which of them must be pruned together.

Every channel that a layer creates gets a number. The channels of a tensor are an array of these
numbers along its last axis, after any concatenation, flattening or addition. Channels that an addition
sums up can only be removed together: they are joined into one class.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class KeepReason:
    """Reason why channels must stay.

    Attributes:
        layer: Name of the layer that the reason applies to.
        reason: The reason, as a clause without a subject.
    """

    layer: str
    reason: str

    def seen_from(self, layer: str) -> str:
        """Formats the reason as a note on `layer`, which may be another layer."""
        return self.reason if layer == self.layer else f"tied to {self.layer}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Classes:
    """Classes of channels that are kept or removed together.

    Attributes:
        of: Class of each channel, int64 `[channels]`, numbered from 0 in order of first appearance.
        count: Number of classes.
        pins: For each class that must stay, the reason.
    """

    of: np.ndarray
    count: int
    pins: Mapping[int, KeepReason]


class ChannelSpace:
    """Assigns channel numbers and collects the constraints between channels."""

    def __init__(self) -> None:
        """Creates a space without channels."""
        self._count = 0
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._pins: list[tuple[np.ndarray, KeepReason]] = []

    def new(self, size: int) -> np.ndarray:
        """Returns numbers for `size` new channels, int64 `[size]`."""
        self._count += size
        return np.arange(self._count - size, self._count)

    def join(self, these: np.ndarray, those: np.ndarray) -> None:
        """Couples two equal-sized channel arrays elementwise; pruning treats each pair as one.

        Raises:
            ValueError: The sizes differ.
        """
        if these.shape != those.shape:
            raise ValueError(f"{these.size} channels cannot be joined with {those.size}")
        self._pairs.append((these, those))

    def pin(self, channels: np.ndarray, layer: str, reason: str, *, preferred: bool = False) -> None:
        """Marks channels that must stay.

        Args:
            channels: Channel numbers, int64 `[n]`.
            layer: Name of the layer that requires them.
            reason: The reason, as a clause without a subject.
            preferred: Whether this reason is reported in preference to others. Otherwise the first one is.
        """
        self._pins.insert(0 if preferred else len(self._pins), (channels, KeepReason(layer, reason)))

    def classes(self) -> Classes:
        """Returns the classes that result from all joins."""
        labels = self._labels()
        first, of = np.unique(labels, return_inverse=True)
        pins: dict[int, KeepReason] = {}
        for channels, pin in self._pins:
            for each in np.unique(of[channels]).tolist():
                pins.setdefault(each, pin)
        return Classes(of, len(first), pins)

    def _labels(self) -> np.ndarray:
        """Returns the smallest channel number in the class of each channel."""
        labels = np.arange(self._count)
        if not self._pairs:
            return labels
        left, right = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        while True:
            smaller = np.minimum(labels[left], labels[right])
            lower = labels.copy()
            for end in (left, right):
                # Lowering the label's own label as well makes large classes converge in a few rounds.
                np.minimum.at(lower, labels[end], smaller)
                np.minimum.at(lower, end, smaller)
            lower = lower[lower]
            if np.array_equal(lower, labels):
                return labels
            labels = lower
