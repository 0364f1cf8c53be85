"""Imports TensorFlow without its informational output.

While it is imported, TensorFlow 2.21 writes four lines to standard error, before any log level setting takes
effect. Tasks import it late, so this hooks the import.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_CHATTER = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")


@contextlib.contextmanager
def quiet_tensorflow_import() -> Iterator[None]:
    """Drops informational lines of a TensorFlow import within the block; other output passes."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Wraps the loader of `tensorflow` in a `_QuietLoader`, once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(Loader):
    """Executes a module with standard error filtered at the file descriptor that C++ writes to."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _filtered_standard_error():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


@contextlib.contextmanager
def _filtered_standard_error() -> Iterator[None]:
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            kept = [line for line in held if not line.startswith(_CHATTER)]
            os.write(real, b"".join(kept))
            os.close(real)
