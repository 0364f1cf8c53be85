"""Where in a spec's text each field stands."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from frcnn.errors import Problem


class Place(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


class Positions:
    """Field path -> place of the occurrence that counts, the last one.

    Paths are those of `Problem`: `dataset_config.data_sources[1].tfrecords_path`; entries of a map
    end in the key: `target_class_mapping["van"]` is the place of the value, `...["van"].key` that of the key.
    """

    def __init__(self) -> None:
        """Knows no place yet."""
        self._places: dict[str, Place] = {}
        self._inner: dict[str, list[str]] = {}
        self._settings: dict[str, str] = {}

    def __contains__(self, path: str) -> bool:
        """Whether the field stands in the text, or is set beside it."""
        return path in self._places or path in self._settings

    def paths(self) -> Iterator[str]:
        """Yields the paths that stand in the text."""
        yield from self._places

    def record_set(self, path: str, setting: str) -> None:
        """Notes that `path` is set beside the text, by `setting` as the user wrote it."""
        self.forget(path)
        self._settings[path] = setting

    def setting(self, path: str) -> str | None:
        """Returns what set `path` beside the text; None if nothing did."""
        return self._settings.get(path)

    def record(self, path: str, place: Place) -> None:
        """`path` stands at `place`; an earlier place is forgotten."""
        if path not in self._places:
            self._inner.setdefault(_parent(path), []).append(path)
        self._places[path] = place

    def take(self, path: str) -> Place | None:
        """The place of `path`, which is then forgotten; None if it has none."""
        return self._places.pop(path, None)

    def forget(self, path: str) -> None:
        """`path`, and all below it, no longer counts: another member of its oneof came later."""
        doomed = [path]
        while doomed:
            each = doomed.pop()
            self._places.pop(each, None)
            doomed += self._inner.pop(each, [])
        for known in [known for known in self._settings if is_inside(known, path)]:
            self._settings.pop(known)

    def nearest(self, path: str) -> Place | None:
        """The place of `path`, or of the innermost block around it that stands in the text."""
        while path:
            if path in self._places:
                return self._places[path]
            path = _parent(path)
        return None

    def locate(self, problem: Problem) -> Problem:
        """`problem` with line and column, if its field or a block around it stands in the text.

        A field that is set beside the text gets what set it in place of these.
        """
        if (setting := self.setting(problem.path)) is not None:
            return dataclasses.replace(problem, message=f"{problem.message} (--set {setting})")
        place = self.nearest(problem.path)
        if problem.line is not None or place is None:
            return problem
        return dataclasses.replace(problem, line=place.line, column=place.column)


def is_inside(path: str, outer: str) -> bool:
    """Whether `path` is `outer` or something below it."""
    return path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


def _parent(path: str) -> str:
    if path.endswith('"]'):
        return path[: path.index('["')]
    if path.endswith("]"):
        return path[: path.rindex("[")]
    return path.rpartition(".")[0]
