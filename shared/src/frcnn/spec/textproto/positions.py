"""Positions of spec fields in their text."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from frcnn.errors import Problem


class TextPosition(NamedTuple):
    """Position in a text. Line and column count from 1."""

    line: int
    column: int


class Positions:
    """Mapping from field paths to the position of the occurrence that is used, which is the last one.

    Paths are those of `Problem`, for example `dataset_config.data_sources[1].tfrecords_path`. For map
    entries, `target_class_mapping["van"]` has the position of the value, and
    `target_class_mapping["van"].key` that of the key. The map also records fields that are set with `--set`.
    """

    def __init__(self) -> None:
        """Creates an empty map."""
        self._places: dict[str, TextPosition] = {}
        self._inner: dict[str, dict[str, None]] = {}
        self._settings: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        """Checks whether the field is set, in the text or with `--set`."""
        return path in self._places or path in self._settings

    def paths(self) -> Iterator[str]:
        """Yields the paths of fields in the text."""
        yield from self._places

    def record_set(self, path: str, setting: str) -> None:
        """Records that a field is set with `--set`.

        Args:
            path: Path of the field.
            setting: Setting as the user wrote it.
        """
        self.forget(path)
        self._settings[path] = setting
        self._index(path)

    def setting(self, path: str) -> str | None:
        """Returns the `--set` setting of a field.

        Args:
            path: Path of the field.

        Returns:
            Setting as the user wrote it; `None` if the field was not set this way.
        """
        return self._settings.get(path)

    def record(self, path: str, place: TextPosition) -> None:
        """Records the position of a field and replaces an earlier one.

        Args:
            path: Path of the field.
            place: Position in the text.
        """
        if path not in self._places:
            self._index(path)
        self._places[path] = place

    def take(self, path: str) -> TextPosition | None:
        """Removes a position and returns it.

        Args:
            path: Path of the field.

        Returns:
            Position; `None` if there was none.
        """
        return self._places.pop(path, None)

    def forget(self, path: str) -> None:
        """Removes a field and everything below it, after another member of its oneof was set.

        Args:
            path: Path of the field.
        """
        doomed = [path]
        while doomed:
            each = doomed.pop()
            self._places.pop(each, None)
            self._settings.pop(each, None)
            doomed += self._inner.pop(each, {})

    def _index(self, path: str) -> None:
        """Enters a path and the blocks around it below their parents."""
        while path:
            inner = self._inner.setdefault(_parent(path), {})
            if path in inner:
                return
            inner[path] = None
            path = _parent(path)

    def nearest(self, path: str) -> TextPosition | None:
        """Finds the position of a field or of the innermost enclosing block that is in the text.

        Args:
            path: Path of the field.

        Returns:
            Position; `None` if neither the field nor an enclosing block is in the text.
        """
        while path:
            if path in self._places:
                return self._places[path]
            path = _parent(path)
        return None

    def locate(self, problem: Problem) -> Problem:
        """Adds line and column to a problem if its field or an enclosing block is in the text.

        Args:
            problem: Problem without a position.

        Returns:
            Problem with a position. If the field was set with `--set`, the message has the setting instead.
        """
        if (setting := self.setting(problem.path)) is not None:
            return dataclasses.replace(problem, message=f"{problem.message} (--set {setting})")
        place = self.nearest(problem.path)
        if problem.line is not None or place is None:
            return problem
        return dataclasses.replace(problem, line=place.line, column=place.column)


def not_following(problems: Iterable[Problem], doubtful: Collection[str]) -> list[Problem]:
    """Removes problems that merely follow from a field whose value is unknown.

    Args:
        problems: Problems to choose from.
        doubtful: Paths of the fields.
    """
    return [
        problem
        for problem in problems
        if not any(_is_inside(problem.path, path) or _is_inside(path, problem.path) for path in doubtful)
    ]


def _is_inside(path: str, outer: str) -> bool:
    """Checks whether a path is equal to another one or below it."""
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def enclosing(paths: Iterable[str]) -> set[str]:
    """Returns the paths of all blocks around fields.

    Args:
        paths: Paths of the fields.
    """
    found: set[str] = set()
    for each in paths:
        while (each := _parent(each)) and each not in found:
            found.add(each)
    return found


def _parent(path: str) -> str:
    if path.endswith('"]'):
        return path[: path.index('["')]
    if path.endswith("]"):
        return path[: path.rindex("[")]
    return path.rpartition(".")[0]
