"""Imports TensorFlow without its informational output and with oneDNN, for commands and library.

While it is imported, TensorFlow 2.21 writes four lines to standard error, before any log level setting takes
effect. Tasks import it late, so this hooks the import.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from frcnn.cpu import choose_onednn, onednn_without_avx512
from frcnn.gpus import DRIVER_FILE

LOG_LEVEL, QUIET, LOUD = "TF_CPP_MIN_LOG_LEVEL", "2", "0"
_CHATTER = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")


@contextlib.contextmanager
def quiet_tensorflow_import() -> Iterator[None]:
    """Drops informational lines of a TensorFlow import within the block; other output passes.

    For later lines, sets TF_CPP_MIN_LOG_LEVEL to 2 right before the import, unless it is set. If it is set to
    0 or 1, all lines pass. oneDNN is chosen at the same time, as `frcnn.cpu.choose_onednn` says.
    """
    finder = hook_tensorflow_import()
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def hook_tensorflow_import() -> MetaPathFinder:
    """Prepares a later import of TensorFlow like `quiet_tensorflow_import`, until the process ends.

    Returns:
        Hook in `sys.meta_path`.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    return finder


class _Finder(MetaPathFinder):
    """Wraps the loader of `tensorflow` in a `_TensorFlowLoader`.

    It stays in place when TensorFlow is only looked up, as by a check for missing packages.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        others = [each for each in sys.meta_path if not isinstance(each, _Finder)]
        found = (each.find_spec(fullname, path, target) for each in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _TensorFlowLoader(spec.loader)
        return spec


class _TensorFlowLoader(Loader):
    """Executes TensorFlow with standard error filtered at the file descriptor that C++ writes to."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        wanted = os.environ.setdefault(LOG_LEVEL, QUIET)
        choose_onednn()
        with contextlib.nullcontext() if wanted < QUIET else _filtered_standard_error():
            self._loader.exec_module(module)
        # GPUs have fast fusions. To ask the driver for its GPUs would fix the visible ones too early.
        on_gpu = DRIVER_FILE.exists() and module.test.is_built_with_cuda()
        if onednn_without_avx512() and not on_gpu:
            module.config.optimizer.set_experimental_options({"remapping": False})

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)


@contextlib.contextmanager
def _filtered_standard_error() -> Iterator[None]:
    try:
        real = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(real, 2)
            held.seek(0)
            kept = [line for line in held if not line.startswith(_CHATTER)]
            os.write(real, b"".join(kept))
            os.close(real)
