"""Numbers for channels, and which of them are one and the same as far as pruning goes.

Every channel that a layer makes gets a number. A tensor's channels are then an array of numbers along
its last axis, whatever was concatenated, flattened or added on the way. Channels that an addition puts
on top of each other can only be removed together: they are joined into one class.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pin:
    """Why channels must stay: `reason`, a clause without subject, and the layer it is true of."""

    layer: str
    reason: str

    def seen_from(self, layer: str) -> str:
        """The reason as a note on `layer`, which may be another one."""
        return self.reason if layer == self.layer else f"tied to {self.layer}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Classes:
    """Channels that stay or go together share a class.

    `of` [channels] is the class of each channel, numbered from 0 in order of first appearance;
    `pins` says for some classes why they must stay.
    """

    of: np.ndarray
    count: int
    pins: Mapping[int, Pin]


class ChannelSpace:
    """Hands out channel numbers and collects what is known about them."""

    def __init__(self) -> None:
        """No channels yet."""
        self._count = 0
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        self._pins: list[tuple[np.ndarray, Pin]] = []

    def new(self, size: int) -> np.ndarray:
        """Numbers for `size` new channels, int64 [size]."""
        self._count += size
        return np.arange(self._count - size, self._count)

    def join(self, these: np.ndarray, those: np.ndarray) -> None:
        """Channels at the same place of two arrays of one size can only go together."""
        if these.shape != those.shape:
            raise ValueError(f"{these.size} channels cannot be joined with {those.size}")
        self._pairs.append((these, those))

    def pin(self, channels: np.ndarray, layer: str, reason: str, *, foremost: bool = False) -> None:
        """These channels must stay; of several reasons a foremost one counts, else the first."""
        self._pins.insert(0 if foremost else len(self._pins), (channels, Pin(layer, reason)))

    def classes(self) -> Classes:
        """The classes that all joins make."""
        labels = self._labels()
        first, of = np.unique(labels, return_inverse=True)
        pins: dict[int, Pin] = {}
        for channels, pin in self._pins:
            for each in np.unique(of[channels]).tolist():
                pins.setdefault(each, pin)
        return Classes(of, len(first), pins)

    def _labels(self) -> np.ndarray:
        """For each channel the smallest number in its class."""
        labels = np.arange(self._count)
        if not self._pairs:
            return labels
        left, right = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        while True:
            smaller = np.minimum(labels[left], labels[right])
            lower = labels.copy()
            for end in (left, right):
                # The label's own label too: a class takes a few rounds then, not one for each of its members.
                np.minimum.at(lower, labels[end], smaller)
                np.minimum.at(lower, end, smaller)
            lower = lower[lower]
            if np.array_equal(lower, labels):
                return labels
            labels = lower
