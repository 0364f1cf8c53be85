"""A map that cannot be changed, and can be hashed, pickled and copied."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class FrozenMap(Mapping[str, Value]):
    """Text -> value, sorted by key: the order of a protobuf map is not defined."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        """Takes what `dict` takes."""
        self._items = dict(sorted(dict(items).items()))

    def __getitem__(self, key: str) -> Value:
        """The value of `key`; KeyError if there is none."""
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, sorted."""
        return iter(self._items)

    def __len__(self) -> int:
        """Number of entries."""
        return len(self._items)

    def __hash__(self) -> int:
        """Of the entries, so that config objects can be keys."""
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        """`FrozenMap({'r': 1.0})`."""
        return f"FrozenMap({self._items})"
