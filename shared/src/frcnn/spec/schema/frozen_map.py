"""Immutable map that can be hashed, pickled and copied."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class FrozenMap(Mapping[str, Value]):
    """Immutable map with string keys, sorted by key because protobuf maps have no defined order."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        """Creates the map.

        Args:
            items: Mapping, or (key, value) pairs.
        """
        self._items = dict(sorted(dict(items).items()))

    def __getitem__(self, key: str) -> Value:
        """Returns the value of `key`; raises `KeyError` if it is missing."""
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        """Iterates over the keys in sorted order."""
        return iter(self._items)

    def __len__(self) -> int:
        """Returns the number of entries."""
        return len(self._items)

    def __hash__(self) -> int:
        """Returns a hash of the entries, so that config objects can be dictionary keys."""
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        """Returns a text such as `FrozenMap({'r': 1.0})`."""
        return f"FrozenMap({self._items})"
